//! An event as a line: fields, or JSON in the message.

use std::array;
use std::borrow::Cow;
use std::io;

use tracing::field::Value;
use tracing::{Dispatch, Event, Metadata};

use super::config::LineFormat;
use crate::event::{AuditEvent, CompactText};
use crate::export::{is_unsafe_to_display, to_json};

/// The fields of a line. `targets` and `details` are JSON.
pub(super) const FIELDS: [&str; 25] = [
    "message",
    "event_id",
    "event_type",
    "created_at",
    "phase",
    "user_email",
    "api_key_hash",
    "remote_addr",
    "acting_for",
    "route",
    "method",
    "targets",
    "outcome",
    "details",
    "request_id",
    "started_event_id",
    "request_uri",
    "user_agent",
    "forwarded",
    "trace_id",
    "duration_us",
    "domain",
    "action",
    "error",
    "extra",
];

/// The message of a line with fields.
const MESSAGE: &str = "audit event";

/// An event as a line. Control characters, and others that a terminal acts on, are escaped: a value cannot end the line.
pub(super) enum EventLine {
    Fields(Box<[LineValue; FIELDS.len()]>),
    Json(String),
}

/// The value of a field.
pub(super) enum LineValue {
    Absent,
    Text(String),
    Number(u64),
}

impl EventLine {
    /// Renders an event.
    ///
    /// # Errors
    /// The event is no JSON; an event always is.
    pub(super) fn of(event: &AuditEvent, format: LineFormat) -> io::Result<Self> {
        match format {
            LineFormat::Json => to_json(event).map(Self::Json),
            LineFormat::Fields => fields(event).map(|values| Self::Fields(Box::new(values))),
        }
    }

    /// Gives the line to a subscriber. Runs code of the app's.
    pub(super) fn give_to(&self, subscriber: &Dispatch, metadata: &'static Metadata<'static>) {
        match self {
            Self::Json(json) => {
                if let Some(message) = metadata.fields().iter().next() {
                    let values = [(&message, Some(json as &dyn Value))];
                    subscriber.event(&Event::new(metadata, &metadata.fields().value_set(&values)));
                }
            }
            Self::Fields(values) => {
                let mut names = metadata.fields().iter();
                let names: [_; FIELDS.len()] = array::from_fn(|_| names.next());
                let values: [_; FIELDS.len()] = array::from_fn(|at| match (&names[at], &values[at]) {
                    (Some(name), LineValue::Text(text)) => (name, Some(text as &dyn Value)),
                    (Some(name), LineValue::Number(number)) => (name, Some(number as &dyn Value)),
                    (Some(name), LineValue::Absent) => (name, None),
                    (None, _) => unreachable!("the metadata has a name for each value"),
                });
                subscriber.event(&Event::new(metadata, &metadata.fields().value_set(&values)));
            }
        }
    }
}

fn fields(event: &AuditEvent) -> io::Result<[LineValue; FIELDS.len()]> {
    let AuditEvent {
        event_id,
        event_type,
        created_at,
        phase,
        actor,
        resource,
        targets,
        outcome,
        details,
        request,
        classification,
        extra,
        is_stand_in: _,
    } = event;
    Ok([
        text(MESSAGE),
        text(event_id.to_hex().as_str()),
        text(event_type.as_str()),
        text(&created_at.to_string()),
        text(phase.as_str()),
        optional(&actor.user_email),
        optional(&actor.api_key_hash),
        optional(&actor.remote_addr),
        optional(&actor.acting_for),
        optional(&resource.route),
        optional(&resource.method),
        if targets.is_empty() { LineValue::Absent } else { LineValue::Text(to_json(targets)?) },
        outcome.map_or(LineValue::Absent, |status| LineValue::Number(status.into())),
        if details.is_empty() { LineValue::Absent } else { LineValue::Text(to_json(details)?) },
        optional(&request.request_id),
        request.started_event_id.map_or(LineValue::Absent, |id| text(id.to_hex().as_str())),
        optional(&request.request_uri),
        optional(&request.user_agent),
        optional(&request.forwarded),
        optional(&request.trace_id),
        request.duration_us.map_or(LineValue::Absent, LineValue::Number),
        optional(&classification.domain),
        optional(&classification.action),
        classification.error.as_ref().map_or(LineValue::Absent, |error| text(error.as_str())),
        if extra.is_empty() { LineValue::Absent } else { LineValue::Text(to_json(extra)?) },
    ])
}

fn optional(value: &Option<CompactText>) -> LineValue {
    value.as_ref().map_or(LineValue::Absent, |value| text(value))
}

fn text(value: &str) -> LineValue {
    LineValue::Text(escape(value).into_owned())
}

/// Escapes unsafe characters as Rust does: a line feed is `\n`, U+202E is `\u{202e}`. A backslash that would look like the
/// beginning of one is `\u{5c}`, so that two values never look alike.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe_to_display) && !text.contains('\\') {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for (at, char) in text.char_indices() {
        if is_unsafe_to_display(char) {
            escaped.extend(char.escape_default());
        } else if char == '\\' && ESCAPES.iter().any(|escape| text[at + 1..].starts_with(escape)) {
            escaped.push_str("\\u{5c}");
        } else {
            escaped.push(char);
        }
    }
    escaped.into()
}

/// The escapes of [`char::escape_default`] for unsafe characters, behind their backslash.
const ESCAPES: [&str; 4] = ["n", "r", "t", "u{"];
