//! The columns that the tables of events have alike.

use std::borrow::Cow;

use crate::event::AuditEvent;
use crate::query::{Field, Filter, TextPattern};

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

/// Returns the names of the filter's conditions that no index answers.
pub(crate) fn unindexed(filter: &Filter) -> Vec<&'static str> {
    let by_text = filter.texts().into_iter().filter(|(field, condition)| {
        let begins = |pattern: &TextPattern| pattern.literals().first().is_some_and(|literal| !literal.is_empty());
        let is_whole = |pattern: &TextPattern| pattern.as_exact().is_some();
        let included = condition.included();
        let is_indexed = match field {
            Field::EventType | Field::UserEmail | Field::RemoteAddr | Field::Route => {
                included.iter().all(|pattern| is_whole(pattern) || begins(pattern) || *pattern == TextPattern::any())
            }
            Field::Target | Field::RequestId | Field::TraceId => included.iter().all(is_whole),
            _ => false,
        };
        !condition.is_empty() && !is_indexed
    });
    let details = filter.details.values().any(|condition| !condition.is_empty()).then_some("detail");
    by_text.map(|(field, _)| field.as_str()).chain(details).collect()
}
