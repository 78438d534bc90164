//! The columns of an event, borrowed from its text.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::event::undecodable::{UNKNOWN_TYPE, Undecodable};
use crate::event::{Actor, AuditEvent, EventId, Phase, Resource, Timestamp};
use crate::query::{Cursor, Field, FilterableFields};
use crate::store::sql::ColumnNames;

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
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ActorColumns<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) user_email: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) remote_addr: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ResourceColumns<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) route: Option<Cow<'a, str>>,
}

impl<'a> EventColumns<'a> {
    /// Reads the columns that an undecodable event still has. Of a repeated field, the first counts. `otherwise` stands
    /// for a missing time or id.
    pub(super) fn salvaged(text: &'a str, otherwise: Cursor) -> Self {
        let event = Entries::of(text);
        let (actor, resource) = (event.object("actor"), event.object("resource"));
        Self {
            event_id: event.get("event_id").unwrap_or(otherwise.event_id),
            created_at: event.get("created_at").unwrap_or(otherwise.created_at),
            event_type: event.text("event_type").unwrap_or(UNKNOWN_TYPE.into()),
            phase: event.get("phase").unwrap_or(Phase::Unknown),
            actor: ActorColumns { user_email: actor.text("user_email"), remote_addr: actor.text("remote_addr") },
            resource: ResourceColumns { route: resource.text("route") },
            outcome: event.get("outcome"),
        }
    }

    /// Returns the event of the text; one built from the columns if the text is no event or contradicts them.
    pub(super) fn event(&self, text: &str) -> AuditEvent {
        let Ok(event) = serde_json::from_str::<AuditEvent>(text) else { return self.stand_in(text) };
        let differing = self.differing(&event);
        if differing.is_empty() {
            return event;
        }
        // Not the text: it may be of another user.
        self.stand_in(&format!("the event is another than its row: {} differ", differing.join(", ")))
    }

    /// Returns the columns that the event contradicts.
    fn differing(&self, event: &AuditEvent) -> Vec<&'static str> {
        let pairs = [
            ("event_id", event.event_id == self.event_id),
            ("created_at", event.created_at == self.created_at),
            ("event_type", event.event_type.as_str() == self.event_type),
            ("phase", event.phase == self.phase),
            ("user_email", event.actor.user_email.as_deref() == self.actor.user_email.as_deref()),
            ("remote_addr", event.actor.remote_addr.as_deref() == self.actor.remote_addr.as_deref()),
            ("route", event.resource.route.as_deref() == self.resource.route.as_deref()),
            ("outcome", event.outcome == self.outcome),
        ];
        pairs.into_iter().filter(|(_, is_equal)| !is_equal).map(|(column, _)| column).collect()
    }

    /// Returns an event built from the columns and marked with `text`.
    pub(super) fn stand_in(&self, text: &str) -> AuditEvent {
        let mut actor = Actor::default();
        actor.user_email = self.actor.user_email.as_deref().map(Into::into);
        actor.remote_addr = self.actor.remote_addr.as_deref().map(Into::into);
        let mut resource = Resource::default();
        resource.route = self.resource.route.as_deref().map(Into::into);
        let undecodable = Undecodable {
            event_id: self.event_id,
            created_at: self.created_at,
            event_type: &self.event_type,
            phase: self.phase,
            actor,
            resource,
            outcome: self.outcome,
            text,
        };
        undecodable.into_event()
    }
}

impl EventColumns<'_> {
    pub(super) fn filterable_fields(&self) -> FilterableFields<'_> {
        FilterableFields {
            created_at: self.created_at,
            event_type: &self.event_type,
            user_email: self.actor.user_email.as_deref(),
            outcome: self.outcome,
            route: self.resource.route.as_deref(),
            remote_addr: self.actor.remote_addr.as_deref(),
            phase: self.phase,
        }
    }

    /// Returns the event's position in a listing.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { created_at: self.created_at, event_id: self.event_id }
    }

    /// Returns the event's value in a field, as text.
    pub(super) fn value(&self, field: Field) -> Option<Cow<'_, str>> {
        match field {
            Field::EventType => Some(self.event_type.as_ref().into()),
            Field::UserEmail => self.actor.user_email.as_deref().map(Cow::from),
            Field::RemoteAddr => self.actor.remote_addr.as_deref().map(Cow::from),
            Field::Route => self.resource.route.as_deref().map(Cow::from),
            Field::Outcome => self.outcome.map(|outcome| outcome.to_string().into()),
            Field::Phase => Some(self.phase.as_str().into()),
        }
    }
}

/// A text that is borrowed where it can be.
#[derive(Debug, Deserialize)]
pub(super) struct BorrowedText<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Reads an optional text, borrowed where it can be; serde would copy it.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<BorrowedText<'a>>::deserialize(deserializer)?.map(|text| text.0))
}

/// The indexed fields, in the order of their merge. A field's position is its number in the file.
pub(super) const INDEXED_FIELDS: [Field; 6] =
    [Field::EventType, Field::UserEmail, Field::RemoteAddr, Field::Route, Field::Outcome, Field::Phase];

/// Returns the number of a field in the file.
pub(super) fn field_number(field: Field) -> i64 {
    INDEXED_FIELDS.iter().zip(0..).find(|(known, _)| **known == field).map_or(-1, |(_, number)| number)
}

/// Returns the column of a field.
pub(super) fn column_name(field: Field) -> &'static str {
    COLUMN_NAMES.of(field)
}

pub(super) const COLUMN_NAMES: ColumnNames =
    ColumnNames { event_type: "event_type", user_email: "user_email", remote_addr: "remote_addr", route: "route" };

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
