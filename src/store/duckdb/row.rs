//! Reading a row of the events.

use std::borrow::Cow;

use super::value::Row;
use crate::event::{AuditEvent, Timestamp};
use crate::store::StoreError;
use crate::store::sql::{StoredRow, TEXT_COLUMNS};

/// The columns that an event is read from, of the table `e`.
pub(super) fn columns() -> String {
    let texts = TEXT_COLUMNS.map(|(column, _)| format!("e.{column}")).join(", ");
    format!(
        "e.event_id, {MICROS}, e.event_type, e.phase, e.targets, e.outcome, CAST(e.details AS VARCHAR), e.event, {texts}"
    )
}

/// The microseconds since 1970 of a row of the table `e`; null for an infinite time.
pub(super) const MICROS: &str = "epoch_us(e.created_at)";

/// The nearest time that an event can have, and true if the row has another.
pub(super) fn nearest(micros: Option<i64>) -> (Timestamp, bool) {
    let time = Timestamp::from_micros_clamped(micros.unwrap_or(i64::MAX));
    (time, micros != Some(time.as_micros()))
}

/// The event of a row of [`columns`].
pub(super) fn event_of(row: &Row<'_>, doing: &'static str) -> Result<AuditEvent, StoreError> {
    let mut texts = [None; TEXT_COLUMNS.len()];
    for (text, column) in texts.iter_mut().zip(8..) {
        *text = row.text(column, doing)?;
    }
    let (created_at, is_clamped) = nearest(row.number(1, doing)?);
    let targets = row.texts(4, doing)?.unwrap_or_default();
    let columns = StoredRow {
        event_id: row.id(0, doing)?,
        created_at,
        is_clamped,
        event_type: row.text(2, doing)?,
        phase: row.text(3, doing)?,
        has_stray_target: targets.iter().any(Option::is_none),
        targets: targets.into_iter().flatten().map(Cow::Owned).collect(),
        outcome: row.number(5, doing)?.and_then(|outcome| i32::try_from(outcome).ok()),
        details: row.text(6, doing)?,
        texts,
    };
    Ok(columns.event_of(row.text(7, doing)?.unwrap_or_default()))
}
