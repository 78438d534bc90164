//! The columns of an event: their names, and the places of the fields that filters name.

use crate::query::Field;
use crate::store::sql::{TEXT_COLUMNS, TextColumn};

/// The columns that are given before [`TEXT_COLUMNS`]. The column `id`, which IVRE has, is given by the sequence.
const BEFORE: [&str; 4] = ["event_id", "event_type", "created_at", "phase"];
/// The columns that are given after [`TEXT_COLUMNS`].
const AFTER: [&str; 4] = ["targets", "outcome", "details", "event"];

/// The columns in the order in which their values are given.
pub(super) fn columns() -> impl Iterator<Item = &'static str> {
    BEFORE.into_iter().chain(TEXT_COLUMNS.into_iter().map(|(column, _)| column)).chain(AFTER)
}

/// Returns the place of a field with text.
pub(super) fn text_column(field: Field) -> TextColumn {
    match field {
        Field::EventType => TextColumn::One("event_type"),
        Field::Target => {
            TextColumn::List { rows: TARGETS, value: "target.value", indexed: &["list_contains(targets, {value})"] }
        }
        Field::TargetType => {
            TextColumn::List { rows: TARGETS, value: "split_part(target.value, '/', 1)", indexed: &[] }
        }
        Field::Outcome => TextColumn::One("outcome"),
        Field::Phase => TextColumn::One("phase"),
        _ => TextColumn::One(
            TEXT_COLUMNS.into_iter().find(|(_, known)| *known == field).map_or("NULL", |(column, _)| column),
        ),
    }
}

/// Every target of an event, each as `type/id`.
const TARGETS: &str = "unnest(targets) AS target(value)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_column() {
        for field in Field::ALL {
            assert!(!matches!(text_column(*field), TextColumn::One("NULL")), "{field}");
        }
    }
}
