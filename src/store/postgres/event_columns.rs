//! The columns of an event: their names, their types, and the fields of the event that they hold.

use crate::event::AuditEvent;
use crate::query::Field;
use crate::store::sql::TextColumn;
pub(super) use crate::store::sql::{TEXT_COLUMNS, text};

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

/// The columns that an erasure may change. The others say that something happened, when, and with which outcome.
pub(super) const ERASABLE: [&str; 12] = [
    "actor_user_email",
    "actor_api_key_hash",
    "actor_remote_addr",
    "actor_acting_for",
    "request_id",
    "request_uri",
    "trace_id",
    "target_type",
    "target_id",
    "more_targets",
    "details",
    "event",
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
        Field::Target => {
            TextColumn::List { rows: TARGETS, value: "target.value", indexed: &[IS_FIRST_TARGET, IS_FURTHER_TARGET] }
        }
        Field::TargetType => {
            TextColumn::List { rows: TARGETS, value: "pg_catalog.split_part(target.value, '/', 1)", indexed: &[] }
        }
        Field::Outcome => TextColumn::One("outcome"),
        Field::Phase => TextColumn::One("phase"),
        _ => TextColumn::One(
            TEXT_COLUMNS.into_iter().find(|(_, known)| *known == field).map_or("NULL", |(column, _)| column),
        ),
    }
}

/// The first target in its text form.
macro_rules! first_target {
    () => {
        "((target_type || '/'::text) || target_id)"
    };
}

/// The digest of a text: it tells values apart, whatever their length.
macro_rules! digest {
    ($text:expr) => {
        concat!("pg_catalog.hashtextextended(", $text, ", (0)::bigint)")
    };
}

/// The first target in its text form, as an index has it.
#[cfg(test)]
pub(super) const FIRST_TARGET: &str = first_target!();
/// The digest of a whole value, as an index has it.
pub(super) const DIGEST: &str = digest!("{value}");
/// An event with this target as its first. Its index is in the order of a listing.
const IS_FIRST_TARGET: &str =
    concat!("(", digest!(first_target!()), " = ", digest!("{value}"), " AND ", first_target!(), " = {value})");
/// An event with this target as a further one.
const IS_FURTHER_TARGET: &str = "more_targets @> ARRAY[{value}]";
/// Every target of an event; null if there is none.
const TARGETS: &str =
    concat!("pg_catalog.unnest(pg_catalog.array_append(more_targets, ", first_target!(), ")) AS target(value)");

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
