//! Events and helpers that the tests of this folder share.

use tower_audit::export::EventFormat;
use tower_audit::{Actor, AuditEvent, EventId, EventType};

/// The event of the contract.
pub(super) fn upload() -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.event_id = EventId::from_u128(0x0199_a700_0000_7000_8000_0000_0000_0001);
    event.created_at = "2026-05-25T12:00:00.123456Z".parse().unwrap();
    event.actor = Actor::user("alice@example.org");
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.resource.route = Some("/scans".into());
    event.resource.method = Some("POST".into());
    event.outcome = Some(200);
    event
}

/// Returns the output of `listing` for these pages.
pub(super) fn printed(mut listing: impl EventFormat, pages: &[&[AuditEvent]]) -> String {
    let mut out = Vec::new();
    for page in pages {
        listing.write_page(page, &mut out).unwrap();
    }
    listing.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}
