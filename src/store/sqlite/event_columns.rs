//! The columns of an event, borrowed from its text.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::event::limits::MAX_TARGETS;
use crate::event::undecodable::{UNKNOWN_TYPE, Undecodable};
use crate::event::{
    Actor, AuditEvent, BorrowedText, Classification, EventId, Phase, RequestInfo, Resource, Target, Targets, Timestamp,
};
use crate::query::{Cursor, Field, FilterValues, detail_text};
use crate::store::sql::TextColumn;

/// The columns of one event. Other fields are skipped.
#[derive(Debug, Deserialize)]
pub(super) struct EventColumns<'a> {
    pub(super) event_id: EventId,
    pub(super) created_at: Timestamp,
    #[serde(borrow)]
    pub(super) event_type: Cow<'a, str>,
    #[serde(default)]
    pub(super) phase: Phase,
    #[serde(borrow, default)]
    pub(super) actor: ActorColumns<'a>,
    #[serde(borrow, default)]
    pub(super) resource: ResourceColumns<'a>,
    #[serde(default)]
    pub(super) outcome: Option<u16>,
    #[serde(borrow, default)]
    pub(super) request: RequestColumns<'a>,
    #[serde(borrow, default)]
    pub(super) classification: ClassificationColumns<'a>,
    #[serde(borrow, default)]
    pub(super) targets: TargetList<'a>,
    #[serde(borrow, default)]
    pub(super) details: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ActorColumns<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) user_email: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) api_key_hash: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) remote_addr: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) acting_for: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ResourceColumns<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) route: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) method: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RequestColumns<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) request_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) request_uri: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) trace_id: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ClassificationColumns<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) domain: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) action: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) error: Option<Cow<'a, str>>,
}

/// The targets of an event, none twice, and no more than an event has.
#[derive(Debug, Default)]
pub(super) struct TargetList<'a>(Vec<TargetColumns<'a>>);

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct TargetColumns<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) target_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for TargetList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut targets = Self::default();
        let listed = Option::<Vec<TargetColumns<'a>>>::deserialize(deserializer)?;
        listed.into_iter().flatten().for_each(|target| targets.insert(target));
        Ok(targets)
    }
}

impl<'a> EventColumns<'a> {
    /// Reads the columns that an undecodable event still has. Of a repeated field, the first counts. `otherwise` stands
    /// for a missing time or id.
    pub(super) fn salvaged(text: &'a str, otherwise: Cursor) -> Self {
        let event = Entries::of(text);
        let (actor, resource) = (event.object("actor"), event.object("resource"));
        let (request, classification) = (event.object("request"), event.object("classification"));
        Self {
            event_id: event.get("event_id").unwrap_or(otherwise.event_id),
            created_at: event.get("created_at").unwrap_or(otherwise.created_at),
            event_type: event.text("event_type").unwrap_or(UNKNOWN_TYPE.into()),
            phase: event.get("phase").unwrap_or(Phase::Unknown),
            actor: ActorColumns {
                user_email: actor.text("user_email"),
                api_key_hash: actor.text("api_key_hash"),
                remote_addr: actor.text("remote_addr"),
                acting_for: actor.text("acting_for"),
            },
            resource: ResourceColumns { route: resource.text("route"), method: resource.text("method") },
            outcome: event.get("outcome"),
            request: RequestColumns {
                request_id: request.text("request_id"),
                request_uri: request.text("request_uri"),
                trace_id: request.text("trace_id"),
            },
            classification: ClassificationColumns {
                domain: classification.text("domain"),
                action: classification.text("action"),
                error: classification.text("error"),
            },
            targets: event.get("targets").unwrap_or_default(),
            details: None,
        }
    }

    /// Returns the value of a field with at most one, borrowed where it can be.
    pub(super) fn value(&self, field: Field) -> Option<Cow<'a, str>> {
        match field {
            Field::EventType => Some(self.event_type.clone()),
            Field::UserEmail => self.actor.user_email.clone(),
            Field::RemoteAddr => self.actor.remote_addr.clone(),
            Field::Route => self.resource.route.clone(),
            Field::Outcome => self.outcome.map(outcome_text),
            Field::Phase => Some(self.phase.as_str().into()),
            Field::Method => self.resource.method.clone(),
            Field::ApiKeyHash => self.actor.api_key_hash.clone(),
            Field::ActingFor => self.actor.acting_for.clone(),
            Field::Domain => self.classification.domain.clone(),
            Field::Action => self.classification.action.clone(),
            Field::Error => self.classification.error.clone(),
            Field::Uri => self.request.request_uri.clone(),
            Field::RequestId => self.request.request_id.clone(),
            Field::TraceId => self.request.trace_id.clone(),
            Field::Target | Field::TargetType => None,
        }
    }

    /// Returns the event of the text; one built from the columns if the text is no event or contradicts them.
    pub(super) fn event(&self, text: &str) -> AuditEvent {
        if text.is_empty() {
            return self.stand_in("the text of the event is missing");
        }
        let Ok(event) = serde_json::from_str::<AuditEvent>(text) else { return self.stand_in(text) };
        let differing = self.differing(&event);
        if differing.is_empty() {
            return event;
        }
        // Not the text: it may be of another user.
        self.stand_in(&format!("the event is another than its row: {} differ", differing.join(", ")))
    }

    /// Returns true if the event contradicts none of the columns.
    pub(super) fn fit(&self, event: &AuditEvent) -> bool {
        self.compared(event).iter().all(|(_, is_equal)| *is_equal)
    }

    /// Returns the columns that the event contradicts.
    fn differing(&self, event: &AuditEvent) -> Vec<&'static str> {
        self.compared(event).into_iter().filter(|(_, is_equal)| !is_equal).map(|(column, _)| column).collect()
    }

    fn compared(&self, event: &AuditEvent) -> [(&'static str, bool); 8] {
        [
            ("event_id", event.event_id == self.event_id),
            ("created_at", event.created_at == self.created_at),
            ("event_type", event.event_type.as_str() == self.event_type),
            ("phase", event.phase == self.phase),
            ("user_email", event.actor.user_email.as_deref() == self.actor.user_email.as_deref()),
            ("remote_addr", event.actor.remote_addr.as_deref() == self.actor.remote_addr.as_deref()),
            ("route", event.resource.route.as_deref() == self.resource.route.as_deref()),
            ("outcome", event.outcome == self.outcome),
        ]
    }

    /// Returns an event built from the columns and marked with `text`.
    pub(super) fn stand_in(&self, text: &str) -> AuditEvent {
        let owned = |text: &Option<Cow<'_, str>>| text.as_deref().map(Into::into);
        let mut actor = Actor::default();
        actor.user_email = owned(&self.actor.user_email);
        actor.api_key_hash = owned(&self.actor.api_key_hash);
        actor.remote_addr = owned(&self.actor.remote_addr);
        actor.acting_for = owned(&self.actor.acting_for);
        let mut resource = Resource::default();
        resource.route = owned(&self.resource.route);
        resource.method = owned(&self.resource.method);
        let mut request = RequestInfo::default();
        request.request_id = owned(&self.request.request_id);
        request.request_uri = owned(&self.request.request_uri);
        request.trace_id = owned(&self.request.trace_id);
        let mut classification = Classification::default();
        classification.domain = owned(&self.classification.domain);
        classification.action = owned(&self.classification.action);
        classification.error =
            self.classification.error.as_deref().and_then(|error| serde_json::from_value(error.into()).ok());
        let undecodable = Undecodable {
            event_id: self.event_id,
            created_at: self.created_at,
            event_type: &self.event_type,
            phase: self.phase,
            actor,
            resource,
            request,
            classification,
            targets: self.targets.to_targets(),
            outcome: self.outcome,
            text,
        };
        undecodable.into_event()
    }
}

/// Returns the text of an outcome, borrowed where it is a status.
fn outcome_text(outcome: u16) -> Cow<'static, str> {
    let at = usize::from(outcome.wrapping_sub(100)) * 3;
    STATUSES
        .get(at..at + 3)
        .and_then(|status| std::str::from_utf8(status).ok())
        .map_or_else(|| outcome.to_string().into(), Cow::Borrowed)
}

/// `100`, `101`, … to `999`, one behind the other.
const STATUSES: &[u8] = &{
    let mut digits = [b'0'; 2700];
    let mut status = 100;
    while status < 1000 {
        let at = (status - 100) * 3;
        digits[at] += (status / 100) as u8;
        digits[at + 1] += (status / 10 % 10) as u8;
        digits[at + 2] += (status % 10) as u8;
        status += 1;
    }
    digits
};

impl<'a> TargetList<'a> {
    /// Adds a target that is not in the list, if there is room.
    pub(super) fn insert(&mut self, target: TargetColumns<'a>) {
        if self.0.len() < MAX_TARGETS && !self.0.contains(&target) {
            self.0.push(target);
        }
    }

    fn to_targets(&self) -> Targets {
        self.0.iter().map(|target| Target::new(target.target_type.as_ref(), &target.id)).collect()
    }

    /// Returns each type once.
    pub(super) fn types(&self) -> impl Iterator<Item = &Cow<'a, str>> {
        let types = self.0.iter().enumerate();
        let is_first = |n: usize, target_type: &str| self.0[..n].iter().all(|other| other.target_type != target_type);
        types.filter(move |(n, target)| is_first(*n, &target.target_type)).map(|(_, target)| &target.target_type)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TargetColumns<'a>> {
        self.0.iter()
    }

    /// Returns the targets in their text form.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|target| format!("{}/{}", target.target_type, target.id))
    }
}

impl EventColumns<'_> {
    /// Returns the event's position in a listing.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { created_at: self.created_at, event_id: self.event_id }
    }

    /// Gives `visit` the details that can be compared, each with its text.
    pub(super) fn each_detail(&self, mut visit: impl FnMut(&str, &str)) {
        let Some(details) = self.details.filter(|details| details.get() != "{}") else { return };
        for (key, value) in Entries::of(details.get()).0 {
            // Lists and objects are not, and may be long.
            if !value.get().starts_with(['[', '{'])
                && let Ok(value) = serde_json::from_str(value.get())
                && let Some(text) = detail_text(&value)
            {
                visit(&key, &text);
            }
        }
    }
}

impl FilterValues for EventColumns<'_> {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }

    fn outcome(&self) -> Option<u16> {
        self.outcome
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn any_text(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
        match field {
            Field::Target => self.targets.texts().any(|text| test(&text)),
            Field::TargetType => self.targets.types().any(|text| test(text)),
            _ => self.value(field).is_some_and(|text| test(&text)),
        }
    }

    fn has_detail(&self, key: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut has = false;
        self.each_detail(|name, text| has |= name == key && test(text));
        has
    }
}

/// Reads an optional text, borrowed where it can be; serde would copy it.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<BorrowedText<'a>>::deserialize(deserializer)?.map(|text| text.0))
}

/// A part of the index of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexPart {
    /// The values of a field, each with the rows that have it.
    Values(Field),
    /// The [terms](super::segments::terms): values that are searched as a whole.
    Terms,
}

/// The parts of a segment's index, in the order of their merge. A part's position is its number in the file.
pub(super) const INDEX_PARTS: [IndexPart; 15] = [
    IndexPart::Values(Field::EventType),
    IndexPart::Values(Field::UserEmail),
    IndexPart::Values(Field::RemoteAddr),
    IndexPart::Values(Field::Route),
    IndexPart::Values(Field::Outcome),
    IndexPart::Values(Field::Method),
    IndexPart::Values(Field::ApiKeyHash),
    IndexPart::Values(Field::ActingFor),
    IndexPart::Values(Field::Domain),
    IndexPart::Values(Field::Action),
    IndexPart::Values(Field::Error),
    IndexPart::Values(Field::TargetType),
    IndexPart::Values(Field::Uri),
    IndexPart::Terms,
    IndexPart::Values(Field::Phase),
];

impl IndexPart {
    /// Returns the number of the part in the file.
    pub(super) fn number(self) -> i64 {
        INDEX_PARTS.iter().zip(0..).find(|(known, _)| **known == self).map_or(-1, |(_, number)| number)
    }

    /// Returns the part that finds a field's values.
    pub(super) fn of(field: Field) -> Self {
        match field {
            Field::RequestId | Field::TraceId | Field::Target => Self::Terms,
            _ => Self::Values(field),
        }
    }
}

/// Returns the column of a field; `None` if its value is in the text of the event alone.
pub(super) fn column_name(field: Field) -> Option<&'static str> {
    match field {
        Field::EventType | Field::UserEmail | Field::RemoteAddr | Field::Route | Field::Outcome | Field::Phase => {
            Some(field.as_str())
        }
        _ => None,
    }
}

/// Returns the place of a field with text.
pub(super) fn text_column(field: Field) -> TextColumn {
    column_name(field).map_or(TextColumn::Elsewhere, TextColumn::One)
}

/// The entries of a JSON object in their order; none for other values.
#[derive(Debug, Default)]
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Entries<'a> {
    fn of(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        serde_json::from_str(value.get()).ok()
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(|BorrowedText(text)| text)
    }

    fn object(&self, name: &str) -> Self {
        self.get(name).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((BorrowedText(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_has_its_own_text() {
        for outcome in 0..=u16::MAX {
            assert_eq!(outcome_text(outcome), outcome.to_string());
        }
    }
}
