//! The parts of a kept event that a segment has columns for, borrowed from its text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::event::{EventId, Phase, Timestamp};
use crate::query::{Cursor, Facts, Field};

/// The columns of one event. What else is in it is passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Columns<'a> {
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

impl Columns<'_> {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            created_at: self.created_at,
            event_type: &self.event_type,
            user_email: self.actor.user_email.as_deref(),
            outcome: self.outcome,
            route: self.resource.route.as_deref(),
            remote_addr: self.actor.remote_addr.as_deref(),
            phase: self.phase,
        }
    }

    /// Where the event is in a listing.
    pub(super) fn place(&self) -> Cursor {
        Cursor { created_at: self.created_at, event_id: self.event_id }
    }

    /// What the event has in a field, as text.
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
pub(super) struct Borrowed<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// An optional text that is borrowed where it can be; serde by itself would copy it.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<Borrowed<'a>>::deserialize(deserializer)?.map(|text| text.0))
}
