//! A row of a table of events.

use super::links::Links;
use super::outcome_badge::OutcomeBadge;
use super::safe_html::SafeText;
use super::time::RelativeTime;
use crate::event::{AuditEvent, CompactText, Timestamp};

#[derive(Debug)]
pub(super) struct EventRow<'a> {
    pub(super) href: String,
    pub(super) time: RelativeTime,
    pub(super) user: Option<SafeText<'a>>,
    pub(super) addr: Option<SafeText<'a>>,
    pub(super) event_type: SafeText<'a>,
    pub(super) domain: Option<SafeText<'a>>,
    pub(super) action: Option<SafeText<'a>>,
    pub(super) method: Option<SafeText<'a>>,
    pub(super) route: Option<SafeText<'a>>,
    pub(super) uri: Option<SafeText<'a>>,
    pub(super) badge: OutcomeBadge,
    pub(super) outcome: Option<u16>,
    /// The relation to the event of the page.
    pub(super) relation: &'static str,
}

impl<'a> EventRow<'a> {
    pub(super) fn of(event: &'a AuditEvent, links: &Links, now: Timestamp) -> Self {
        let line = |text: &'a Option<CompactText>| text.as_deref().map(SafeText::line);
        Self {
            href: links.event(event.event_id),
            time: RelativeTime::new(event.created_at, now),
            user: line(&event.actor.user_email),
            addr: line(&event.actor.remote_addr),
            event_type: SafeText::line(event.event_type.as_str()),
            domain: line(&event.classification.domain),
            action: line(&event.classification.action),
            method: line(&event.resource.method),
            route: line(&event.resource.route),
            uri: line(&event.request.request_uri),
            badge: OutcomeBadge::of(event),
            outcome: event.outcome,
            relation: "",
        }
    }
}
