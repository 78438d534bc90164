//! Filters over events.

use super::condition::{event_type, phase, remote_addr};
use super::{Condition, FilterError, OutcomePattern, TextPattern};
use crate::event::excerpt;
use crate::event::{AuditEvent, Phase, Timestamp};

/// A filter over events: the conjunction of its conditions. Without conditions it passes every event.
///
/// ```
/// use tower_audit::{AuditEvent, EventType};
/// use tower_audit::query::{Condition, Filter, OutcomePattern, TextPattern};
///
/// let filter = Filter::new().event_type(EventType::AUTH).since("2026-05-25T00:00:00Z".parse::<tower_audit::Timestamp>()?);
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
///
/// // Denied or failed requests of any user whose name does not begin with `monitor-`.
/// let filter = Filter::new()
///     .outcome(Condition::any_of([OutcomePattern::Class(4), OutcomePattern::Class(5)]))
///     .user_email(Condition::none_of([TextPattern::prefix("monitor-")]));
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Events of these types.
    pub event_type: Condition<TextPattern>,
    /// Events whose actor has one of these names. Events without a name pass if names are only excluded.
    pub user_email: Condition<TextPattern>,
    /// Events at this time or later.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub until: Option<Timestamp>,
    /// Events with these statuses.
    pub outcome: Condition<OutcomePattern>,
    /// Events of these route templates.
    pub route: Condition<TextPattern>,
    /// Events of these client addresses. [`set`](Self::set) parses any form of an address. A pattern made otherwise is
    /// compared as it is with the form in events: no port, lower case, IPv4-mapped IPv6 as IPv4.
    pub remote_addr: Condition<TextPattern>,
    /// Events of these phases.
    pub phase: Condition<Phase>,
}

impl Filter {
    /// A filter without conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the condition on the event type.
    #[must_use]
    pub fn event_type(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.event_type = condition.into();
        self
    }

    /// Sets the condition on the actor's name.
    #[must_use]
    pub fn user_email(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.user_email = condition.into();
        self
    }

    /// Sets the earliest time.
    #[must_use]
    pub fn since(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.since = time.into();
        self
    }

    /// Sets the end, which is not included.
    #[must_use]
    pub fn until(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.until = time.into();
        self
    }

    /// Sets the condition on the HTTP status.
    #[must_use]
    pub fn outcome(mut self, condition: impl Into<Condition<OutcomePattern>>) -> Self {
        self.outcome = condition.into();
        self
    }

    /// Sets the condition on the route template.
    #[must_use]
    pub fn route(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.route = condition.into();
        self
    }

    /// Sets the condition on the client's address.
    #[must_use]
    pub fn remote_addr(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.remote_addr = condition.into();
        self
    }

    /// Sets the condition on the phase.
    #[must_use]
    pub fn phase(mut self, condition: impl Into<Condition<Phase>>) -> Self {
        self.phase = condition.into();
        self
    }

    /// Returns true if the event passes the filter.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.matches_fields(&FilterableFields::of(event))
    }

    /// Returns true if an event with these fields passes the filter.
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

    /// Sets the condition called `name` from its textual form. Relative times count back from `now`.
    ///
    /// A condition other than on time can be set several times: each call adds a value, or after a `!` an excluded value.
    /// Text may contain `*` ([`TextPattern`]). A status may be a class (`4xx`) or `none`, and a list with commas (`401,403`).
    ///
    /// # Errors
    /// The name is unknown, the value is not valid, or the condition has more than 20 values. The text names both and the
    /// remedy.
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

    /// Checks that `since` is before `until`, if both are set.
    ///
    /// # Errors
    /// It is not: no event could pass.
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

/// The fields of an event that a filter tests. A store may have them without the whole event.
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
