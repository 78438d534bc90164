//! The columns that the tables of events have alike.

use std::borrow::Cow;

use crate::event::AuditEvent;
use crate::query::Field;

/// The columns with one text of the event each.
pub(crate) const TEXT_COLUMNS: [(&str, Field); 12] = [
    ("actor_user_email", Field::UserEmail),
    ("actor_api_key_hash", Field::ApiKeyHash),
    ("actor_remote_addr", Field::RemoteAddr),
    ("actor_acting_for", Field::ActingFor),
    ("resource_route", Field::Route),
    ("resource_method", Field::Method),
    ("request_id", Field::RequestId),
    ("request_uri", Field::Uri),
    ("trace_id", Field::TraceId),
    ("domain", Field::Domain),
    ("action", Field::Action),
    ("error", Field::Error),
];

/// Returns the text of the event in one of [`TEXT_COLUMNS`].
pub(crate) fn text(event: &AuditEvent, field: Field) -> Option<Cow<'_, str>> {
    field.event_field().and_then(|field| field.value_of(event))
}
