//! An event that was stored and cannot be decoded: no JSON, a field twice, a value of a later version, another id than
//! that of its row.
//!
//! It must neither hide the events around it nor stop a purge. So every store shows an event in its place: what the
//! store knows beside the text, and the beginning of the text in `details.unreadable_event`.

use serde_json::Value;

use super::limits::MAX_DETAIL_STRING_BYTES;
use super::truncate::truncate;
use super::{Actor, AuditEvent, Classification, EventId, EventType, Phase, RequestInfo, Resource, Targets, Timestamp};

/// The detail that has the beginning of the text.
const UNREADABLE: &str = "unreadable_event";

/// The type of an event whose text has none.
pub(crate) const UNKNOWN_TYPE: &str = "audit.unreadable";

/// A stored event that cannot be decoded, and the values that the store knows all the same.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "sqlite", feature = "jsonl")),
    allow(dead_code, reason = "PostgreSQL reads its columns itself")
)]
pub(crate) struct Undecodable<'a> {
    pub(crate) event_id: EventId,
    pub(crate) created_at: Timestamp,
    /// Any name.
    pub(crate) event_type: &'a str,
    /// [`Phase::Unknown`] for a phase that this version does not know: nobody knows how it ended.
    pub(crate) phase: Phase,
    pub(crate) actor: Actor,
    pub(crate) resource: Resource,
    pub(crate) request: RequestInfo,
    pub(crate) classification: Classification,
    pub(crate) targets: Targets,
    pub(crate) outcome: Option<u16>,
    /// The text as it is stored.
    pub(crate) text: &'a str,
}

impl Undecodable<'_> {
    /// The event that is shown in its place.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "jsonl")),
        allow(dead_code, reason = "PostgreSQL reads its columns itself")
    )]
    pub(crate) fn into_event(self) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::as_stored(self.event_type));
        event.event_id = self.event_id;
        event.created_at = self.created_at;
        event.phase = self.phase;
        event.actor = self.actor;
        event.resource = self.resource;
        event.request = self.request;
        event.classification = self.classification;
        event.targets = self.targets;
        event.outcome = self.outcome;
        mark(&mut event, self.text);
        event
    }
}

/// Marks an event as one that stands for another, with the beginning of that one's text or the reason.
pub(crate) fn mark(event: &mut AuditEvent, why: &str) {
    event.details.insert(UNREADABLE.into(), Value::from(truncate(why, MAX_DETAIL_STRING_BYTES)));
    event.is_stand_in = true;
    event.truncate_to_limits();
}
