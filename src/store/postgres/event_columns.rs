//! The columns of an event: their names, their types, and the fields of the event that they hold.

use std::borrow::Cow;

use crate::event::AuditEvent;
use crate::query::Field;
use crate::store::sql::TextColumn;

/// The columns with one text of the event each.
pub(super) const TEXT_COLUMNS: [(&str, Field); 12] = [
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

/// The columns that are bound before [`TEXT_COLUMNS`], with the types of their values.
const BEFORE: [(&str, &str); 4] =
    [("event_id", "uuid"), ("event_type", "text"), ("created_at", "timestamptz"), ("phase", "text")];

/// The columns that are bound after [`TEXT_COLUMNS`]. `more_targets` is given as the text of an array.
const AFTER: [(&str, &str); 6] = [
    ("target_type", "text"),
    ("target_id", "text"),
    ("more_targets", "text"),
    ("outcome", "int4"),
    ("details", "text"),
    ("event", "text"),
];

/// The number of columns that are bound.
pub(super) const COLUMN_COUNT: usize = BEFORE.len() + TEXT_COLUMNS.len() + AFTER.len();

/// Returns the columns in the order in which their values are bound, with the types of the values.
pub(super) fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    let texts = TEXT_COLUMNS.into_iter().map(|(column, _)| (column, "text"));
    BEFORE.into_iter().chain(texts).chain(AFTER)
}

/// Returns a value that was bound, as its column has it.
pub(super) fn stored(column: &str, value: &str) -> String {
    match column {
        "details" => format!("{value}::pg_catalog.jsonb"),
        "more_targets" => format!("{value}::pg_catalog.text[]"),
        _ => value.to_owned(),
    }
}

/// Returns the text of the event in one of [`TEXT_COLUMNS`].
pub(super) fn text(event: &AuditEvent, field: Field) -> Option<Cow<'_, str>> {
    field.event_field().and_then(|field| field.value(event))
}

/// The targets of an event, as their columns have them.
#[derive(Debug, Default)]
pub(super) struct TargetColumns<'a> {
    pub(super) target_type: Option<&'a str>,
    pub(super) target_id: Option<&'a str>,
    /// The further ones, as the text of an array.
    pub(super) more: Option<String>,
}

impl<'a> TargetColumns<'a> {
    pub(super) fn of(event: &'a AuditEvent) -> Self {
        let [first, more @ ..] = &*event.targets else { return Self::default() };
        let more = (!more.is_empty()).then(|| {
            let quoted = more.iter().map(|target| format!("\"{}\"", escaped(&target.to_string())));
            format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
        });
        Self { target_type: Some(&first.target_type), target_id: Some(&first.id), more }
    }
}

/// Escapes an element of an array.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}

/// Returns the place of a field with text.
pub(super) fn text_column(field: Field) -> TextColumn {
    match field {
        Field::EventType => TextColumn::One("event_type"),
        Field::Target => TextColumn::List { rows: TARGETS, value: "target.value", array: Some(TARGET_ARRAY) },
        Field::TargetType => {
            TextColumn::List { rows: TARGETS, value: "pg_catalog.split_part(target.value, '/', 1)", array: None }
        }
        Field::Outcome => TextColumn::One("outcome"),
        Field::Phase => TextColumn::One("phase"),
        _ => TextColumn::One(
            TEXT_COLUMNS.into_iter().find(|(_, known)| *known == field).map_or("NULL", |(column, _)| column),
        ),
    }
}

/// Every target of an event.
pub(super) const TARGET_ARRAY: &str = "array_append(more_targets, ((target_type || '/'::text) || target_id))";
const TARGETS: &str =
    "pg_catalog.unnest(array_append(more_targets, ((target_type || '/'::text) || target_id))) AS target(value)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_column() {
        for field in Field::ALL {
            assert!(!matches!(text_column(*field), TextColumn::One("NULL")), "{field}");
        }
        assert_eq!(columns().count(), COLUMN_COUNT);
    }
}
