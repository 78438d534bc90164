//! The health check of a log.

use std::sync::Arc;
use std::time::Duration;

use super::audit_log::{AuditLog, Gone};
use super::deadline::{from_now, with_deadline};
use crate::store::{StoreError, StoreErrorKind};

impl AuditLog {
    /// Checks by a call of the store, within the write timeout, that the next event would be accepted and durable, and that no
    /// event is late. A disabled log is healthy.
    ///
    /// # Errors
    /// If the store fails its check, or the writer is gone, hangs, or has owed an event for longer than the write timeout.
    pub async fn health(&self) -> Result<(), StoreError> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let deadline = from_now(inner.write_timeout);
        let name = inner.store.capabilities().name;
        let bad = |kind, remedy: &str| Err(StoreError::new(kind, name, "health check").with_hint(remedy));
        inner.damage.check(name)?;
        #[cfg(feature = "seal")]
        if let Some(seal) = &inner.seal {
            seal.check(name)?;
        }
        if inner.queue.is_stopped() {
            return bad(StoreErrorKind::Permanent, GONE);
        }
        // The next event would go through the writer.
        let mut settled = inner.settled.clone();
        let taken = inner.queue.taken();
        let awaited = async {
            // Under a steady load the worker never waits for an event: it takes the next batch at once.
            while !inner.queue.is_awaited() && inner.queue.taken() == taken {
                if let Some(Err(_)) = inner.within(LOOK_AGAIN, settled.changed()).await {
                    return;
                }
            }
        };
        if with_deadline(&inner.runtime, deadline, awaited).await.is_none() {
            return bad(StoreErrorKind::Transient, "it does not answer for the events that it was given");
        }
        // A check that hangs goes on when its caller has given up: then the next one waits for it.
        let turn = Arc::clone(&inner.health_checks).acquire_owned();
        let Some(turn) = with_deadline(&inner.runtime, deadline, turn).await else {
            return bad(StoreErrorKind::Transient, "the store has not answered earlier checks");
        };
        let store = Arc::clone(&inner.store);
        let check = inner.call(move || async move {
            let _turn = turn;
            store.health().await
        });
        match with_deadline(&inner.runtime, deadline, check).await {
            Some(Ok(Ok(()))) => match inner.queue.overdue() {
                0 => Ok(()),
                events => bad(
                    StoreErrorKind::Transient,
                    &format!("{events} events of requests whose clients have gone are not written yet"),
                ),
            },
            Some(Ok(Err(error))) => Err(error),
            Some(Err(Gone)) => {
                bad(StoreErrorKind::Permanent, "the check panicked, or the runtime of the log has ended")
            }
            None => {
                bad(StoreErrorKind::Transient, "the store does not answer, or the runtime of the log is not driven")
            }
        }
    }
}

/// The pause before a health check looks at the worker again: the worker does not say when it begins to wait.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

const GONE: &str = "the writer has stopped, because the runtime on which the log was opened has ended";
