//! Closing the `started` events of stores that are not open any more.

use super::append::{Batch, delete_started, insert, known_ids};
use super::shared_database::{Engine, Writer, blocking};
use super::store::DuckdbStore;
use crate::event::{AuditEvent, EventId};
use crate::store::sql::started_event;
use crate::store::{OrphanRecovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl OrphanRecovery for DuckdbStore {
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut closed = 0;
            loop {
                let (engine, store) = (self.engine(DOING)?, self.number);
                // Held from the look to the commit: of several callers, one closes.
                let mut writer = engine.writer(self.config.timeout, DOING).await?;
                let sharing = engine.clone();
                let (returned, orphans) = blocking(DOING, move || {
                    let orphans = orphans(&mut writer, &sharing);
                    // After the writer, if that goes: the last share closes the database.
                    let returned = orphans.map(|orphans| (writer, orphans));
                    drop(sharing);
                    returned
                })
                .await?;
                let mut writer = returned;
                if orphans.is_empty() {
                    return Ok(closed);
                }
                let ids: Vec<EventId> = orphans.iter().map(|orphan| orphan.event_id).collect();
                let ends: Vec<AuditEvent> = orphans.iter().map(close).collect();
                closed += blocking(DOING, move || {
                    let closed = close_orphans(&mut writer, store, &ends, &ids);
                    drop(writer);
                    drop(engine);
                    closed
                })
                .await?;
            }
        })
    }
}

/// Some of the `started` events whose stores are not open.
fn orphans(writer: &mut Writer, engine: &Engine) -> Result<Vec<AuditEvent>, StoreError> {
    let sql = "SELECT DISTINCT writer FROM audit_events_started";
    let rows = writer.session(DOING)?.run(DOING, sql, Vec::new())?;
    let mut dead = Vec::new();
    for row in rows.iter() {
        dead.extend(row.number(0, DOING)?.filter(|number| !engine.is_registered(*number)));
    }
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    let dead: Vec<String> = dead.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT event_id, event FROM audit_events_started WHERE writer IN ({}) ORDER BY event_id LIMIT {MOST_AT_ONCE}",
        dead.join(", ")
    );
    let rows = writer.session(DOING)?.run(DOING, &sql, Vec::new())?;
    let orphan = |row: super::value::Row<'_>| -> Result<AuditEvent, StoreError> {
        Ok(started_event(row.id(0, DOING)?, row.text(1, DOING)?.unwrap_or_default()))
    };
    rows.iter().map(orphan).collect()
}

fn close_orphans(writer: &mut Writer, store: i64, ends: &[AuditEvent], orphans: &[EventId]) -> Result<u64, StoreError> {
    let batch = Batch::of(ends)?;
    let known = known_ids(writer.session(DOING)?, &batch.ids())?;
    writer.commit(DOING, |session| {
        insert(session, store, &batch, &known)?;
        // The ends may not name what they end.
        delete_started(session, orphans.iter().copied(), DOING).map(drop)
    })?;
    Ok(orphans.len() as u64)
}

const DOING: &str = "closing orphans";
const MOST_AT_ONCE: usize = 1024;
