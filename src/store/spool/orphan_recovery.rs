//! The recovery: closes the `started` events of dead processes, from their folders alone.
//!
//! The target's own recovery is not asked: the end of an event that it has as open may be in the spool of a process that has died, on
//! this machine or another.

use std::sync::Arc;

use super::error::{DuringOperation as _, blocking};
use super::store::SpoolStore;
use crate::event::AuditEvent;
use crate::store::{OrphanRecovery, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl OrphanRecovery for SpoolStore {
    /// Adopts the folders of dead processes. Their open events are closed once: by the process that holds the folder's lock, in that
    /// folder.
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let _adoption = self.shared.adoption.lock().await;
            let shared = Arc::clone(&self.shared);
            let folders = blocking(DOING, move || {
                shared.adopt().during(DOING)?;
                Ok(shared.adopted())
            })
            .await?;
            let mut closed = 0;
            for folder in folders {
                let ends: Vec<AuditEvent> = folder.backlog().open.iter().map(close).collect();
                closed += ends.len() as u64;
                blocking(DOING, move || ends.chunks(FRAME_EVENTS).try_for_each(|some| folder.append_ends(some)))
                    .await?;
            }
            if closed > 0 {
                self.start();
                self.shared.wake.notify_one();
            }
            Ok(closed)
        })
    }
}

const DOING: &str = "closing orphans";
const FRAME_EVENTS: usize = 1000;
