//! IVRE's events: documents, the output of its program, rows of its table.

use serde_json::{Map, Value, json};

use super::members::Members;
use super::{ImportFormat, ImportNote, Rejection};
use crate::event::{AuditEvent, CompactText, EventId, EventType, Timestamp};

/// The type of an event whose own type is no name.
const OTHER: &str = "ivre.event";

/// Makes an event of a document or a row. `derived` makes an id of the time.
pub(super) fn event(
    mut members: Members,
    derived: impl FnOnce(Timestamp) -> EventId,
) -> Result<(AuditEvent, Vec<ImportNote>), Rejection> {
    let at = match members.take("created_at") {
        None => return Err(Rejection::NoTime),
        Some(value) => time(&value).ok_or(Rejection::BadTime)?,
    };
    // Keys of the database alone.
    drop((members.take("_id"), members.take("id")));
    let event_id = match members.take("event_id") {
        Some(value) => match uuid(&value) {
            Some(id) => Some(id),
            None => {
                members.reject("event_id", value);
                None
            }
        },
        None => None,
    };
    let name = members.text("event_type");
    let event_type = name.as_deref().and_then(|name| EventType::new(name).ok());
    if event_type.is_none() {
        members.notes.push(ImportNote::BadType);
        members.keep("event_type", json!(name));
    }
    let mut event = AuditEvent::new(event_type.unwrap_or_else(|| EventType::as_stored(OTHER)));
    event.created_at = at;
    event.event_id = event_id.unwrap_or_else(|| derived(at));
    if event_id.is_none() {
        members.notes.push(ImportNote::DerivedId);
    }
    for (object, columns) in [
        (
            "actor",
            [
                ("user_email", "actor_user_email"),
                ("api_key_hash", "actor_api_key_hash"),
                ("remote_addr", "actor_remote_addr"),
            ]
            .as_slice(),
        ),
        ("resource", [("route", "resource_route"), ("method", "resource_method")].as_slice()),
    ] {
        let mut inner = Members::new(members.object(object).unwrap_or_default());
        for (name, column) in columns {
            let value = inner.text(name).or_else(|| members.text(column));
            *field(&mut event, column) = value;
        }
        let (rest, unmapped) = inner.into_rest();
        members.keep_rest_of(object, rest);
        for (name, value) in unmapped {
            members.notes.push(ImportNote::BadValue(object));
            members.keep(&format!("{object}.{name}"), value);
        }
    }
    if let Some(value) = members.take("outcome") {
        match number(&value).and_then(|number| u16::try_from(number).ok()) {
            Some(status) => event.outcome = Some(status),
            None => members.reject("outcome", value),
        }
    }
    if let Some(details) = members.object("details") {
        event.details = details;
    }
    let notes = members.finish(ImportFormat::Ivre, &mut event.details);
    Ok((event, notes))
}

fn field<'e>(event: &'e mut AuditEvent, column: &str) -> &'e mut Option<CompactText> {
    match column {
        "actor_user_email" => &mut event.actor.user_email,
        "actor_api_key_hash" => &mut event.actor.api_key_hash,
        "actor_remote_addr" => &mut event.actor.remote_addr,
        "resource_route" => &mut event.resource.route,
        _ => &mut event.resource.method,
    }
}

/// Reads a time: of IVRE's program and table, without a zone, which is UTC; or of MongoDB's JSON.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => {
            let text = text.replacen(' ', "T", 1);
            text.parse().or_else(|_| format!("{text}Z").parse()).ok()
        }
        Value::Object(extended) => match extended.get("$date")? {
            Value::String(text) => text.parse().ok(),
            millis => Timestamp::from_micros(number(millis)?.checked_mul(1000)?),
        },
        _ => None,
    }
}

/// Reads an integer, of MongoDB's JSON too.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Object(extended) => number_of(extended),
        value => value.as_i64(),
    }
}

fn number_of(extended: &Map<String, Value>) -> Option<i64> {
    let text = extended.get("$numberLong").or_else(|| extended.get("$numberInt"))?;
    text.as_str()?.parse().ok()
}

fn uuid(value: &Value) -> Option<EventId> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Object(extended) => extended.get("$uuid")?.as_str()?.parse().ok(),
        _ => None,
    }
}
