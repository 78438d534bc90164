//! The two ends of a spool's deliveries: its target, and its dead letters and state.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::error::{DuringOperation as _, SHIPPING, blocking};
use super::spool_state::{Phase, Shared};
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::delivery::{DeliveryEnds, append_caught, is_healthy_caught};
use crate::store::{StoreError, chain};
use crate::throttle::Throttle;

/// The ends of a spool's deliveries.
#[derive(Debug)]
pub(super) struct SpoolEnds {
    shared: Arc<Shared>,
    throttle: Throttle,
    /// True after an error that the operator's log has, until the target acknowledges again.
    is_failing: bool,
}

/// The shipper is to end, and the batch is not delivered.
#[derive(Debug)]
pub(super) struct Stopped;

impl SpoolEnds {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, throttle: Throttle::default(), is_failing: false }
    }
}

impl DeliveryEnds for SpoolEnds {
    type Stop = Stopped;

    async fn append(&mut self, events: &[AuditEvent]) -> Result<(), StoreError> {
        let target = self.shared.target.open().await?;
        append_caught(&**target, events, SHIPPING).await
    }

    async fn is_healthy(&mut self) -> bool {
        match self.shared.target.get() {
            Some(target) => is_healthy_caught(&**target).await,
            None => false,
        }
    }

    async fn set_aside(&mut self, event: &AuditEvent, reason: &StoreError) -> Result<bool, StoreError> {
        let (id, reason) = (event.event_id, chain(reason).to_string());
        let (dead_letters, event, text) = (self.shared.dead_letters.clone(), event.clone(), reason.clone());
        blocking(SHIPPING, move || dead_letters.add_event(event, text).during(SHIPPING)).await?;
        self.shared.change_state(|state| state.dead_letters += 1);
        log_line(move || {
            tracing::error!(
                event_id = %id,
                reason,
                "the target of the audit spool refuses an event for good: it is kept as a dead letter (`tower-audit spool list`)"
            );
        });
        Ok(true)
    }

    /// Waits; ends at once if the shipper is to stop, and soon if a reader waits for the target.
    async fn fail(&mut self, error: StoreError, pause: Duration) -> Result<(), Stopped> {
        let text = chain(&error).to_string();
        self.shared.change_state(|state| {
            state.failures += 1;
            state.target_error = Some(text.clone());
        });
        self.is_failing = true;
        self.shared.publish_metrics();
        if self.throttle.pass().is_some() {
            let events = self.shared.status().events;
            log_line(move || {
                tracing::warn!(
                    error = text,
                    events,
                    "the target of the audit spool does not take events; they wait in the spool"
                );
            });
        }
        let mut phase = self.shared.phase.subscribe();
        let stopped = pin!(phase.wait_for(|phase| *phase == Phase::Stopped));
        let waited = pin!(async {
            tokio::time::sleep(pause.min(LEAST_PAUSE)).await;
            let asked = pin!(self.shared.retry.notified());
            select(asked, pin!(tokio::time::sleep(pause.saturating_sub(LEAST_PAUSE)))).await;
        });
        match select(stopped, waited).await {
            Either::Left(_) => Err(Stopped),
            Either::Right(_) => Ok(()),
        }
    }

    fn succeed(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            log_line(|| tracing::info!("the target of the audit spool takes events again"));
        }
    }
}

/// The pause between two attempts while readers wait.
const LEAST_PAUSE: Duration = Duration::from_millis(250);
