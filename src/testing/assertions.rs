//! Assertions about recorded events.

use std::fmt::Write as _;

use serde_json::Value;

use super::MemoryLog;
use crate::event::{AuditEvent, Phase};

/// Asserts that the log holds an event; the methods of the result say which.
///
/// # Panics
/// If nothing was recorded.
#[track_caller]
pub fn assert_recorded(log: &MemoryLog) -> RecordedEvents {
    let events = log.events();
    let recorded = RecordedEvents { matching: events.clone(), all: events, conditions: Vec::new() };
    recorded.assert_any();
    recorded
}

/// Asserts that the log holds no event.
///
/// # Panics
/// If an event was recorded.
#[track_caller]
pub fn assert_nothing_recorded(log: &MemoryLog) {
    let events = log.events();
    assert!(events.is_empty(), "expected no recorded event; {}", listed(&events));
}

/// Recorded events that met every condition so far, from [`assert_recorded`].
///
/// Each method narrows them down, and panics if no event is left.
#[derive(Debug, Clone)]
pub struct RecordedEvents {
    matching: Vec<AuditEvent>,
    all: Vec<AuditEvent>,
    conditions: Vec<String>,
}

#[allow(clippy::return_self_not_must_use, reason = "each step asserts, and any of them may be the last")]
impl RecordedEvents {
    /// Asserts the event type, such as `upload`.
    #[track_caller]
    pub fn event_type(self, name: &str) -> Self {
        self.narrow(format!("event type {name:?}"), |event| event.event_type.as_str() == name)
    }

    /// Asserts the name of the actor.
    #[track_caller]
    pub fn by(self, user: &str) -> Self {
        self.narrow(format!("actor {user:?}"), |event| event.actor.user_email.as_deref() == Some(user))
    }

    /// Asserts that no actor is named.
    #[track_caller]
    pub fn by_nobody(self) -> Self {
        self.narrow("no actor".to_owned(), |event| event.actor.user_email.is_none())
    }

    /// Asserts the HTTP status.
    #[track_caller]
    pub fn outcome(self, status: u16) -> Self {
        self.narrow(format!("outcome {status}"), |event| event.outcome == Some(status))
    }

    /// Asserts the phase.
    #[track_caller]
    pub fn phase(self, phase: Phase) -> Self {
        self.narrow(format!("phase {phase}"), |event| event.phase == phase)
    }

    /// Asserts the route template, such as `/users/{id}`.
    #[track_caller]
    pub fn route(self, route: &str) -> Self {
        self.narrow(format!("route {route:?}"), |event| event.resource.route.as_deref() == Some(route))
    }

    /// Asserts one of the targets by its text form, such as `order/7`.
    #[track_caller]
    pub fn target(self, target: &str) -> Self {
        self.narrow(format!("target {target:?}"), |event| event.targets.iter().any(|it| it.to_string() == target))
    }

    /// Asserts the HTTP method.
    #[track_caller]
    pub fn method(self, method: &str) -> Self {
        self.narrow(format!("method {method:?}"), |event| event.resource.method.as_deref() == Some(method))
    }

    /// Asserts one of the details.
    #[track_caller]
    pub fn detail(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.narrow(format!("detail {name:?} = {value}"), |event| event.details.get(name) == Some(&value))
    }

    /// Asserts that exactly one event meets the conditions, and returns it.
    ///
    /// A rule with write-ahead, such as that of [`AuditPolicy::mutations`](crate::AuditPolicy::mutations), records two
    /// events: add [`phase`](Self::phase) or [`outcome`](Self::outcome), which a `started` event lacks.
    #[track_caller]
    pub fn once(mut self) -> AuditEvent {
        self.assert_count(1);
        self.matching.remove(0)
    }

    /// Asserts the number of events that meet the conditions, and returns them, oldest first.
    #[track_caller]
    pub fn times(self, count: usize) -> Vec<AuditEvent> {
        self.assert_count(count);
        self.matching
    }

    #[track_caller]
    fn narrow(mut self, condition: String, is_met: impl Fn(&AuditEvent) -> bool) -> Self {
        self.conditions.push(condition);
        self.matching.retain(is_met);
        self.assert_any();
        self
    }

    #[track_caller]
    fn assert_any(&self) {
        assert!(!self.matching.is_empty(), "expected an event{}; {}", self.described(), listed(&self.all));
    }

    #[track_caller]
    fn assert_count(&self, count: usize) {
        let matching = self.matching.len();
        assert!(
            matching == count,
            "expected {count} events{}, and {matching} match{}; {}",
            self.described(),
            self.hint(count),
            listed(&self.all)
        );
    }

    /// The usual reason for twice as many events: each request has a `started` event as well.
    fn hint(&self, expected: usize) -> &'static str {
        let ended = self.matching.iter().filter(|event| event.phase == Phase::Completed).count();
        let is_twice = ended == expected && self.matching.len() > expected;
        if is_twice {
            " (a rule with write-ahead records `started` as well: add `.phase(Phase::Completed)`)"
        } else {
            ""
        }
    }

    fn described(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!(" with {}", self.conditions.join(", ")) }
    }
}

/// Lists events as JSON, one a line.
fn listed(events: &[AuditEvent]) -> String {
    let mut text = match events.len() {
        0 => return "nothing was recorded".to_owned(),
        count => format!("recorded were {count}:"),
    };
    for event in events {
        let json = serde_json::to_string(event).unwrap_or_else(|error| format!("{event:?} ({error})"));
        let _ = write!(text, "\n  {json}");
    }
    text
}
