//! Closing the `started` events of writers that died.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::admin::writer_ids;
use super::connection::WriteConnection;
use super::error::DuringOperation as _;
use super::event_columns::EventColumns;
use super::journal::append::{append_locked, begin, commit};
use super::segments::segment::id_of;
use super::store::SqliteStore;
use super::writer_lock::{DeadWriter, WriterLock};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::Cursor;
use crate::store::{Recovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl Recovery for SqliteStore {
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.lease("closing orphans").await?;
            let (connection, instance) = lease.parts();
            let done = close_orphans(connection, instance, close).await;
            lease.finish(done).await
        })
    }
}

/// One transaction: of two that race, the second finds nothing left.
async fn close_orphans(
    connection: &mut WriteConnection,
    instance: &mut WriterLock,
    close: UnknownEventFn<'_>,
) -> Result<u64, StoreError> {
    begin(&mut connection.db).await?;
    let mut closed = 0;
    let mut buried = Vec::new();
    for id in writer_ids(&mut connection.db).await? {
        if id == instance.id() {
            continue;
        }
        let Some(dead) = DeadWriter::find(&connection.database, &id) else { continue };
        let sql = "SELECT event_id, CAST(event AS BLOB) FROM audit_open_started WHERE instance = ?1";
        let open = sqlx::query(sql).bind(id.as_slice()).fetch_all(&mut *connection.db).await.during(DOING)?;
        let ends = open.iter().map(|row| Ok(close(&started(row)?))).collect::<Result<Vec<_>, StoreError>>()?;
        append_locked(connection, instance, &ends).await?;
        closed += ends.len() as u64;
        delete_writer_row(connection, &id).await?;
        buried.push(dead);
    }
    commit(&mut connection.db).await?;
    // Their locks were held until here.
    buried.into_iter().for_each(DeadWriter::remove);
    Ok(closed)
}

/// The event of a row, or what is shown in its place.
fn started(row: &SqliteRow) -> Result<AuditEvent, StoreError> {
    let id = EventId::from_u128(id_of(row.try_get(0).during(DOING)?).during(DOING)?);
    let text = String::from_utf8_lossy(row.try_get(1).during(DOING)?);
    Ok(match serde_json::from_str::<AuditEvent>(&text) {
        Ok(event) if event.event_id == id => event,
        _ => {
            let otherwise = Cursor { created_at: Timestamp::now(), event_id: id };
            EventColumns { event_id: id, ..EventColumns::salvaged(&text, otherwise) }.stand_in(&text)
        }
    })
}

/// Takes the instance's leave, unless it has events open: then it is left to be found dead.
pub(super) async fn unregister_writer(
    connection: &mut WriteConnection,
    instance: &mut WriterLock,
) -> Result<(), StoreError> {
    if !instance.is_registered() {
        return Ok(());
    }
    begin(&mut connection.db).await?;
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_open_started WHERE instance = ?1")
        .bind(instance.id().as_slice())
        .fetch_one(&mut *connection.db)
        .await
        .during(DOING)?;
    if open == 0 {
        delete_writer_row(connection, instance.id()).await?;
    }
    commit(&mut connection.db).await?;
    if open == 0 {
        instance.unregister();
    } else {
        *instance = WriterLock::new();
    }
    Ok(())
}

async fn delete_writer_row(connection: &mut WriteConnection, id: &[u8]) -> Result<(), StoreError> {
    for sql in ["DELETE FROM audit_open_started WHERE instance = ?1", "DELETE FROM audit_instances WHERE id = ?1"] {
        sqlx::query(sql).bind(id).execute(&mut *connection.db).await.during(DOING)?;
    }
    Ok(())
}

const DOING: &str = "closing orphans";
