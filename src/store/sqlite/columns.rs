//! The parts of a kept event that a segment has columns for, borrowed from its text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::event::{EventId, Phase, Timestamp};

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

/// An optional text that is borrowed where it can be; serde by itself would copy it.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Text<'a>>::deserialize(deserializer)?.map(|text| text.0))
}
