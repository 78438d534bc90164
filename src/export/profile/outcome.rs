//! Success or failure, for formats that have words for it.

use crate::event::{AuditEvent, Phase, nexus_iq};

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
    /// The event is `started` or `unknown`, or has neither status nor error.
    Unknown,
}

impl Outcome {
    /// Derives the outcome: of the phase, the error, the status.
    pub(super) fn of(event: &AuditEvent) -> Self {
        let classification = &event.classification;
        if event.phase != Phase::Completed {
            return Self::Unknown;
        }
        let is_failed_login = classification.domain.as_deref() == Some(nexus_iq::AUTHENTICATION)
            && classification.action.as_deref() == Some(nexus_iq::FAILURE);
        if classification.error.is_some() || is_failed_login {
            return Self::Failure;
        }
        match event.outcome {
            Some(400..) => Self::Failure,
            Some(_) => Self::Success,
            None => Self::Unknown,
        }
    }

    /// Returns the word of CEF, ECS and others.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }
}
