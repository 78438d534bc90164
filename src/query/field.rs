//! Fields that events are grouped by.

use std::fmt;
use std::str::FromStr;

use super::FilterError;
use crate::event::AuditEvent;
use crate::event::excerpt;

/// A field that events are grouped by.
///
/// Exhaustive, so that the compiler shows a new field to the authors of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "stores handle every variant")]
pub enum Field {
    /// `event_type`
    EventType,
    /// `actor.user_email`
    UserEmail,
    /// `actor.remote_addr`
    RemoteAddr,
    /// `resource.route`
    Route,
    /// `outcome`
    Outcome,
    /// `phase`
    Phase,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 6] =
        [Self::EventType, Self::UserEmail, Self::RemoteAddr, Self::Route, Self::Outcome, Self::Phase];

    /// Returns the name, as in filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::UserEmail => "user_email",
            Self::RemoteAddr => "remote_addr",
            Self::Route => "route",
            Self::Outcome => "outcome",
            Self::Phase => "phase",
        }
    }

    /// Returns the event's value of this field as text, or `None` if it is absent.
    pub fn value_of(self, event: &AuditEvent) -> Option<String> {
        match self {
            Self::EventType => Some(event.event_type.as_str().to_owned()),
            Self::UserEmail => event.actor.user_email.as_deref().map(str::to_owned),
            Self::RemoteAddr => event.actor.remote_addr.as_deref().map(str::to_owned),
            Self::Route => event.resource.route.as_deref().map(str::to_owned),
            Self::Outcome => event.outcome.map(|outcome| outcome.to_string()),
            Self::Phase => Some(event.phase.as_str().to_owned()),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Field {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::ALL.into_iter().find(|field| field.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            FilterError::new(format!("{:?} is not a field to group by: expected one of {known}", excerpt(text)))
        })
    }
}
