//! Everything that handlers and inner layers have said of a request.

use http::StatusCode;

use crate::event::{Actor, AuditEvent, CompactText, Details, ErrorCode, EventType};

/// Everything that handlers and inner layers have said through one context.
#[derive(Debug, Default)]
pub(crate) struct ContextValues {
    pub(crate) actor: Option<Actor>,
    pub(crate) details: Details,
    pub(crate) event_type: Option<EventType>,
    pub(crate) error: Option<ErrorCode>,
    pub(crate) domain: Option<CompactText>,
    pub(crate) action: Option<CompactText>,
    pub(crate) route: Option<CompactText>,
    pub(crate) result_count: Option<u64>,
    /// The status that the handler will answer with if its transaction is committed.
    pub(crate) expected_status: Option<StatusCode>,
    /// An actor that nobody said, found in the extensions of the request or of its response.
    pub(crate) extension_actor: Option<Actor>,
}

impl ContextValues {
    /// Writes the names of things into the event, over those that are in it.
    pub(super) fn name(&self, event: &mut AuditEvent) {
        if let Some(actor) = &self.actor {
            overlay(&mut event.actor, actor.clone());
        }
        let named = [
            (&self.route, &mut event.resource.route),
            (&self.domain, &mut event.classification.domain),
            (&self.action, &mut event.classification.action),
        ];
        for (said, known) in named {
            if said.is_some() {
                known.clone_from(said);
            }
        }
        if self.error.is_some() {
            event.classification.error.clone_from(&self.error);
        }
    }
}

/// Puts one actor over another: the empty fields stay as they are known.
pub(super) fn overlay(actor: &mut Actor, over: Actor) {
    let known = std::mem::replace(actor, over);
    actor.user_email = actor.user_email.take().or(known.user_email);
    actor.api_key_hash = actor.api_key_hash.take().or(known.api_key_hash);
    actor.remote_addr = actor.remote_addr.take().or(known.remote_addr);
}
