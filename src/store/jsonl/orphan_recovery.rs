//! The recovery: closes the `started` events of dead writers.

use super::append_lock::Held;
use super::batch::Batch;
use super::block_cache::BlockCache;
use super::error::{DuringOperation as _, error_of};
use super::liveness_lock::DeadWriters;
use super::scan::Scan;
use super::snapshot::{Cancelled, ScanError, Snapshot};
use super::store::JsonlStore;
use super::writer::Writer;
use crate::event::AuditEvent;
use crate::store::{OrphanRecovery, StoreError, StoreErrorKind, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

/// The open events of dead writers, while no other process can close them.
struct Orphans {
    held: Held,
    dead: DeadWriters,
    events: Vec<AuditEvent>,
}

impl OrphanRecovery for JsonlStore {
    /// Of several processes, the second finds none left: the lock of the log is held from the look to the append.
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut writer = self.writer.clone().lock_owned().await;
            let (writer, orphans) = self
                .blocking(DOING, move || {
                    let orphans = find(&mut writer)?;
                    Ok((writer, orphans))
                })
                .await?;
            let mut writer = writer;
            let ends: Vec<AuditEvent> = orphans.events.iter().map(close).collect();
            let closed = ends.len() as u64;
            self.blocking(DOING, move || {
                let batch = Batch::encode(&ends, writer.config.encoding.as_ref(), writer.lock.id)?;
                if !ends.is_empty() {
                    writer.append(&orphans.held, &batch)?;
                }
                orphans.dead.remove();
                Ok(())
            })
            .await?;
            Ok(closed)
        })
    }
}

fn find(writer: &mut Writer) -> Result<Orphans, StoreError> {
    let held = writer.hold(DOING)?;
    writer.settle(&held)?;
    let dead = DeadWriters::find(&writer.catalogue.place).during(DOING)?;
    let snapshot = Snapshot::of(&writer.catalogue);
    let cancelled = Cancelled::default();
    let cache = BlockCache::default();
    // The lock is held.
    let scan = Scan { snapshot: &snapshot, cancelled: &cancelled, cache: &cache, hold: &|| Ok(None) };
    let mut events = Vec::new();
    for (id, written_by) in snapshot.open_events() {
        if written_by.is_none_or(|writer| !dead.contains(writer)) {
            continue;
        }
        match scan.get(id) {
            Ok(event) => events.extend(event),
            Err(ScanError::Io(error)) => return Err(error).during(DOING),
            Err(ScanError::Moved | ScanError::Cancelled) => {
                return Err(error_of(StoreErrorKind::Transient, DOING).with_hint("a file was moved meanwhile"));
            }
        }
    }
    Ok(Orphans { held, dead, events })
}

const DOING: &str = "closing orphans";
