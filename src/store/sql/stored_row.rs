//! A row of the events, as the stores with columns read it: a filter and a reader see the same values.
//!
//! Filters and the gate act on the columns; the rest of an event is in its text alone. So the text is the event of a row
//! only if it says of each column what the column says. No writer of ours makes another row, but whoever may append can,
//! and a later version may write what this one cannot read. Such a row hides no other, and is never shown under another's
//! name: it is what its columns say, and `details.unreadable_event` says why.
//!
//! A row without a text is one that another program has inserted: all of it is in the columns.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::event_columns::{self, TEXT_COLUMNS};
use crate::event::undecodable::{UNKNOWN_TYPE, mark};
use crate::event::{AuditEvent, Details, EventId, EventType, Phase, Timestamp};

/// The values of the columns.
#[derive(Debug, Clone)]
pub(crate) struct StoredRow<'r> {
    pub(crate) event_id: EventId,
    /// The nearest time that an event can have.
    pub(crate) created_at: Timestamp,
    /// True if the row has another time.
    pub(crate) is_clamped: bool,
    pub(crate) event_type: Option<&'r str>,
    pub(crate) phase: Option<&'r str>,
    /// The targets, each as text.
    pub(crate) targets: Vec<Cow<'r, str>>,
    /// True if the columns of the targets have something that is no target.
    pub(crate) has_stray_target: bool,
    pub(crate) outcome: Option<i32>,
    pub(crate) details: Option<&'r str>,
    pub(crate) texts: [Option<&'r str>; TEXT_COLUMNS.len()],
}

impl StoredRow<'_> {
    /// The event of the row with this text; empty for a row without one.
    pub(crate) fn event_of(&self, text: &str) -> AuditEvent {
        if text.is_empty() {
            let mut event = self.to_event();
            if let Some(why) = self.impossible(&event) {
                mark(&mut event, &why);
            }
            return event;
        }
        let Ok(event) = serde_json::from_str::<AuditEvent>(text) else {
            let mut event = self.to_event();
            mark(&mut event, text);
            return event;
        };
        let differing = self.differing(&event);
        if differing.is_empty() {
            return event;
        }
        // Not the text: it may be another's.
        let mut event = self.to_event();
        mark(&mut event, &format!("the event is another than its row: {} differ", differing.join(", ")));
        event
    }

    /// The columns of which the event says something else.
    fn differing(&self, event: &AuditEvent) -> Vec<&'static str> {
        let same = [
            ("event_id", event.event_id == self.event_id),
            ("created_at", event.created_at == self.created_at && !self.is_clamped),
            ("event_type", event.event_type.as_str() == self.event_type()),
            ("phase", event.phase.as_str() == self.phase()),
            ("outcome", event.outcome.map(i32::from) == self.outcome),
            ("details", is_same_object(&event.details, self.details)),
            ("target_type, target_id or more_targets", self.has_targets(event)),
        ];
        let texts = TEXT_COLUMNS.into_iter().zip(&self.texts);
        let texts =
            texts.map(|((column, field), text)| (column, event_columns::text(event, field).as_deref() == *text));
        same.into_iter().chain(texts).filter(|(_, is_same)| !is_same).map(|(column, _)| column).collect()
    }

    fn has_targets(&self, event: &AuditEvent) -> bool {
        !self.has_stray_target && self.targets.iter().map(Cow::as_ref).eq(event.targets.iter().map(ToString::to_string))
    }

    /// If the owner has dropped NOT NULL, a row may lack the value.
    fn event_type(&self) -> &str {
        self.event_type.unwrap_or(UNKNOWN_TYPE)
    }

    fn phase(&self) -> &str {
        self.phase.unwrap_or_default()
    }

    /// A value of a column that no event can have.
    fn impossible(&self, event: &AuditEvent) -> Option<String> {
        if self.is_clamped {
            return Some("no event has a time outside of the years 1 to 9999".to_owned());
        }
        if event.phase.as_str() != self.phase() {
            return Some(format!("no event has the phase {:?}", self.phase()));
        }
        if let Some(outcome) = self.outcome.filter(|outcome| event.outcome.map(i32::from) != Some(*outcome)) {
            return Some(format!("no event has the outcome {outcome}"));
        }
        // For example 1e400, or arrays 200 deep.
        let error = self.details.map(serde_json::from_str::<Value>)?.err()?;
        Some(format!("its details cannot be read: {error}"))
    }

    fn to_event(&self) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::as_stored(self.event_type()));
        event.event_id = self.event_id;
        event.created_at = self.created_at;
        // An unreadable phase says nothing about the end of the request.
        event.phase = self.phase().parse().unwrap_or(Phase::Unknown);
        for ((_, field), text) in TEXT_COLUMNS.into_iter().zip(self.texts) {
            let (Some(field), Some(text)) = (field.event_field(), text) else { continue };
            if !field.set_text(&mut event, text) {
                event.classification.error = serde_json::from_value(text.into()).ok();
            }
        }
        // Text that is no target is found by no filter on targets either.
        event.targets = self.targets.iter().filter_map(|text| text.parse().ok()).collect();
        event.outcome = self.outcome.and_then(|outcome| outcome.try_into().ok());
        event.details = match self.details.map(serde_json::from_str) {
            Some(Ok(Value::Object(details))) => details,
            // Any JSON can be in the column.
            Some(Ok(other)) if !other.is_null() => std::iter::once(("details".to_owned(), other)).collect(),
            _ => Details::new(),
        };
        event.truncate_to_limits();
        event
    }
}

/// Compares details with what the server has made of them: it orders the names anew, and writes numbers in its own way.
fn is_same_object(details: &Details, column: Option<&str>) -> bool {
    match column.map(serde_json::from_str::<Value>) {
        None | Some(Ok(Value::Null)) => details.is_empty(),
        Some(Ok(Value::Object(column))) => {
            details.len() == column.len()
                && details.iter().all(|(name, value)| column.get(name).is_some_and(|other| is_same(value, other)))
        }
        _ => false,
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => is_same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// Compares integers exactly; what was a fraction or beyond them may be written as an integer now.
fn is_same_number(one: &Number, other: &Number) -> bool {
    if one.is_f64() || other.is_f64() { one.as_f64() == other.as_f64() } else { one == other }
}

/// A `started` event by its text. Whoever may append can make a row whose text is none, or another's: what stands for it has
/// its id alone, is ended like any other, and keeps no log from being opened.
pub(crate) fn started_event(id: EventId, text: &str) -> AuditEvent {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn details_are_the_same_however_they_are_written() {
        let details = json!({"a": [1e20, 1e308, -0.0, 1.5, u64::MAX], "b": {"c": null, "d": "x"}});
        let details = details.as_object().expect("an object").clone();
        let column = format!(
            r#"{{"b": {{"d": "x", "c": null}}, "a": [100000000000000000000, 1{}, 0.0, 1.50, 18446744073709551615]}}"#,
            "0".repeat(308)
        );
        assert!(is_same_object(&details, Some(&column)));
        for other in [
            column.replace("1.50", "1.51"),
            column.replace("551615", "551614"),
            column.replace("null", "0"),
            column.replace(r#""d": "x", "#, ""),
            "[]".to_owned(),
            "{}".to_owned(),
        ] {
            assert!(!is_same_object(&details, Some(&other)), "{other}");
        }
        assert!(!is_same_object(&details, None));
        for nothing in [None, Some("{}"), Some("null")] {
            assert!(is_same_object(&Details::new(), nothing));
        }
    }
}
