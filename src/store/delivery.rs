//! The delivery of a batch to a store: it is appended until the store acknowledges it, or refuses an event of it for good.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{AuditStore, StoreError, StoreErrorKind};
use crate::backoff::Backoff;
use crate::event::AuditEvent;

/// The two ends of a delivery: the store, and those who are told of failures.
pub(crate) trait DeliveryEnds {
    /// A reason to end the delivery.
    type Stop;

    /// Appends events to the store.
    fn append(&mut self, events: &[AuditEvent]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns true if the store says that it would accept the next event.
    fn is_healthy(&mut self) -> impl Future<Output = bool> + Send;

    /// Keeps an event that the store refuses for good, durably, with the reason. Returns false if there is no place for it.
    fn set_aside(
        &mut self,
        event: &AuditEvent,
        reason: &StoreError,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Is told of a failure, and waits before the next attempt.
    fn fail(&mut self, error: StoreError, pause: Duration) -> impl Future<Output = Result<(), Self::Stop>> + Send;

    /// Is told that the store has acknowledged events.
    fn succeed(&mut self);
}

/// Delivers batches, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The number of events set aside since the store last acknowledged something.
    aside_in_a_row: usize,
}

impl Delivery {
    /// Returns when the store has acknowledged each of the events, or it was set aside.
    ///
    /// A batch that the store refuses for good is halved, until the one event is found that it refuses. Before that counts, the store must
    /// refuse it several times and be healthy each time: for a store that takes nothing, few events are set aside.
    pub(crate) async fn deliver<E: DeliveryEnds>(
        &mut self,
        ends: &mut E,
        events: &[AuditEvent],
    ) -> Result<(), E::Stop> {
        let mut waiting: VecDeque<Range<usize>> = VecDeque::new();
        waiting.push_back(0..events.len());
        let mut backoff = new_backoff();
        let mut refusals = 0;
        while let Some(range) = waiting.front().cloned() {
            let Some(part) = events.get(range.clone()).filter(|part| !part.is_empty()) else {
                waiting.pop_front();
                continue;
            };
            let Err(mut error) = ends.append(part).await else {
                waiting.pop_front();
                (backoff, refusals, self.aside_in_a_row) = (new_backoff(), 0, 0);
                ends.succeed();
                continue;
            };
            if error.kind() == StoreErrorKind::Permanent && ends.is_healthy().await {
                if let [event] = part {
                    refusals += 1;
                    if refusals >= REFUSALS && self.aside_in_a_row < MOST_ASIDE_IN_A_ROW {
                        match ends.set_aside(event, &error).await {
                            Ok(true) => {
                                waiting.pop_front();
                                self.aside_in_a_row += 1;
                                (backoff, refusals) = (new_backoff(), 0);
                                continue;
                            }
                            Ok(false) => {}
                            Err(failed) => error = failed,
                        }
                    }
                } else {
                    let middle = range.start + part.len() / 2;
                    waiting.pop_front();
                    waiting.push_front(middle..range.end);
                    waiting.push_front(range.start..middle);
                    continue;
                }
            }
            ends.fail(error, backoff.next_pause()).await?;
        }
        Ok(())
    }
}

/// Appends to a store that may panic.
pub(crate) async fn append_caught(
    store: &dyn AuditStore,
    events: &[AuditEvent],
    operation: &'static str,
) -> Result<(), StoreError> {
    match AssertUnwindSafe(store.append(events)).catch_unwind().await {
        Ok(appended) => appended,
        Err(_) => Err(StoreError::new(StoreErrorKind::Transient, store.capabilities().name, operation)
            .with_hint("the store panicked")),
    }
}

/// Asks a store that may panic for its health.
pub(crate) async fn is_healthy_caught(store: &dyn AuditStore) -> bool {
    matches!(AssertUnwindSafe(store.health()).catch_unwind().await, Ok(Ok(())))
}

fn new_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(10))
}

/// The number of times that a healthy store refuses an event before that is for good.
const REFUSALS: u32 = 3;
/// After that many events set aside without one that is taken, the store is what is wrong.
const MOST_ASIDE_IN_A_ROW: usize = 16;
