//! One event in a table.

use super::kind::Kind;
use super::links::Links;
use super::text::Shown;
use super::time::Moment;
use crate::event::{AuditEvent, Text, Timestamp};

#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) href: String,
    pub(super) time: Moment,
    pub(super) user: Option<Shown<'a>>,
    pub(super) addr: Option<Shown<'a>>,
    pub(super) event_type: Shown<'a>,
    pub(super) domain: Option<Shown<'a>>,
    pub(super) action: Option<Shown<'a>>,
    pub(super) method: Option<Shown<'a>>,
    pub(super) route: Option<Shown<'a>>,
    pub(super) uri: Option<Shown<'a>>,
    pub(super) kind: Kind,
    pub(super) outcome: Option<u16>,
    /// What it is to the event that is looked at.
    pub(super) relation: &'static str,
}

impl<'a> Row<'a> {
    pub(super) fn of(event: &'a AuditEvent, links: &Links, now: Timestamp) -> Self {
        let line = |text: &'a Option<Text>| text.as_deref().map(Shown::line);
        Self {
            href: links.event(event.event_id),
            time: Moment::new(event.created_at, now),
            user: line(&event.actor.user_email),
            addr: line(&event.actor.remote_addr),
            event_type: Shown::line(event.event_type.as_str()),
            domain: line(&event.classification.domain),
            action: line(&event.classification.action),
            method: line(&event.resource.method),
            route: line(&event.resource.route),
            uri: line(&event.request.request_uri),
            kind: Kind::of(event),
            outcome: event.outcome,
            relation: "",
        }
    }
}
