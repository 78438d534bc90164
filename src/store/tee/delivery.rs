//! The events of one append for one member, and their fate.

use std::sync::Arc;

use tokio::sync::watch;

use crate::event::{AuditEvent, EventId};
use crate::store::{StoreError, StoreErrorKind, chain};

/// The failure of a member, in words and as a kind.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: StoreErrorKind,
    pub(super) text: Arc<str>,
}

impl Failure {
    pub(super) fn of(error: &StoreError) -> Self {
        Self { kind: error.kind(), text: chain(error).to_string().into() }
    }

    pub(super) fn transient(text: impl Into<Arc<str>>) -> Self {
        Self { kind: StoreErrorKind::Transient, text: text.into() }
    }

    pub(super) fn is_transient(&self) -> bool {
        self.kind == StoreErrorKind::Transient
    }
}

/// The fate of the events of one append at one member. Has no event in it: it outlives them.
#[derive(Debug, Default)]
pub(super) struct Delivery(watch::Sender<DeliveryState>);

#[derive(Debug, Default)]
struct DeliveryState {
    /// The failure of the last try.
    failure: Option<Failure>,
    /// No event of it will be tried again.
    is_settled: bool,
    /// The events that the member does not get from this delivery.
    rejected: Vec<EventId>,
    /// The tee has acknowledged the append: what is rejected is lost.
    is_acknowledged: bool,
}

/// Waits for the fate of a delivery. What happened before it was made is not seen.
pub(super) struct DeliveryWatch(watch::Receiver<DeliveryState>);

/// The state of one event of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventFate {
    Pending,
    Accepted,
    Rejected,
}

impl Delivery {
    pub(super) fn watch(&self) -> DeliveryWatch {
        DeliveryWatch(self.0.subscribe())
    }

    /// Returns the fate of an event that is in it.
    pub(super) fn fate_of(&self, id: EventId) -> EventFate {
        let state = self.0.borrow();
        match () {
            () if state.rejected.contains(&id) => EventFate::Rejected,
            () if state.is_settled => EventFate::Accepted,
            () => EventFate::Pending,
        }
    }

    /// Returns true if an append waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Notes a try that failed for now.
    pub(super) fn note_failure(&self, failure: &Failure) {
        self.0.send_modify(|state| state.failure = Some(failure.clone()));
    }

    /// Notes that an event will not be tried again. Returns true if the event is lost: the tee has acknowledged it.
    pub(super) fn reject(&self, id: EventId, failure: &Failure) -> bool {
        let mut is_lost = false;
        self.0.send_modify(|state| {
            state.rejected.push(id);
            state.failure = Some(failure.clone());
            is_lost = state.is_acknowledged;
        });
        is_lost
    }

    /// Notes that every event was accepted or rejected.
    pub(super) fn settle(&self) {
        self.0.send_modify(|state| state.is_settled = true);
    }

    /// Returns the last failure in words.
    pub(super) fn reason(&self) -> Arc<str> {
        self.0.borrow().failure.as_ref().map_or_else(|| "".into(), |failure| Arc::clone(&failure.text))
    }

    /// Notes that the tee has acknowledged the append. Returns the events that were rejected before: they are lost.
    pub(super) fn acknowledge(&self) -> Vec<EventId> {
        let mut lost = Vec::new();
        self.0.send_modify(|state| {
            if !std::mem::replace(&mut state.is_acknowledged, true) {
                lost.clone_from(&state.rejected);
            }
        });
        lost
    }
}

impl DeliveryWatch {
    /// Waits until the events are accepted, or a try of them fails.
    pub(super) async fn outcome(&mut self, events: &[AuditEvent]) -> Result<(), Failure> {
        loop {
            {
                let state = self.0.borrow();
                let failure = || state.failure.clone().unwrap_or_else(|| Failure::transient("it failed"));
                if !state.rejected.is_empty() && events.iter().any(|event| state.rejected.contains(&event.event_id)) {
                    return Err(failure());
                }
                if state.is_settled {
                    return Ok(());
                }
            }
            if self.0.changed().await.is_err() {
                return Err(Failure::transient("the tee is gone"));
            }
            let state = self.0.borrow();
            if !state.is_settled
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
        }
    }
}
