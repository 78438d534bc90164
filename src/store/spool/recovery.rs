//! The recovery: closes the `started` events of dead processes, from their folders alone.
//!
//! The target's own recovery is not asked: the end of an event that it has as open may be in the spool of a process that has died, on
//! this machine or another.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::{DuringOperation as _, blocking};
use super::store::SpoolStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{AuditStore as _, Recovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl Recovery for SpoolStore {
    /// Adopts the folders of dead processes. Their open events are closed once: by the process that holds the folder's lock.
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let _adoption = self.shared.adoption.lock().await;
            let shared = Arc::clone(&self.shared);
            let folders = blocking(DOING, move || {
                shared.adopt().during(DOING)?;
                Ok(shared.adopted())
            })
            .await?;
            let orphans: Vec<AuditEvent> = {
                let mut ended: BTreeSet<EventId> = BTreeSet::new();
                for folder in &folders {
                    ended.extend(folder.backlog().open.ended());
                }
                folders.iter().flat_map(|folder| folder.backlog().open.orphans(&ended)).collect()
            };
            let ends: Vec<AuditEvent> = orphans.iter().map(close).collect();
            self.append_ends(&ends).await?;
            blocking(DOING, move || folders.iter().try_for_each(|folder| folder.forget_open_events()).during(DOING))
                .await?;
            self.shared.wake.notify_one();
            Ok(ends.len() as u64)
        })
    }
}

impl SpoolStore {
    async fn append_ends(&self, ends: &[AuditEvent]) -> Result<(), StoreError> {
        if ends.is_empty() { Ok(()) } else { self.append(ends).await }
    }
}

const DOING: &str = "closing orphans";
