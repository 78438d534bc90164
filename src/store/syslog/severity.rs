//! The severity of a message.

use std::fmt;

use super::error::config;
use crate::event::{AuditEvent, EventType, excerpt};
use crate::store::StoreError;

/// The severity of a message (RFC 5424, table 2), from the most severe on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these eight")]
pub enum Severity {
    /// The system is unusable.
    Emergency = 0,
    /// Somebody must act at once.
    Alert = 1,
    /// A critical condition.
    Critical = 2,
    /// An error.
    Error = 3,
    /// A warning.
    Warning = 4,
    /// Normal but significant.
    Notice = 5,
    /// Information.
    Informational = 6,
    /// For debugging.
    Debug = 7,
}

/// The names of each severity, the usual one first.
const NAMES: [(Severity, &[&str]); 8] = [
    (Severity::Emergency, &["emerg", "emergency"]),
    (Severity::Alert, &["alert"]),
    (Severity::Critical, &["crit", "critical"]),
    (Severity::Error, &["err", "error"]),
    (Severity::Warning, &["warning", "warn"]),
    (Severity::Notice, &["notice"]),
    (Severity::Informational, &["info"]),
    (Severity::Debug, &["debug"]),
];

impl Severity {
    /// Returns the name, as configurations of collectors have it.
    pub fn as_str(self) -> &'static str {
        NAMES[self as usize].1[0]
    }

    /// Returns the severity of this name.
    ///
    /// # Errors
    /// If there is none of this name; the error lists the names.
    pub fn from_name(name: &str) -> Result<Self, StoreError> {
        let found = NAMES.into_iter().find(|(_, names)| names.contains(&name));
        found.map(|(severity, _)| severity).ok_or_else(|| {
            let names: Vec<_> = NAMES.into_iter().flat_map(|(_, names)| names).copied().collect();
            config(format!("{:?} is no severity: expected one of {}", excerpt(name), names.join(", ")))
        })
    }

    /// Returns the default severity of an event.
    pub(super) fn of(event: &AuditEvent) -> Self {
        match event.outcome {
            _ if event.event_type == EventType::AUDIT_FAILED => Self::Critical,
            Some(500..) => Self::Error,
            Some(400..) => Self::Warning,
            _ if event.event_type == EventType::OVERSIZE_QUERY => Self::Warning,
            _ => Self::Notice,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_agree() {
        for (code, (severity, names)) in NAMES.into_iter().enumerate() {
            assert_eq!(severity as usize, code);
            assert!(names.iter().all(|name| Severity::from_name(name).unwrap() == severity));
        }
        let error = Severity::from_name("loud").unwrap_err().to_string();
        assert!(error.contains("\"loud\"") && error.contains("notice"), "{error}");
    }

    #[test]
    fn failures_are_more_severe() {
        let of = |event_type, outcome| {
            let mut event = AuditEvent::new(event_type);
            event.outcome = outcome;
            Severity::of(&event)
        };
        assert_eq!(of(EventType::UPLOAD, Some(200)), Severity::Notice);
        assert_eq!(of(EventType::UPLOAD, Some(403)), Severity::Warning);
        assert_eq!(of(EventType::UPLOAD, Some(503)), Severity::Error);
        assert_eq!(of(EventType::OVERSIZE_QUERY, Some(200)), Severity::Warning);
        assert_eq!(of(EventType::AUDIT_FAILED, None), Severity::Critical);
    }
}
