//! The kind of an action, for formats that have a closed list of kinds.

use crate::event::{AuditEvent, EventType, nexus_iq};

/// The kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    Login,
    Logout,
    Create,
    Read,
    Update,
    Delete,
    Other,
}

/// The last word of an action or an event type, and its kind.
const VERBS: &[(&str, Activity)] = &[
    ("create", Activity::Create),
    ("created", Activity::Create),
    ("auto-create", Activity::Create),
    ("add", Activity::Create),
    ("added", Activity::Create),
    ("upload", Activity::Create),
    ("uploaded", Activity::Create),
    ("import", Activity::Create),
    ("imported", Activity::Create),
    ("install", Activity::Create),
    ("read", Activity::Read),
    ("view", Activity::Read),
    ("viewed", Activity::Read),
    ("list", Activity::Read),
    ("export", Activity::Read),
    ("exported", Activity::Read),
    ("print", Activity::Read),
    ("update", Activity::Update),
    ("updated", Activity::Update),
    ("change", Activity::Update),
    ("changed", Activity::Update),
    ("configure", Activity::Update),
    ("set", Activity::Update),
    ("reset", Activity::Update),
    ("move", Activity::Update),
    ("delete", Activity::Delete),
    ("deleted", Activity::Delete),
    ("remove", Activity::Delete),
    ("removed", Activity::Delete),
    ("purge", Activity::Delete),
    ("uninstall", Activity::Delete),
];

impl Activity {
    /// Derives the kind: of the action, the type, the method, in this order.
    pub(super) fn of(event: &AuditEvent) -> Self {
        if is_authentication(event) {
            let is_logout = event.classification.action.as_deref() == Some(nexus_iq::LOGOUT);
            return if is_logout { Self::Logout } else { Self::Login };
        }
        if event.event_type == EventType::OVERSIZE_QUERY {
            return Self::Read;
        }
        let name = event.event_type.as_str();
        let words = [event.classification.action.as_deref(), Some(name), name.rsplit('.').next()];
        let verb = words.into_iter().flatten().find_map(|word| VERBS.iter().find(|(verb, _)| *verb == word));
        if let Some((_, activity)) = verb {
            return *activity;
        }
        match event.resource.method.as_deref() {
            Some("GET" | "HEAD" | "OPTIONS") => Self::Read,
            Some("POST") => Self::Create,
            Some("PUT" | "PATCH") => Self::Update,
            Some("DELETE") => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// Returns true for a sign-in, a sign-out or a failed attempt.
pub(super) fn is_authentication(event: &AuditEvent) -> bool {
    event.event_type == EventType::AUTH || event.classification.domain.as_deref() == Some(nexus_iq::AUTHENTICATION)
}
