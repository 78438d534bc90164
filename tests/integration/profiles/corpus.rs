//! Events of every kind, hostile ones among them.

use std::sync::OnceLock;

use tower_audit::export::{EventFormat, EventSource, Profile, ProfileFormat};
use tower_audit::{Actor, AuditEvent, ErrorCode, EventId, EventType, Phase, Target};

use crate::hostile;

/// Events of every kind, and one for each hostile value.
pub(super) fn corpus() -> Vec<AuditEvent> {
    // Made once: the longest values have megabytes.
    static CORPUS: OnceLock<Vec<AuditEvent>> = OnceLock::new();
    CORPUS.get_or_init(made).clone()
}

fn made() -> Vec<AuditEvent> {
    let mut events = kinds();
    events.extend(hostile::events());
    // Before truncation: another program may have put it into a table.
    events.extend(
        hostile::values().iter().filter(|(_, value)| value.len() < 4096).map(|(_, value)| hostile::unfit(value)),
    );
    events
}

/// A plain event of every kind that a profile tells from others.
pub(super) fn kinds() -> Vec<AuditEvent> {
    let mut events = Vec::new();
    let types = ["backup.created", "user.deleted", "user.password-reset", "report.viewed", "x.y"];
    let own = types.map(|name| EventType::new(name).expect("a valid type"));
    for event_type in EventType::ALL.iter().cloned().chain(own) {
        for (method, outcome, error) in [
            (None, None, None),
            (Some("POST"), Some(201), None),
            (Some("PUT"), Some(403), Some(ErrorCode::UNAUTHORIZED)),
            (Some("DELETE"), Some(500), Some(ErrorCode::SERVER_ERROR)),
            (Some("GET"), Some(200), None),
            (Some("PURGE"), Some(999), None),
        ] {
            let mut event = AuditEvent::new(event_type.clone());
            event.created_at = "2026-05-25T12:00:00.123456Z".parse().expect("a time");
            event.resource.method = method.map(Into::into);
            event.outcome = outcome;
            event.classification.error = error;
            if method.is_some() {
                event.actor = Actor::user("alice@example.org").acting_for("bob");
                event.actor.remote_addr = Some(if outcome == Some(201) { "192.0.2.7" } else { "2001:db8::1" }.into());
                event.actor.api_key_hash = Some("ab".repeat(32).into());
                event.resource.route = Some("/users/{id}".into());
                event.request.request_uri = Some("/users/7?x=1".into());
                event.request.request_id = Some("r-17".into());
                event.request.user_agent = Some("curl/8".into());
                event.request.forwarded = Some("for=192.0.2.1".into());
                event.request.trace_id = Some("0af7651916cd43dd8448eb211c80319c".into());
                event.request.duration_us = Some(412);
                event.targets.insert(Target::new("user", "7").with_label("Carol"));
                event.details.insert("n".into(), serde_json::json!({ "deep": [1, 2.5, null, true] }));
            }
            events.push(event);
        }
    }
    for (domain, action) in [
        ("authentication", "login"),
        ("authentication", "logout"),
        ("authentication", "failure"),
        ("security.user", "create"),
        ("security.user", "delete"),
        ("security.user", "update"),
        ("security.user.password", "reset"),
        ("security.user.password", "update"),
        ("governance.policy", "import"),
    ] {
        let mut event = AuditEvent::new(EventType::HTTP_MUTATION);
        event.classification.domain = Some(domain.into());
        event.classification.action = Some(action.into());
        event.targets.insert(Target::new("user", "carol@example.org"));
        events.push(event);
    }
    for phase in [Phase::Started, Phase::Unknown] {
        let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
        event.phase = phase;
        event.request.started_event_id = (phase == Phase::Unknown).then(EventId::new);
        events.push(event);
    }
    let mut odd = AuditEvent::new(EventType::UPLOAD);
    odd.actor.remote_addr = Some("unix:/run/app.sock".into());
    odd.request.trace_id = Some("no trace id".into());
    odd.request.duration_us = Some(u64::MAX);
    odd.request.request_uri = Some("example.org:443".into());
    events.push(odd);
    events
}

/// The source that the tests name.
pub(super) fn source() -> EventSource {
    "https://shop.example.org/orders".parse().expect("a source")
}

/// Writes the events as lines of a profile.
pub(super) fn lines(profile: Profile, events: &[AuditEvent]) -> String {
    written(ProfileFormat::lines(profile, source()), events)
}

/// Writes the events in pages of ten.
pub(super) fn written(mut listing: ProfileFormat, events: &[AuditEvent]) -> String {
    let mut out = Vec::new();
    for page in events.chunks(10) {
        listing.write_page(page, &mut out).expect("a Vec takes everything");
    }
    listing.finish(&mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("UTF-8")
}
