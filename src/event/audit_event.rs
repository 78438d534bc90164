//! One entry of the log.

use std::fmt;

use serde::de::{Error as _, MapAccess};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::details::{self, Details};
use super::extensible_struct::once;
use super::{
    Actor, BorrowedText, Classification, EventId, EventType, Phase, RequestInfo, Resource, Targets, Timestamp,
};

/// One immutable entry of the log. `docs/event-format.md` is its format as JSON.
///
/// ```
/// use tower_audit::{Actor, AuditEvent, EventType};
///
/// let mut event = AuditEvent::new(EventType::new("backup.created")?);
/// event.actor = Actor::user("operator");
/// event.details.insert("bytes".into(), 1_048_576.into());
/// let json = serde_json::to_string(&event)?;
/// assert_eq!(serde_json::from_str::<AuditEvent>(&json)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The id: the key of the event everywhere.
    pub event_id: EventId,
    /// The type.
    pub event_type: EventType,
    /// The time at which the event was made.
    pub created_at: Timestamp,
    /// The moment in its request's life at which it was written.
    pub phase: Phase,
    /// The principal who acted.
    pub actor: Actor,
    /// The route and the method of the request.
    pub resource: Resource,
    /// The objects that the action was done to.
    pub targets: Targets,
    /// The HTTP status; none for events that are no request, and while or where it is not known.
    pub outcome: Option<u16>,
    /// Further facts, as a JSON object.
    pub details: Details,
    /// Facts about the request.
    pub request: RequestInfo,
    /// The app's own names for the action.
    pub classification: Classification,
    /// Fields of a later version of the format, kept as they were read.
    pub extra: Details,
    /// True if a store shows the event in place of one that it cannot decode. Not a part of the JSON; a detail `unreadable_event` alone is no sign,
    /// for any app can write that.
    pub(crate) is_stand_in: bool,
}

impl AuditEvent {
    /// The names that the format has for itself in the object.
    pub(super) const NAMES: &'static [&'static str] = &[
        "event_id",
        "event_type",
        "created_at",
        "phase",
        "actor",
        "resource",
        "targets",
        "targets_omitted",
        "outcome",
        "details",
        "request",
        "classification",
    ];

    /// An event of this type, with a new id and the current time, and nothing else in it.
    pub fn new(event_type: EventType) -> Self {
        let (event_id, created_at) = EventId::new_with_time();
        Self {
            event_id,
            event_type,
            created_at,
            phase: Phase::Completed,
            actor: Actor::default(),
            resource: Resource::default(),
            targets: Targets::new(),
            outcome: None,
            details: Details::new(),
            request: RequestInfo::default(),
            classification: Classification::default(),
            extra: Details::new(),
            is_stand_in: false,
        }
    }

    /// Returns the sort key: the time, ties by id.
    pub fn sort_key(&self) -> (Timestamp, EventId) {
        (self.created_at, self.event_id)
    }
}

impl Serialize for AuditEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event_id", &self.event_id)?;
        map.serialize_entry("event_type", &self.event_type)?;
        map.serialize_entry("created_at", &self.created_at)?;
        map.serialize_entry("phase", &self.phase)?;
        map.serialize_entry("actor", &self.actor)?;
        map.serialize_entry("resource", &self.resource)?;
        if !self.targets.is_empty() {
            map.serialize_entry("targets", &self.targets)?;
        }
        if self.targets.omitted() > 0 {
            map.serialize_entry("targets_omitted", &self.targets.omitted())?;
        }
        map.serialize_entry("outcome", &self.outcome)?;
        map.serialize_entry("details", &self.details)?;
        if !self.request.is_empty() {
            map.serialize_entry("request", &self.request)?;
        }
        if !self.classification.is_empty() {
            map.serialize_entry("classification", &self.classification)?;
        }
        for (key, value) in &*details::apart(&self.extra, Self::NAMES) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for AuditEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = AuditEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audit event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AuditEvent, A::Error> {
        let (mut event_id, mut event_type, mut created_at) = (None, None, None);
        let mut phase = Phase::Completed;
        let mut actor = Actor::default();
        let mut resource = Resource::default();
        let mut targets = None;
        let mut targets_omitted = None;
        let mut outcome = None;
        let mut details = None;
        let mut request = RequestInfo::default();
        let mut classification = Classification::default();
        let mut extra = Details::new();
        let mut seen = Seen::default();
        while let Some(BorrowedText(key)) = map.next_key()? {
            match &*key {
                "event_id" => event_id = Some(value_once(&mut map, &mut seen.event_id, "event_id")?),
                "event_type" => event_type = Some(value_once(&mut map, &mut seen.event_type, "event_type")?),
                "created_at" => created_at = Some(value_once(&mut map, &mut seen.created_at, "created_at")?),
                "phase" => phase = value_once(&mut map, &mut seen.phase, "phase")?,
                "actor" => actor = value_once(&mut map, &mut seen.actor, "actor")?,
                "resource" => resource = value_once(&mut map, &mut seen.resource, "resource")?,
                "targets" => targets = value_once::<_, Option<Targets>>(&mut map, &mut seen.targets, "targets")?,
                "targets_omitted" => {
                    targets_omitted =
                        value_once::<_, Option<u64>>(&mut map, &mut seen.targets_omitted, "targets_omitted")?;
                }
                "outcome" => outcome = value_once(&mut map, &mut seen.outcome, "outcome")?,
                "details" => details = value_once::<_, Option<Details>>(&mut map, &mut seen.details, "details")?,
                "request" => request = value_once(&mut map, &mut seen.request, "request")?,
                "classification" => {
                    classification = value_once(&mut map, &mut seen.classification, "classification")?;
                }
                _ => {
                    let value = map.next_value()?;
                    extra.insert(key.into_owned(), value);
                }
            }
        }
        let mut targets = targets.unwrap_or_default();
        targets.add_omitted(targets_omitted.unwrap_or_default());
        Ok(AuditEvent {
            event_id: event_id.ok_or_else(|| A::Error::missing_field("event_id"))?,
            event_type: event_type.ok_or_else(|| A::Error::missing_field("event_type"))?,
            created_at: created_at.ok_or_else(|| A::Error::missing_field("created_at"))?,
            phase,
            actor,
            resource,
            targets,
            outcome,
            details: details.unwrap_or_default(),
            request,
            classification,
            extra,
            is_stand_in: false,
        })
    }
}

/// The fields that came already.
#[derive(Default)]
struct Seen {
    event_id: bool,
    event_type: bool,
    created_at: bool,
    phase: bool,
    actor: bool,
    resource: bool,
    targets: bool,
    targets_omitted: bool,
    outcome: bool,
    details: bool,
    request: bool,
    classification: bool,
}

/// Reads the value of a field that did not come before.
fn value_once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    seen: &mut bool,
    field: &'static str,
) -> Result<T, A::Error> {
    once(seen, field)?;
    map.next_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shape_is_that_of_the_contract() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.event_id = EventId::from_u128(0x0199_a700_0000_7000_8000_0000_0000_0001);
        event.created_at = "2026-05-25T12:00:00.123456Z".parse().unwrap();
        event.actor = Actor::user("alice@example.org");
        event.resource.route = Some("/scans".into());
        event.resource.method = Some("POST".into());
        event.outcome = Some(200);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event_id":"0199a700000070008000000000000001","event_type":"upload","created_at":"2026-05-25T12:00:00.123456Z","phase":"completed","actor":{"user_email":"alice@example.org","api_key_hash":null,"remote_addr":null},"resource":{"route":"/scans","method":"POST"},"outcome":200,"details":{}}"#
        );
    }

    #[test]
    fn a_field_that_comes_twice_is_an_error() {
        let text = r#"{"event_id":"0199a700000070008000000000000001","event_type":"upload",
            "created_at":"2026-05-25T12:00:00.000000Z","actor":{"user_email":null}}"#;
        assert!(serde_json::from_str::<AuditEvent>(text).is_ok());
        for (once, twice) in [
            ("\"event_type\":\"upload\"", "\"event_type\":\"upload\",\"event_type\":\"auth\""),
            ("\"user_email\":null", "\"user_email\":null,\"user_email\":\"bob\""),
        ] {
            let error = serde_json::from_str::<AuditEvent>(&text.replace(once, twice)).unwrap_err();
            assert!(error.to_string().contains("duplicate field"), "{error}");
        }
    }

    #[test]
    fn unknown_fields_are_kept() {
        let text = json!({
            "event_id": "0199a700000070008000000000000001", "event_type": "later", "created_at": "2026-05-25T12:00:00.000000Z",
            "phase": "completed", "actor": {"user_email": null, "api_key_hash": null, "remote_addr": null, "device": "d1"},
            "resource": {"route": null, "method": null}, "outcome": null, "details": {},
            "request": {"tls": {"version": "1.3"}}, "classification": {"error": "too-new"}, "region": "eu",
        });
        let event: AuditEvent = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), text);
    }
}
