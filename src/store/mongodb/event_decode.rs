//! Reading a document: a filter and a reader see the same values.
//!
//! Filters and the gate act on the fields; the rest of an event is in its text alone. So the text is the event of a
//! document only if it says of each field what the field says. No writer of ours makes another document, but whoever may
//! append can, and a later version may write what this one cannot read. Such a document hides no other, and is never shown
//! under another's name: it is what its fields say, and `details.unreadable_event` says why.
//!
//! A document without a text is one that another program has inserted, such as IVRE: all of it is in the fields.

use mongodb::bson::{Bson, Document};

use super::details::{details_of, json_of};
use super::document::{EVENT, STARTED, TARGETS, TEXT_FIELDS, columns_of, path, value_at};
use super::time::StoredTime;
use super::write_reply::integer;
use crate::event::undecodable::{UNKNOWN_TYPE, mark};
use crate::event::{AuditEvent, EventId, EventType, Phase, Timestamp};
use crate::query::Cursor;

/// Returns the event of a document.
pub(super) fn event_of(document: &Document) -> AuditEvent {
    let Ok(text) = document.get_str(EVENT) else {
        return salvaged(document);
    };
    let Ok(event) = serde_json::from_str::<AuditEvent>(text) else {
        let mut event = salvaged(document);
        mark(&mut event, text);
        return event;
    };
    let differing = differing(&event, document);
    if differing.is_empty() {
        return event;
    }
    // Not the text: it may be another's.
    let mut event = salvaged(document);
    mark(&mut event, &format!("the event is another than its document: {} differ", differing.join(", ")));
    event
}

/// Returns the position of a document that has at least the fields of [`POSITION`].
pub(super) fn position_of(document: &Document) -> Cursor {
    Cursor { created_at: time_of(document), event_id: id_of(document) }
}

/// The fields that a position is read from.
pub(super) const POSITION: [&str; 3] = ["event_id", "created_at", "micros"];

/// Reads a `started` event by its text. Whoever may append can make a document whose text is none, or another's: what
/// stands for it has its id alone, and is ended like any other.
pub(super) fn started(id: EventId, text: &str) -> AuditEvent {
    match serde_json::from_str::<AuditEvent>(text) {
        Ok(event) if event.event_id == id => event,
        _ => {
            let mut event = AuditEvent::new(EventType::as_stored(UNKNOWN_TYPE));
            event.event_id = id;
            event.phase = Phase::Started;
            mark(&mut event, text);
            event
        }
    }
}

/// The fields of which the event says something else.
fn differing(event: &AuditEvent, document: &Document) -> Vec<&'static str> {
    let expected = columns_of(event);
    let fields = ["event_id", "event_type", "created_at", "micros", "phase", "outcome", "details", STARTED, TARGETS];
    let all = fields.into_iter().chain(TEXT_FIELDS.map(path));
    all.filter(|path| {
        let present = |value: Option<&'_ Bson>| value.filter(|value| **value != Bson::Null).cloned();
        present(value_at(&expected, path)) != present(value_at(document, path))
    })
    .collect()
}

/// Makes an event of the fields.
fn salvaged(document: &Document) -> AuditEvent {
    let event_type = document.get_str("event_type").unwrap_or(UNKNOWN_TYPE);
    let mut event = AuditEvent::new(EventType::as_stored(event_type));
    event.event_id = id_of(document);
    event.created_at = time_of(document);
    event.phase = match value_at(document, "phase") {
        // Other programs have no phases.
        None | Some(Bson::Null) => Phase::Completed,
        // An unreadable phase says nothing about the end of the request.
        Some(phase) => phase.as_str().and_then(|phase| phase.parse().ok()).unwrap_or(Phase::Unknown),
    };
    for field in TEXT_FIELDS {
        let (Some(known), Some(Bson::String(text))) = (field.event_field(), value_at(document, path(field))) else {
            continue;
        };
        if !known.set_text(&mut event, text) {
            event.classification.error = serde_json::from_value(text.as_str().into()).ok();
        }
    }
    event.request.started_event_id = value_at(document, STARTED).and_then(Bson::as_str).and_then(|id| id.parse().ok());
    // Text that is no target is found by no filter on targets either.
    let targets = document.get_array(TARGETS).map(Vec::as_slice).unwrap_or_default();
    event.targets = targets.iter().filter_map(Bson::as_str).filter_map(|text| text.parse().ok()).collect();
    event.outcome = integer(document.get("outcome")).and_then(|outcome| outcome.try_into().ok());
    match document.get("details") {
        Some(Bson::Document(details)) => event.details = details_of(details),
        None | Some(Bson::Null) => {}
        Some(other) => {
            event.details.insert("details".into(), json_of(other));
        }
    }
    event.truncate_to_limits();
    event
}

/// The id of the event; that of nothing for a document without one.
fn id_of(document: &Document) -> EventId {
    let id = document.get_str("event_id").ok().and_then(|text| text.parse().ok());
    id.unwrap_or_else(|| match document.get("_id") {
        Some(Bson::Binary(id)) => id.bytes.as_slice().try_into().map_or(EventId::from_u128(0), EventId::from_bytes),
        _ => EventId::from_u128(0),
    })
}

fn time_of(document: &Document) -> Timestamp {
    let Ok(date) = document.get_datetime("created_at") else { return Timestamp::MIN };
    let micros = integer(document.get("micros")).filter(|micros| (0..1000).contains(micros)).unwrap_or(0);
    let time = StoredTime { date: *date, micros: i32::try_from(micros).unwrap_or(0) };
    time.to_timestamp().unwrap_or_else(|| if date.timestamp_millis() < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Target;
    use crate::store::mongodb::document::document_of;
    use mongodb::bson::doc;

    fn event() -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.actor.user_email = Some("alice".into());
        event.outcome = Some(200);
        event.targets.insert(Target::new("order", 7));
        event.details.insert("n".into(), 7.into());
        event
    }

    #[test]
    fn an_event_comes_back() {
        let event = event();
        let document = document_of(&event).unwrap();
        assert_eq!(event_of(&document), event);
        assert_eq!(position_of(&document), Cursor::of(&event));
    }

    #[test]
    fn a_document_that_says_something_else_is_what_its_fields_say() {
        let event = event();
        for (path, value) in [
            ("outcome", Bson::Int32(201)),
            ("phase", Bson::Null),
            ("micros", Bson::Int32(1000)),
            ("details", doc! {"n": 8}.into()),
            (TARGETS, Bson::Array(vec!["order/8".into()])),
            ("actor", doc! {"user_email": "bob"}.into()),
            ("event_id", EventId::new().to_string().into()),
        ] {
            let mut document = document_of(&event).unwrap();
            document.insert(path, value);
            let read = event_of(&document);
            assert!(read.details.contains_key("unreadable_event"), "{path}: {read:?}");
        }
    }

    #[test]
    fn a_document_of_ivre_is_read() {
        let id = EventId::new();
        let document = doc! {
            "event_id": id.to_string(), "event_type": "upload",
            "created_at": mongodb::bson::DateTime::from_millis(1_780_000_000_123),
            "actor": {"user_email": "alice@example.org", "api_key_hash": null, "remote_addr": "192.0.2.7"},
            "resource": {"route": "/scans", "method": "POST"}, "details": {"count": 3}, "outcome": 200,
        };
        let event = event_of(&document);
        assert_eq!((event.event_id, event.phase, event.outcome), (id, Phase::Completed, Some(200)));
        assert_eq!(event.details.get("count"), Some(&3.into()));
        assert_eq!(event.created_at.as_micros(), 1_780_000_000_123_000);
    }
}
