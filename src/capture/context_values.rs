//! The facts that handlers and inner layers have added about a request.

use http::StatusCode;

use crate::event::{Actor, AuditEvent, CompactText, Details, ErrorCode, EventType, Targets};

/// The facts that were added through one context.
#[derive(Debug, Default)]
pub(crate) struct ContextValues {
    pub(crate) actor: Option<Actor>,
    pub(crate) acting_for: Option<CompactText>,
    pub(crate) targets: Targets,
    pub(crate) details: Details,
    pub(crate) event_type: Option<EventType>,
    pub(crate) error: Option<ErrorCode>,
    pub(crate) domain: Option<CompactText>,
    pub(crate) action: Option<CompactText>,
    pub(crate) route: Option<CompactText>,
    pub(crate) trace_id: Option<CompactText>,
    pub(crate) result_count: Option<u64>,
    /// The status that the handler will answer with if its transaction is committed.
    pub(crate) expected_status: Option<StatusCode>,
    /// The actor in the extensions of the request or of its response.
    pub(crate) extension_actor: Option<Actor>,
}

impl ContextValues {
    /// Writes the actor, the route, the classification and the error into the event, over those that are in it. The targets of
    /// several contexts are put together: see [`Attempts::write_names`](super::layer_attempts::Attempts::write_names).
    pub(super) fn name(&self, event: &mut AuditEvent) {
        if let Some(actor) = &self.actor {
            overlay(&mut event.actor, actor.clone());
        }
        let named = [
            (&self.acting_for, &mut event.actor.acting_for),
            (&self.route, &mut event.resource.route),
            (&self.domain, &mut event.classification.domain),
            (&self.action, &mut event.classification.action),
            (&self.trace_id, &mut event.request.trace_id),
        ];
        for (added, known) in named {
            if added.is_some() {
                known.clone_from(added);
            }
        }
        if self.error.is_some() {
            event.classification.error.clone_from(&self.error);
        }
    }
}

/// Puts one actor over another. Empty fields of the new one keep the old value. Another principal acts for nobody unless it
/// says so itself.
pub(super) fn overlay(actor: &mut Actor, over: Actor) {
    let known = std::mem::replace(actor, over);
    let is_other = actor.user_email.is_some() && known.user_email.is_some() && actor.user_email != known.user_email;
    if !is_other {
        actor.acting_for = actor.acting_for.take().or(known.acting_for);
    }
    actor.user_email = actor.user_email.take().or(known.user_email);
    actor.api_key_hash = actor.api_key_hash.take().or(known.api_key_hash);
    actor.remote_addr = actor.remote_addr.take().or(known.remote_addr);
}
