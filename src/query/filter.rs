//! Which events a reader wants.

use std::fmt;

use crate::event::limits::excerpt;
use crate::event::{AuditEvent, EventType, Phase, Timestamp};

/// Which events a reader wants: every condition that is set must hold; text is compared exactly, case and all.
///
/// ```
/// use tower_audit::{AuditEvent, EventType};
/// use tower_audit::query::Filter;
///
/// let filter = Filter { event_type: Some(EventType::AUTH), ..Filter::default() };
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Events of this type.
    pub event_type: Option<EventType>,
    /// Events whose actor has this name.
    pub user_email: Option<String>,
    /// Events at this moment or later.
    pub since: Option<Timestamp>,
    /// Events before this moment.
    pub until: Option<Timestamp>,
    /// Events with this status.
    pub outcome: Option<u16>,
    /// Events of this route template.
    pub route: Option<String>,
    /// Events of this client address.
    pub remote_addr: Option<String>,
    /// Events of this phase.
    pub phase: Option<Phase>,
}

impl Filter {
    /// Whether the event is one of those wanted.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        self.since.is_none_or(|since| event.created_at >= since)
            && self.until.is_none_or(|until| event.created_at < until)
            && is(self.event_type.as_ref(), Some(&event.event_type))
            && is(self.user_email.as_deref(), event.actor.user_email.as_deref())
            && is(self.outcome.as_ref(), event.outcome.as_ref())
            && is(self.route.as_deref(), event.resource.route.as_deref())
            && is(self.remote_addr.as_deref(), event.actor.remote_addr.as_deref())
            && is(self.phase.as_ref(), Some(&event.phase))
    }

    /// Sets the condition called `name` from its textual form. `now` is what relative times count back from.
    ///
    /// # Errors
    /// If there is no such condition, or the value cannot be one; the text names both and what would be right.
    pub fn set(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), FilterError> {
        let wrong = |cause: String| FilterError(format!("{name}: {cause}"));
        match name {
            "event_type" => self.event_type = Some(value.parse().map_err(|e| wrong(format!("{e}")))?),
            "user_email" => self.user_email = Some(value.to_owned()),
            "since" => self.since = Some(super::parse_when(value, now).map_err(|e| wrong(e.to_string()))?),
            "until" => self.until = Some(super::parse_when(value, now).map_err(|e| wrong(e.to_string()))?),
            "outcome" => {
                // `FromStr` of a number would also take a sign.
                let digits = Some(value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
                let status = digits.and_then(|digits| digits.parse().ok());
                let status = status.filter(|status| (100..=999).contains(status));
                let status = status.ok_or_else(|| {
                    wrong(format!("{:?} is no HTTP status: expected a number from 100 to 999", excerpt(value)))
                })?;
                self.outcome = Some(status);
            }
            "route" => self.route = Some(value.to_owned()),
            "remote_addr" => self.remote_addr = Some(value.to_owned()),
            "phase" => self.phase = Some(value.parse().map_err(|e| wrong(format!("{e}")))?),
            other => {
                return Err(FilterError(format!(
                    "{:?} is no filter: expected one of {}",
                    excerpt(other),
                    Self::NAMES.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The names that [`set`](Self::set) knows.
    pub const NAMES: [&'static str; 8] =
        ["event_type", "user_email", "since", "until", "outcome", "route", "remote_addr", "phase"];
}

/// A filter that cannot be; the text says what was given and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError(String);

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FilterError {}
