//! Closing orphans: in the member that is read, and the others get the events that close.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::NAME;
use super::health::guarded;
use super::store::TeeStore;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::{OrphanRecovery, StoreError, StoreErrorKind, StoreFuture};

const RECOVERY: &str = "recovery";

#[deny(clippy::missing_trait_methods)]
impl OrphanRecovery for TeeStore {
    /// Closes the orphans of the member that is read, and appends the closing events to the others, whose orphans they end too.
    ///
    /// The others are not asked for orphans of their own. Example: two processes start at once. The first has closed an orphan in the
    /// member that is read, and not yet in the others; the second would find it there, and close it again.
    fn recover<'a>(&'a self, close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync)) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let parts = self.reading_lane(RECOVERY)?.store.parts();
            let unsupported = || StoreError::new(StoreErrorKind::Unsupported, NAME, RECOVERY);
            let recovery = parts.recovery.ok_or_else(unsupported)?;
            let made = Mutex::new(Vec::new());
            let noting = |orphan: &AuditEvent| {
                let event = close(orphan);
                made.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
                event
            };
            let closed = recovery.recover(&noting).await?;
            let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
            if usize::try_from(closed).is_ok_and(|closed| closed != made.len()) {
                // Another process has closed some of them, with events of its own.
                let reader = parts.reader.ok_or_else(unsupported)?;
                let mut kept = Vec::new();
                for event in made {
                    if reader.get(event.event_id).await?.is_some() {
                        kept.push(event);
                    }
                }
                made = kept;
            }
            if !made.is_empty() {
                self.tell_others(&made).await;
            }
            Ok(closed)
        })
    }
}

impl TeeStore {
    /// Appends the events to the members that are not read, as far as they answer.
    async fn tell_others(&self, events: &[AuditEvent]) {
        let others = self.state.lanes_reading_first().skip(1);
        let told = others.filter(|lane| lane.store.parts().reader.is_some()).map(async |lane| {
            let appended = timeout(lane.timeout, guarded(|| lane.store.append(events))).await;
            let failure = match appended {
                Ok(Ok(())) => return,
                Ok(Err(failure)) => failure.text,
                Err(_) => "it does not answer".into(),
            };
            let (member, events) = (Arc::clone(&lane.name), events.len());
            log_line(move || {
                tracing::warn!(%member, events, %failure, "a member of the tee has not got the ends of orphans");
            });
        });
        join_all(told).await;
    }
}
