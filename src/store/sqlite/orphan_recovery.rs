//! Recovery: closes the `started` events of dead writers.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::error::DuringOperation as _;
use super::event_columns::EventColumns;
use super::id_blob::id_of;
use super::journal::append::append_locked;
use super::liveness_lock::{DeadWriter, LivenessLock, delete_writer_row, writer_ids};
use super::store::SqliteStore;
use super::writer_state::{StateTransaction, WriterState};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::Cursor;
use crate::store::{OrphanRecovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl OrphanRecovery for SqliteStore {
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.lease("closing orphans").await?;
            let (state, writer_lock) = lease.parts();
            let result = close_orphans(state, writer_lock, close).await;
            lease.finish(result).await
        })
    }
}

/// Closes all orphans in one transaction: of two processes, the second finds none left.
async fn close_orphans(
    state: &mut WriterState,
    writer_lock: &mut LivenessLock,
    close: UnknownEventFn<'_>,
) -> Result<u64, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let mut closed = 0;
    let mut buried = Vec::new();
    for id in writer_ids(&mut transaction.connection.db).await? {
        if id == writer_lock.id() {
            continue;
        }
        let Some(dead) = DeadWriter::find(&transaction.connection.database, &id) else { continue };
        let sql = "SELECT coalesce(CAST(event_id AS BLOB), x''), coalesce(CAST(event AS BLOB), x'') FROM audit_started \
                   WHERE coalesce(CAST(writer AS BLOB), x'') = ?1";
        let open =
            sqlx::query(sql).bind(id.as_slice()).fetch_all(&mut *transaction.connection.db).await.during(DOING)?;
        let ends = open.iter().map(|row| Ok(close(&started(row)?))).collect::<Result<Vec<_>, StoreError>>()?;
        append_locked(&mut transaction, writer_lock, &ends).await?;
        closed += ends.len() as u64;
        delete_writer_row(&mut transaction.connection, &id).await?;
        buried.push(dead);
    }
    transaction.commit().await?;
    // Their locks were held until here.
    buried.into_iter().for_each(DeadWriter::remove);
    Ok(closed)
}

/// Returns the event of a row; one built from its columns if the text is damaged.
fn started(row: &SqliteRow) -> Result<AuditEvent, StoreError> {
    let id = EventId::from_u128(row.try_get(0).and_then(id_of).unwrap_or(0));
    let text = String::from_utf8_lossy(row.try_get(1).during(DOING)?);
    Ok(match serde_json::from_str::<AuditEvent>(&text) {
        Ok(event) if event.event_id == id => event,
        _ => {
            let otherwise = Cursor { created_at: Timestamp::now(), event_id: id };
            EventColumns { event_id: id, ..EventColumns::salvaged(&text, otherwise) }.stand_in(&text)
        }
    })
}

const DOING: &str = "closing orphans";
