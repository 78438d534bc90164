//! The settings of one type of events.

use super::{Facility, Severity, Template};

/// The settings of one type of events. An absent one is that of [`SyslogSettings`](super::SyslogSettings).
///
/// ```
/// use tower_audit::EventType;
/// use tower_audit::store::syslog::{Facility, Severity, SyslogSettings, Template, TypeSettings};
///
/// let logins = TypeSettings::new().facility(Facility::Authpriv).template(Template::new("login of {actor.user_email}")?);
/// let settings = SyslogSettings::unix("/dev/log").event_type(EventType::AUTH, logins);
/// # let _ = settings;
/// # Ok::<(), tower_audit::store::StoreError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TypeSettings {
    pub(super) facility: Option<Facility>,
    pub(super) severity: Option<Severity>,
    pub(super) template: Option<Template>,
}

impl TypeSettings {
    /// No setting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the facility.
    pub fn facility(mut self, facility: Facility) -> Self {
        self.facility = Some(facility);
        self
    }

    /// Sets the severity.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Sets the template of the text.
    pub fn template(mut self, template: Template) -> Self {
        self.template = Some(template);
        self
    }

    /// Returns these settings with those of `other` where there are none.
    #[cfg(feature = "policy-file")]
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            facility: self.facility.or(other.facility),
            severity: self.severity.or(other.severity),
            template: self.template.or(other.template),
        }
    }
}
