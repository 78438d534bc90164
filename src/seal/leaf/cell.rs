//! The cells of an event.

use super::canonical_cell::{CellObject, write_text};
use crate::event::{AuditEvent, Details, ErrorCode, EventId, EventIdHex, Targets};
use crate::seal::canonical_json::{write_canonical_json, write_integer, write_object};

/// A part of an event with a commitment of its own: values that are erased together, or disclosed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cell<'e> {
    /// Type, phase, time, outcome, classification, duration, and the `started` event that it ends.
    Facts,
    /// Route and method.
    Resource,
    /// `actor.user_email`.
    UserEmail,
    /// `actor.acting_for`.
    ActingFor,
    /// `actor.api_key_hash`.
    ApiKeyHash,
    /// `actor.remote_addr`, and what the client said of itself: `request.forwarded`, `request.user_agent`.
    Origin,
    /// `request.request_uri`.
    RequestUri,
    /// `request.request_id` and `request.trace_id`.
    Ids,
    /// The targets and the number of omitted ones.
    Targets,
    /// Members that this version does not know.
    Other,
    /// One member of `details`.
    Detail(&'e str),
}

impl Cell<'static> {
    /// The cells that every event has, in their order.
    pub(super) const FIXED: &'static [Self] = &[
        Self::Facts,
        Self::Resource,
        Self::UserEmail,
        Self::ActingFor,
        Self::ApiKeyHash,
        Self::Origin,
        Self::RequestUri,
        Self::Ids,
        Self::Targets,
        Self::Other,
    ];
}

impl Cell<'_> {
    /// Appends the name of the cell, such as `actor.user_email` or `details/reason`.
    pub(super) fn write_name(self, out: &mut Vec<u8>) {
        let name = match self {
            Self::Facts => "facts",
            Self::Resource => "resource",
            Self::UserEmail => "actor.user_email",
            Self::ActingFor => "actor.acting_for",
            Self::ApiKeyHash => "actor.api_key_hash",
            Self::Origin => "origin",
            Self::RequestUri => "request_uri",
            Self::Ids => "ids",
            Self::Targets => "targets",
            Self::Other => "other",
            Self::Detail(name) => {
                out.extend_from_slice(b"details/");
                name
            }
        };
        out.extend_from_slice(name.as_bytes());
    }

    /// Returns the name, such as `actor.user_email` or `details/reason`.
    pub fn name(self) -> String {
        let mut name = Vec::new();
        self.write_name(&mut name);
        String::from_utf8_lossy(&name).into_owned()
    }

    /// Appends the canonical JSON of the cell's value in this event; null if it has none.
    pub(super) fn write_value(self, event: &AuditEvent, out: &mut Vec<u8>) {
        match self {
            Self::Facts => write_facts(event, out),
            Self::Resource => {
                let resource = &event.resource;
                CellObject::new(out)
                    .text("method", resource.method.as_deref())
                    .text("route", resource.route.as_deref())
                    .end();
            }
            Self::UserEmail => write_text(event.actor.user_email.as_deref(), out),
            Self::ActingFor => write_text(event.actor.acting_for.as_deref(), out),
            Self::ApiKeyHash => write_text(event.actor.api_key_hash.as_deref(), out),
            Self::Origin => CellObject::new(out)
                .text("forwarded", event.request.forwarded.as_deref())
                .text("remote_addr", event.actor.remote_addr.as_deref())
                .text("user_agent", event.request.user_agent.as_deref())
                .end(),
            Self::RequestUri => write_text(event.request.request_uri.as_deref(), out),
            Self::Ids => CellObject::new(out)
                .text("request_id", event.request.request_id.as_deref())
                .text("trace_id", event.request.trace_id.as_deref())
                .end(),
            Self::Targets => write_targets(&event.targets, out),
            Self::Other => write_other(event, out),
            Self::Detail(name) => match event.details.get(name) {
                Some(value) => write_canonical_json(value, out),
                None => out.extend_from_slice(b"null"),
            },
        }
    }
}

/// Returns the cells of an event in the order of the leaf: the ten fixed ones, then the members of `details` by the bytes of
/// their names.
pub fn cells(event: &AuditEvent) -> impl ExactSizeIterator<Item = Cell<'_>> {
    let mut names: Vec<&str> = event.details.keys().map(String::as_str).collect();
    // A map with the order of insertion (a feature of serde_json that an app may switch on) is not sorted.
    names.sort_unstable();
    Cells { fixed: Cell::FIXED.iter(), names: names.into_iter() }
}

/// The fixed cells, then those of the details. Allocates nothing for an event without details.
struct Cells<'e> {
    fixed: std::slice::Iter<'static, Cell<'static>>,
    names: std::vec::IntoIter<&'e str>,
}

impl<'e> Iterator for Cells<'e> {
    type Item = Cell<'e>;

    fn next(&mut self) -> Option<Cell<'e>> {
        self.fixed.next().copied().or_else(|| self.names.next().map(Cell::Detail))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.fixed.len() + self.names.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Cells<'_> {}

fn write_facts(event: &AuditEvent, out: &mut Vec<u8>) {
    let classification = &event.classification;
    let mut facts = CellObject::new(out);
    if classification.domain.is_some() || classification.action.is_some() || classification.error.is_some() {
        CellObject::new(facts.name("classification"))
            .text("action", classification.action.as_deref())
            .text("domain", classification.domain.as_deref())
            .text("error", classification.error.as_ref().map(ErrorCode::as_str))
            .end();
    }
    let started = event.request.started_event_id.map(EventId::to_hex);
    facts
        .text("created_at", std::str::from_utf8(&event.created_at.to_text()).ok())
        .integer("duration_us", event.request.duration_us)
        .text("event_type", Some(event.event_type.as_str()))
        .integer("outcome", event.outcome.map(u64::from))
        .text("phase", Some(event.phase.as_str()))
        .text("started_event_id", started.as_ref().map(EventIdHex::as_str))
        .end();
}

/// `{"list":[{"id":…,"label":…,"type":…}],"omitted":…}`; members of a target that this version does not know are `extra`.
fn write_targets(targets: &Targets, out: &mut Vec<u8>) {
    let mut object = CellObject::new(out);
    if !targets.is_empty() {
        let out = object.name("list");
        for (number, target) in targets.iter().enumerate() {
            out.push(if number == 0 { b'[' } else { b',' });
            let mut object = CellObject::new(out);
            if !target.extra.is_empty() {
                write_object(&target.extra, object.name("extra"));
            }
            object
                .text("id", Some(target.id.as_str()))
                .text("label", target.label.as_deref())
                .text("type", Some(target.target_type.as_str()))
                .end();
        }
        out.push(b']');
    }
    if targets.omitted() > 0 {
        write_integer(targets.omitted(), object.name("omitted"));
    }
    object.end();
}

/// The unknown members by the object they are in; those of the event itself are `event`.
fn write_other(event: &AuditEvent, out: &mut Vec<u8>) {
    let mut object = CellObject::new(out);
    let parts: [(&str, &Details); 5] = [
        ("actor", &event.actor.extra),
        ("classification", &event.classification.extra),
        ("event", &event.extra),
        ("request", &event.request.extra),
        ("resource", &event.resource.extra),
    ];
    for (name, members) in parts {
        if !members.is_empty() {
            write_object(members, object.name(name));
        }
    }
    object.end();
}
