//! The names of the profiles.

use std::fmt;
use std::str::FromStr;

use crate::event::excerpt;

/// A format of another system, in the one version that is written.
///
/// ```
/// use tower_audit::export::Profile;
///
/// let profile: Profile = "ecs".parse()?;
/// assert_eq!((profile, profile.version()), (Profile::Ecs, "9.4"));
/// assert!("splunk".parse::<Profile>().is_err());
/// # Ok::<(), tower_audit::export::ProfileError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// The audit log of Sonatype's Nexus IQ Server, as of its release 56.
    Iq,
    /// CloudEvents in structured JSON.
    CloudEvents,
    /// The Elastic Common Schema.
    Ecs,
    /// The Open Cybersecurity Schema Framework: API Activity, Authentication and Account Change.
    Ocsf,
    /// Log records of OpenTelemetry, in OTLP/JSON.
    Otlp,
    /// ArcSight's Common Event Format: one line of text.
    Cef,
}

/// A name that is no profile's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError(String);

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no profile: expected {}", self.0, Profile::names(Profile::ALL))
    }
}

impl std::error::Error for ProfileError {}

impl Profile {
    /// Every profile.
    pub const ALL: &'static [Self] = &[Self::Iq, Self::CloudEvents, Self::Ecs, Self::Ocsf, Self::Otlp, Self::Cef];

    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iq => "iq",
            Self::CloudEvents => "cloudevents",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
            Self::Otlp => "otlp",
            Self::Cef => "cef",
        }
    }

    /// Returns the version of the format.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Iq => "56",
            Self::CloudEvents => "1.0.2",
            Self::Ecs => "9.4",
            Self::Ocsf => "1.8.0",
            // Of the semantic conventions: the format itself is stable.
            Self::Otlp => "1.44.0",
            Self::Cef => "0",
        }
    }

    /// Returns true if an event is a JSON object; else it is a line of text.
    pub const fn is_json(self) -> bool {
        !matches!(self, Self::Cef)
    }

    /// Returns true if the line has the whole event in it, so that the event can be read back.
    pub const fn has_whole_event(self) -> bool {
        self.is_json()
    }

    /// Returns the media type of events as lines.
    pub const fn content_type(self) -> &'static str {
        if self.is_json() { "application/jsonl" } else { "text/plain; charset=utf-8" }
    }

    /// Returns the media type of events as a JSON array.
    pub const fn array_content_type(self) -> &'static str {
        match self {
            // The JSON batch format of CloudEvents.
            Self::CloudEvents => "application/cloudevents-batch+json",
            _ => "application/json",
        }
    }

    /// Returns the names of profiles, for an error.
    pub(crate) fn names(profiles: &[Self]) -> String {
        profiles.iter().map(|profile| format!("`{}`", profile.as_str())).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let known = Self::ALL.iter().find(|known| known.as_str() == text);
        known.copied().ok_or_else(|| ProfileError(excerpt(text)))
    }
}
