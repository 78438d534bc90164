//! The columns of an event: their names, and the places of the fields that filters name.

use crate::event::AuditEvent;
use crate::query::Field;
use crate::store::sql::{TEXT_COLUMNS, TextColumn};

/// The columns in the order in which their values are bound.
pub(super) fn columns() -> impl Iterator<Item = &'static str> {
    BEFORE.into_iter().chain(TEXT_COLUMNS.into_iter().map(|(column, _)| column)).chain(AFTER)
}

/// The columns that are bound before [`TEXT_COLUMNS`].
const BEFORE: [&str; 4] = ["event_id", "event_type", "created_at", "phase"];
/// The columns that are bound after [`TEXT_COLUMNS`].
const AFTER: [&str; 5] = ["target", "all_targets", "outcome", "details", "event"];

/// The columns that an erasure may change, in the order of [`columns`].
pub(super) const ERASABLE: [&str; 11] = [
    "actor_user_email",
    "actor_api_key_hash",
    "actor_remote_addr",
    "actor_acting_for",
    "request_id",
    "request_uri",
    "trace_id",
    "target",
    "all_targets",
    "details",
    "event",
];

/// The targets of an event, as their columns have them: the first one as text and, if there are more, all of them as JSON.
pub(super) fn targets(event: &AuditEvent) -> (Option<String>, Option<String>) {
    let texts: Vec<String> = event.targets.iter().map(ToString::to_string).collect();
    let all = (texts.len() > 1).then(|| serde_json::Value::from(texts.clone()).to_string());
    (texts.into_iter().next(), all)
}

/// Returns the place of a field with text.
pub(super) fn text_column(field: Field) -> TextColumn {
    match field {
        Field::EventType => TextColumn::One("event_type"),
        Field::Target => {
            TextColumn::List { rows: TARGETS, value: "CAST(target.value AS BINARY)", indexed: &[HAS_TARGET] }
        }
        Field::TargetType => TextColumn::List {
            rows: TARGETS,
            value: "CAST(SUBSTRING_INDEX(target.value, '/', 1) AS BINARY)",
            indexed: &[],
        },
        Field::Outcome => TextColumn::One("outcome"),
        Field::Phase => TextColumn::One("phase"),
        _ => TextColumn::One(
            TEXT_COLUMNS.into_iter().find(|(_, known)| *known == field).map_or("NULL", |(column, _)| column),
        ),
    }
}

/// Every target of an event; one null if there is none.
const TARGETS: &str = "JSON_TABLE(COALESCE(all_targets, JSON_ARRAY(target)), '$[*]' \
    COLUMNS (value VARCHAR(400) CHARACTER SET utf8mb4 PATH '$')) AS target";
/// An event with this target. The rows with several targets are few, and an index finds them.
const HAS_TARGET: &str = "(target = {value} OR (all_targets IS NOT NULL AND EXISTS (SELECT 1 FROM \
    JSON_TABLE(all_targets, '$[*]' COLUMNS (value VARCHAR(400) CHARACTER SET utf8mb4 PATH '$')) AS others \
    WHERE CAST(others.value AS BINARY) = {value})))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_column() {
        for field in Field::ALL {
            assert!(!matches!(text_column(*field), TextColumn::One("NULL")), "{field}");
        }
        let erasable: Vec<&str> = columns().filter(|column| ERASABLE.contains(column)).collect();
        assert_eq!(erasable, ERASABLE, "they are bound in this order");
    }
}
