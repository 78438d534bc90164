//! A store made anew, with one event in it that says so.

use tower_audit::store::EventExtent;
use tower_audit::store::{AuditStore, StoreAdmin, StoreError};
use tower_audit::{Actor, AuditEvent, EventType};

/// The reason why a store is not as it should be after it was to be made anew.
#[derive(Debug)]
pub(crate) enum RecreateError {
    /// It could not be made anew.
    Failed(StoreError),
    /// It is empty, and the event that says so could not be written.
    Unrecorded(StoreError),
}

/// Makes the store anew, empty but for one event: it says how many events were destroyed (none if that is not known),
/// from when to when, and who asked.
pub(crate) async fn recreate(
    store: &dyn AuditStore,
    keeper: &dyn StoreAdmin,
    destroyed: DestroyedEvents,
    actor: String,
) -> Result<(), RecreateError> {
    keeper.recreate().await.map_err(RecreateError::Failed)?;
    let mut event = AuditEvent::new(EventType::AUDIT_INIT);
    event.actor = Actor::user(actor);
    match destroyed {
        DestroyedEvents::Unknown => {}
        DestroyedEvents::Nothing => drop(event.details.insert("events".into(), 0.into())),
        DestroyedEvents::Events(extent) => extent.write_to(&mut event.details),
    }
    event.truncate_to_limits();
    store.append(std::slice::from_ref(&event)).await.map_err(RecreateError::Unrecorded)
}

/// The events that a store had before it was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DestroyedEvents {
    /// They could not be counted.
    Unknown,
    Nothing,
    Events(EventExtent),
}
