//! Filters over events.

use super::condition::{event_type, phase, remote_addr};
use super::{Condition, FilterError, OutcomePattern, TextPattern};
use crate::event::excerpt;
use crate::event::{AuditEvent, Phase, Timestamp};

/// A filter over events: the conjunction of its conditions.
///
/// ```
/// use tower_audit::{AuditEvent, EventType};
/// use tower_audit::query::{Condition, Filter, TextPattern, OutcomePattern};
///
/// let filter = Filter { event_type: EventType::AUTH.into(), ..Filter::default() };
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
///
/// // ValueKind was denied or failed, of anybody but the monitoring.
/// let filter = Filter {
///     outcome: Condition::any_of([OutcomePattern::Class(4), OutcomePattern::Class(5)]),
///     user_email: Condition::none_of([TextPattern::prefix("monitor-")]),
///     ..Filter::default()
/// };
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Events of these types.
    pub event_type: Condition<TextPattern>,
    /// Events whose actor has one of these names. Whoever has none passes where names are only unwanted.
    pub user_email: Condition<TextPattern>,
    /// Events at this moment or later.
    pub since: Option<Timestamp>,
    /// Events before this moment.
    pub until: Option<Timestamp>,
    /// Events with these statuses.
    pub outcome: Condition<OutcomePattern>,
    /// Events of these route templates.
    pub route: Condition<TextPattern>,
    /// Events of these client addresses. [`set`](Self::set) reads any form of an address; a pattern that was made otherwise
    /// is compared as it is with the one that events have: no port, lower case, IPv4 where it was mapped into IPv6.
    pub remote_addr: Condition<TextPattern>,
    /// Events of these phases.
    pub phase: Condition<Phase>,
}

impl Filter {
    /// Returns true if the event passes the filter.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.matches_fields(&FilterableFields::of(event))
    }

    /// Whether an event of which this is known is one of those wanted.
    pub(crate) fn matches_fields(&self, event: &FilterableFields<'_>) -> bool {
        fn text(condition: &Condition<TextPattern>, found: Option<&str>) -> bool {
            condition.matches(|pattern| found.is_some_and(|found| pattern.matches(found)))
        }
        self.since.is_none_or(|since| event.created_at >= since)
            && self.until.is_none_or(|until| event.created_at < until)
            && text(&self.event_type, Some(event.event_type))
            && text(&self.user_email, event.user_email)
            && self.outcome.matches(|status| status.matches(event.outcome))
            && text(&self.route, event.route)
            && text(&self.remote_addr, event.remote_addr)
            && self.phase.matches(|phase| *phase == event.phase)
    }

    /// Sets the condition called `name` from its textual form. `now` is what relative times count back from.
    ///
    /// A condition on something else than time can be set several times: with each the field may be one thing more,
    /// or, after a `!`, must not be one more. Text may have `*` in it ([`TextPattern`]); a status may be a class (`4xx`) or
    /// `none`, and several may stand in one text, with commas between them.
    ///
    /// # Errors
    /// If there is no such condition, the value cannot be one, or a condition has more than 20 values; the text names
    /// both and what would be right.
    pub fn set(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), FilterError> {
        let when = |value| super::parse_time(value, now).map(Some).map_err(|error| FilterError::new(error.to_string()));
        let done = match name {
            "event_type" => self.event_type.add_parsed(value, event_type),
            "user_email" => self.user_email.add_parsed(value, TextPattern::parse),
            "since" => when(value).map(|since| self.since = since),
            "until" => when(value).map(|until| self.until = until),
            // No status has a comma in it.
            "outcome" => value.split(',').try_for_each(|value| self.outcome.add_parsed(value.trim(), str::parse)),
            "route" => self.route.add_parsed(value, TextPattern::parse),
            "remote_addr" => self.remote_addr.add_parsed(value, remote_addr),
            "phase" => self.phase.add_parsed(value, phase),
            other => {
                return Err(FilterError::new(format!(
                    "{:?} is not a filter: expected one of {}",
                    excerpt(other),
                    Self::FIELD_NAMES.join(", ")
                )));
            }
        };
        done.map_err(|error| FilterError::new(format!("{name}: {error}")))
    }

    /// Checks that there is time between `since` and `until`, if both are set.
    ///
    /// # Errors
    /// If there is none: no event could pass.
    pub fn check_times(&self) -> Result<(), FilterError> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(FilterError::new(format!("until: {until} is not after since, {since}: no event is in between")))
            }
            _ => Ok(()),
        }
    }

    /// The names that [`set`](Self::set) knows.
    pub const FIELD_NAMES: [&'static str; 8] =
        ["event_type", "user_email", "since", "until", "outcome", "route", "remote_addr", "phase"];
}

/// What a filter looks at in an event: a store can have it without the whole event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterableFields<'a> {
    pub(crate) created_at: Timestamp,
    pub(crate) event_type: &'a str,
    pub(crate) user_email: Option<&'a str>,
    pub(crate) outcome: Option<u16>,
    pub(crate) route: Option<&'a str>,
    pub(crate) remote_addr: Option<&'a str>,
    pub(crate) phase: Phase,
}

impl<'a> FilterableFields<'a> {
    fn of(event: &'a AuditEvent) -> Self {
        Self {
            created_at: event.created_at,
            event_type: event.event_type.as_str(),
            user_email: event.actor.user_email.as_deref(),
            outcome: event.outcome,
            route: event.resource.route.as_deref(),
            remote_addr: event.actor.remote_addr.as_deref(),
            phase: event.phase,
        }
    }
}
