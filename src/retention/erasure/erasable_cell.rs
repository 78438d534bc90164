//! The parts of an event that an erasure blanks as a whole.

use serde_json::Value;

use crate::event::{AuditEvent, Details, Targets, is_erased_mark};

/// A part of an event that is erased as a whole. They are the cells of the leaf of a sealed event; facts, route and method are never erased.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ErasableCell {
    UserEmail,
    ActingFor,
    ApiKeyHash,
    Origin,
    RequestUri,
    Ids,
    Targets,
    Other,
    Detail(String),
}

impl ErasableCell {
    /// The cells that every event has.
    pub(super) const FIXED: [Self; 8] = [
        Self::UserEmail,
        Self::ActingFor,
        Self::ApiKeyHash,
        Self::Origin,
        Self::RequestUri,
        Self::Ids,
        Self::Targets,
        Self::Other,
    ];

    /// Returns the name in the mark of an erasure: `details` for each of its members, whose names may tell something.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::UserEmail => "actor.user_email",
            Self::ActingFor => "actor.acting_for",
            Self::ApiKeyHash => "actor.api_key_hash",
            Self::Origin => "origin",
            Self::RequestUri => "request_uri",
            Self::Ids => "ids",
            Self::Targets => "targets",
            Self::Other => "other",
            Self::Detail(_) => "details",
        }
    }

    /// Calls `visit` with each text of the cell in this event, names of members included.
    pub(super) fn visit(&self, event: &AuditEvent, visit: &mut dyn FnMut(&str)) {
        let (actor, request) = (&event.actor, &event.request);
        let mut texts = |texts: &[Option<&str>]| texts.iter().copied().flatten().for_each(&mut *visit);
        match self {
            Self::UserEmail => texts(&[actor.user_email.as_deref()]),
            Self::ActingFor => texts(&[actor.acting_for.as_deref()]),
            Self::ApiKeyHash => texts(&[actor.api_key_hash.as_deref()]),
            Self::Origin => {
                texts(&[actor.remote_addr.as_deref(), request.user_agent.as_deref(), request.forwarded.as_deref()]);
            }
            Self::RequestUri => texts(&[request.request_uri.as_deref()]),
            Self::Ids => texts(&[request.request_id.as_deref(), request.trace_id.as_deref()]),
            Self::Targets => {
                for target in event.targets.iter() {
                    visit(&target.target_type);
                    visit(&target.id);
                    target.label.iter().for_each(|label| visit(label));
                    visit_members(&target.extra, visit);
                }
            }
            Self::Other => {
                for (name, value) in others(event) {
                    visit(name);
                    visit_value(value, visit);
                }
            }
            Self::Detail(name) => {
                if let Some(value) = event.details.get(name) {
                    visit(name);
                    visit_value(value, visit);
                }
            }
        }
    }

    /// Returns true if the event has no value in the cell.
    pub(super) fn is_empty_in(&self, event: &AuditEvent) -> bool {
        match self {
            Self::Targets => event.targets.is_empty() && event.targets.omitted() == 0,
            Self::Other => others(event).next().is_none(),
            Self::Detail(name) => !event.details.contains_key(name),
            _ => {
                let mut is_empty = true;
                self.visit(event, &mut |_| is_empty = false);
                is_empty
            }
        }
    }

    /// Removes the values, and puts the pseudonym in place of a name.
    pub(super) fn blank(&self, event: &mut AuditEvent, pseudonym: Option<&str>) {
        let pseudonym = || pseudonym.map(Into::into);
        match self {
            Self::UserEmail => event.actor.user_email = pseudonym(),
            Self::ActingFor => event.actor.acting_for = pseudonym(),
            Self::ApiKeyHash => event.actor.api_key_hash = None,
            Self::Origin => {
                event.actor.remote_addr = None;
                event.request.user_agent = None;
                event.request.forwarded = None;
            }
            Self::RequestUri => event.request.request_uri = None,
            Self::Ids => {
                event.request.request_id = None;
                event.request.trace_id = None;
            }
            Self::Targets => event.targets = Targets::new(),
            Self::Other => {
                event.actor.extra = Details::new();
                event.classification.extra = Details::new();
                event.request.extra = Details::new();
                event.resource.extra = Details::new();
                event.extra.retain(|name, value| is_erased_mark(name, value));
            }
            Self::Detail(name) => {
                event.details.remove(name);
            }
        }
    }
}

/// Returns the unknown members; the mark of an erasure is none of them.
fn others(event: &AuditEvent) -> impl Iterator<Item = (&String, &Value)> {
    let of_parts = [&event.actor.extra, &event.classification.extra, &event.request.extra, &event.resource.extra];
    let of_event = event.extra.iter().filter(|(name, value)| !is_erased_mark(name, value));
    of_parts.into_iter().flatten().chain(of_event)
}

fn visit_members(members: &Details, visit: &mut dyn FnMut(&str)) {
    for (name, value) in members {
        visit(name);
        visit_value(value, visit);
    }
}

fn visit_value(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Number(number) => visit(&number.to_string()),
        Value::Array(values) => values.iter().for_each(|value| visit_value(value, visit)),
        Value::Object(members) => visit_members(members, visit),
        Value::Null | Value::Bool(_) => {}
    }
}
