//! The facts of a request, and the event that is made of them.

use http::StatusCode;
use smallvec::SmallVec;

use super::context_values::{ContextValues, overlay};
use super::layer_attempt::{Attempt, AttemptStage};
use super::layer_attempts::Attempts;
use super::request_head::new_request_id;
use crate::event::{Actor, AuditEvent, CompactText, Details, EventType, Targets};
use crate::policy::AuditPolicy;

impl Attempts {
    /// The attempts around this one, this one, and the latest one within each: the outermost first.
    fn chain(&self, attempt: usize) -> SmallVec<[usize; 4]> {
        let mut chain: SmallVec<[usize; 4]> = self.around(attempt).collect();
        chain.reverse();
        let mut innermost = attempt;
        while let Some(latest) =
            (innermost + 1..self.list.len()).rev().find(|&later| self[later].within == Some(innermost))
        {
            chain.push(latest);
            innermost = latest;
        }
        chain
    }

    /// The facts that were added in the attempts of the chain, the outermost first, so that the last one counts.
    fn contexts(&self, attempt: usize) -> impl Iterator<Item = &ContextValues> {
        self.chain(attempt).into_iter().filter_map(|number| self[number].values())
    }

    /// The last value that was added.
    fn last<T>(&self, attempt: usize, of: impl Fn(&ContextValues) -> Option<T>) -> Option<T> {
        if !self.has_others() {
            return self[attempt].values().and_then(of);
        }
        self.contexts(attempt).filter_map(of).last()
    }

    /// The event type that a handler has declared.
    pub(crate) fn declared(&self, attempt: usize) -> Option<EventType> {
        let own = self[attempt].values().and_then(|values| values.event_type.as_ref());
        // A type that was declared within belongs to the ends that were recorded there.
        if own.is_some() && self.within(attempt).any(|(_, within)| matches!(within.stage, AttemptStage::Told(_))) {
            return own.cloned();
        }
        self.last(attempt, |values| values.event_type.clone())
    }

    pub(crate) fn result_count(&self, attempt: usize) -> Option<u64> {
        self.last(attempt, |values| values.result_count)
    }

    pub(crate) fn expected_status(&self, attempt: usize) -> Option<StatusCode> {
        self.last(attempt, |values| values.expected_status)
    }

    pub(crate) fn request_id(&mut self) -> &CompactText {
        let Self { list, request_id, .. } = self;
        request_id.get_or_insert_with(|| {
            let head = list.iter().find_map(|attempt| attempt.head.as_ref());
            head.and_then(|head| head.clean_request_id()).unwrap_or_else(new_request_id)
        })
    }

    /// An event with everything that is known of the request so far, except the details. `of`: the attempt whose layer's
    /// rules record it.
    pub(crate) fn draft(
        &mut self,
        attempt: usize,
        of: usize,
        event_type: EventType,
        rule: Option<usize>,
    ) -> Box<AuditEvent> {
        let mut event = Box::new(AuditEvent::new(event_type));
        if let Some(written) = &self[attempt].written {
            // A request has one event, whichever of the two it is.
            (event.event_id, event.created_at) = (written.event_id, written.created_at);
        }
        event.request.request_id = Some(self.request_id().clone());
        let head = self[attempt].head.as_ref();
        let head = head.or_else(|| self.list.iter().find_map(|other| other.head.as_ref()));
        if let (Some(head), Some(layer)) = (head, &self[of].layer) {
            let route = self.last(attempt, |values| values.route.clone());
            let settings = self.settings(of).unwrap_or(&layer.policy);
            // The handler's targets replace that of the path.
            let has_targets = self.last(attempt, |values| (!values.targets.is_empty()).then_some(())).is_some();
            head.apply_to(&mut event, &layer.policy, settings, rule, route.as_ref(), has_targets);
        }
        if head.is_none_or(|head| !head.has_actor())
            && let Some(actor) = self.extension_actor(attempt)
        {
            overlay(&mut event.actor, actor);
        }
        event.request.started_event_id = self[attempt].started.as_ref().map(|started| started.event_id);
        if let Some(layer) = &self[of].layer
            && let Some((domain, action)) = rule.and_then(|rule| layer.policy.rule(rule).classification())
        {
            event.classification.domain = Some(domain.clone());
            event.classification.action = Some(action.clone());
        }
        self.write_names(attempt, &mut event);
        event
    }

    /// The policy whose capture settings apply to the events of this attempt's layer: its own, or, for a layer of a single
    /// route, the one around it.
    pub(super) fn settings(&self, attempt: usize) -> Option<&AuditPolicy> {
        let of_log = std::iter::successors(Some(attempt), |&attempt| self[attempt].outer);
        let mut layers = of_log.filter_map(|attempt| self[attempt].layer.as_deref());
        layers.find(|layer| !layer.inherits_settings).map(|layer| &layer.policy)
    }

    /// Returns true if this attempt's layer gives receipts, or one of its log around it whose settings it has.
    pub(crate) fn gives_receipts(&self, attempt: usize) -> bool {
        let mut of_log = std::iter::successors(Some(attempt), |&attempt| self[attempt].outer);
        of_log.any(|attempt| self[attempt].layer.as_ref().is_some_and(|layer| layer.gives_receipts))
    }

    /// Hides the secrets in the details of an event that the rules of this attempt's layer record.
    pub(crate) fn redact_details(&self, of: usize, details: &mut Details) {
        let own = || self[of].layer.as_ref().map(|layer| &layer.policy);
        if let Some(policy) = self.settings(of).or_else(own) {
            policy.capture_config().redact_details(details);
        }
    }

    /// The actor that a layer put into the extensions of the request or of its response.
    fn extension_actor(&self, attempt: usize) -> Option<Actor> {
        let of_values = |attempt: &Attempt| attempt.values()?.extension_actor.clone();
        let of_head = |attempt: &Attempt| attempt.head.as_ref()?.actor();
        let chain = self.chain(attempt);
        let latest = |of: &dyn Fn(&Attempt) -> Option<Actor>| chain.iter().rev().find_map(|&number| of(&self[number]));
        latest(&of_values).or_else(|| latest(&of_head))
    }

    /// Writes the actor, the route, the targets, the classification and the error that were added so far into the event. The
    /// targets replace the one that was taken from the path.
    pub(crate) fn write_names(&self, attempt: usize, event: &mut AuditEvent) {
        if self.has_others() {
            self.contexts(attempt).for_each(|values| values.name(event));
            let mut named = Targets::new();
            self.contexts(attempt).for_each(|values| named.append(values.targets.clone()));
            if !named.is_empty() {
                event.targets = named;
            }
        } else if let Some(values) = self[attempt].values() {
            values.name(event);
            if !values.targets.is_empty() {
                event.targets.clone_from(&values.targets);
            }
        }
    }

    /// The details that were added so far. Moved out, if no other attempt needs them.
    pub(crate) fn take_details(&mut self, attempt: usize) -> Details {
        if self.has_others() {
            return self.details(attempt);
        }
        let has_details = self[attempt].values().is_some_and(|values| !values.details.is_empty());
        if has_details { std::mem::take(&mut self[attempt].values_mut().details) } else { Details::new() }
    }

    /// The details that were added so far.
    pub(crate) fn details(&self, attempt: usize) -> Details {
        self.contexts(attempt).flat_map(|values| values.details.clone()).collect()
    }
}
