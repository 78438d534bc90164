//! Closing the `started` events of writers that died.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::append::{append_locked, begin, commit};
use super::columns::Columns;
use super::connection::Connection;
use super::error::Doing as _;
use super::instance::{Dead, Instance};
use super::keep::instances;
use super::segment::id_of;
use super::store::SqliteStore;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::Cursor;
use crate::store::{Orphans, StoreError, StoreFuture};

type Close<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl Orphans for SqliteStore {
    fn close_orphans<'a>(&'a self, close: Close<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.lease("closing orphans").await?;
            let (connection, instance) = lease.parts();
            let done = close_orphans(connection, instance, close).await;
            lease.settle(done).await
        })
    }
}

/// One transaction: of two that race, the second finds nothing left.
async fn close_orphans(
    connection: &mut Connection,
    instance: &mut Instance,
    close: Close<'_>,
) -> Result<u64, StoreError> {
    begin(&mut connection.db).await?;
    let mut closed = 0;
    let mut buried = Vec::new();
    for id in instances(&mut connection.db).await? {
        if id == instance.id() {
            continue;
        }
        let Some(dead) = Dead::find(&connection.database, &id) else { continue };
        let sql = "SELECT event_id, CAST(event AS BLOB) FROM audit_open_started WHERE instance = ?1";
        let open = sqlx::query(sql).bind(id.as_slice()).fetch_all(&mut *connection.db).await.doing(DOING)?;
        let ends = open.iter().map(|row| Ok(close(&started(row)?))).collect::<Result<Vec<_>, StoreError>>()?;
        append_locked(connection, instance, &ends).await?;
        closed += ends.len() as u64;
        forget(connection, &id).await?;
        buried.push(dead);
    }
    commit(&mut connection.db).await?;
    // Their locks were held until here.
    buried.into_iter().for_each(Dead::bury);
    Ok(closed)
}

/// The event of a row, or what is shown in its place.
fn started(row: &SqliteRow) -> Result<AuditEvent, StoreError> {
    let id = EventId::from_u128(id_of(row.try_get(0).doing(DOING)?).doing(DOING)?);
    let text = String::from_utf8_lossy(row.try_get(1).doing(DOING)?);
    Ok(match serde_json::from_str::<AuditEvent>(&text) {
        Ok(event) if event.event_id == id => event,
        _ => {
            let otherwise = Cursor { created_at: Timestamp::now(), event_id: id };
            Columns { event_id: id, ..Columns::salvaged(&text, otherwise) }.stand_in(&text)
        }
    })
}

/// Takes the instance's leave, unless it has events open: then it is left to be found dead.
pub(super) async fn leave(connection: &mut Connection, instance: &mut Instance) -> Result<(), StoreError> {
    if !instance.is_registered() {
        return Ok(());
    }
    begin(&mut connection.db).await?;
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_open_started WHERE instance = ?1")
        .bind(instance.id().as_slice())
        .fetch_one(&mut *connection.db)
        .await
        .doing(DOING)?;
    if open == 0 {
        forget(connection, instance.id()).await?;
    }
    commit(&mut connection.db).await?;
    if open == 0 {
        instance.unregister();
    } else {
        *instance = Instance::new();
    }
    Ok(())
}

async fn forget(connection: &mut Connection, id: &[u8]) -> Result<(), StoreError> {
    for sql in ["DELETE FROM audit_open_started WHERE instance = ?1", "DELETE FROM audit_instances WHERE id = ?1"] {
        sqlx::query(sql).bind(id).execute(&mut *connection.db).await.doing(DOING)?;
    }
    Ok(())
}

const DOING: &str = "closing orphans";
