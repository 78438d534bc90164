//! The outcome badge: a word and an icon, readable without colours.

use crate::event::{AuditEvent, ErrorCode, Phase};

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutcomeBadge {
    /// A status below 400.
    Succeeded,
    /// No request, or one without an outcome.
    Noted,
    /// 401, 403, or an error code that says so.
    Denied,
    /// Any other 4xx.
    Rejected,
    /// 5xx.
    Failed,
    /// The handler panicked.
    Panicked,
    /// The handler was cancelled.
    Aborted,
    /// The request has started.
    Started,
    /// The request has started, and its process died before the end.
    Unknown,
}

impl OutcomeBadge {
    pub(super) fn of(event: &AuditEvent) -> Self {
        const DENIALS: [ErrorCode; 5] = [
            ErrorCode::UNAUTHENTICATED,
            ErrorCode::UNAUTHORIZED,
            ErrorCode::BAD_AUTHENTICATION,
            ErrorCode::BAD_SESSION,
            ErrorCode::BAD_CSRF_TOKEN,
        ];
        let says = |name: &str| event.details.get(name).and_then(serde_json::Value::as_bool) == Some(true);
        match (event.phase, event.outcome) {
            (Phase::Started, _) => Self::Started,
            (Phase::Unknown, _) => Self::Unknown,
            _ if says("panic") => Self::Panicked,
            _ if says("aborted") => Self::Aborted,
            _ if event.classification.error.as_ref().is_some_and(|error| DENIALS.contains(error)) => Self::Denied,
            (_, Some(401 | 403)) => Self::Denied,
            (_, Some(400..=499)) => Self::Rejected,
            (_, Some(500..)) => Self::Failed,
            (_, Some(_)) => Self::Succeeded,
            (_, None) => Self::Noted,
        }
    }

    /// Returns the word, which is also the name of the icon.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Succeeded => "done",
            Self::Noted => "noted",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Aborted => "aborted",
            Self::Started => "started",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    #[test]
    fn each_event_is_of_a_kind() {
        let event = |outcome| {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.outcome = outcome;
            event
        };
        for (outcome, kind) in [
            (None, OutcomeBadge::Noted),
            (Some(200), OutcomeBadge::Succeeded),
            (Some(304), OutcomeBadge::Succeeded),
            (Some(400), OutcomeBadge::Rejected),
            (Some(401), OutcomeBadge::Denied),
            (Some(403), OutcomeBadge::Denied),
            (Some(404), OutcomeBadge::Rejected),
            (Some(500), OutcomeBadge::Failed),
            (Some(999), OutcomeBadge::Failed),
        ] {
            assert_eq!(OutcomeBadge::of(&event(outcome)), kind);
        }
        let mut panicked = event(Some(500));
        panicked.details.insert("panic".into(), true.into());
        assert_eq!(OutcomeBadge::of(&panicked), OutcomeBadge::Panicked);
        let mut login = event(Some(200));
        login.classification.error = Some(ErrorCode::BAD_AUTHENTICATION);
        assert_eq!(OutcomeBadge::of(&login), OutcomeBadge::Denied);
        for (phase, kind) in [(Phase::Started, OutcomeBadge::Started), (Phase::Unknown, OutcomeBadge::Unknown)] {
            assert_eq!(OutcomeBadge::of(&AuditEvent { phase, ..panicked.clone() }), kind);
        }
    }
}
