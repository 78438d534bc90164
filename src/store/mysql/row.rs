//! Reading a row of the events.

use std::borrow::Cow;

use sqlx::Row as _;
use sqlx::mysql::MySqlRow;

use super::datetime::{MICROS, nearest};
use super::error::{DuringOperation as _, permanent};
use crate::event::{AuditEvent, EventId};
use crate::store::StoreError;
use crate::store::sql::{StoredRow, TEXT_COLUMNS};

/// The columns that an event is read from, of the table `e`.
pub(super) fn columns() -> String {
    let texts = TEXT_COLUMNS.map(|(column, _)| format!("e.{column}")).join(", ");
    format!(
        "e.event_id, {MICROS}, e.event_type, e.phase, e.target, e.all_targets, e.outcome, e.details, e.event, {texts}"
    )
}

/// The event of a row of [`columns`].
pub(super) fn event_of(row: &MySqlRow, doing: &'static str) -> Result<AuditEvent, StoreError> {
    let id = id_of(row, 0, doing)?;
    let columns = columns_of(row, id).during(doing)?;
    let text: Option<&str> = row.try_get(8).during(doing)?;
    Ok(columns.event_of(text.unwrap_or_default()))
}

/// The id in a column of 16 bytes.
pub(super) fn id_of(row: &MySqlRow, column: usize, doing: &'static str) -> Result<EventId, StoreError> {
    let bytes: &[u8] = row.try_get(column).during(doing)?;
    let bytes =
        bytes.try_into().map_err(|_| permanent(doing).with_hint("an id in the log's table has not 16 bytes"))?;
    Ok(EventId::from_bytes(bytes))
}

fn columns_of(row: &MySqlRow, event_id: EventId) -> Result<StoredRow<'_>, sqlx::Error> {
    let text = |column: usize| row.try_get::<Option<&str>, _>(column);
    let mut texts = [None; TEXT_COLUMNS.len()];
    for (text_column, column) in texts.iter_mut().zip(9..) {
        *text_column = text(column)?;
    }
    let (created_at, is_clamped) = nearest(row.try_get(1)?);
    let (first, all) = (text(4)?, text(5)?);
    let all: Option<Result<Vec<String>, _>> = all.map(serde_json::from_str);
    let (targets, has_stray_target) = match all {
        None => (first.into_iter().map(Cow::Borrowed).collect(), false),
        Some(Ok(all)) => {
            let is_of_first = all.first().map(String::as_str) == first;
            (all.into_iter().map(Cow::Owned).collect(), !is_of_first)
        }
        Some(Err(_)) => (first.into_iter().map(Cow::Borrowed).collect(), true),
    };
    Ok(StoredRow {
        event_id,
        created_at,
        is_clamped,
        event_type: text(2)?,
        phase: text(3)?,
        targets,
        has_stray_target,
        outcome: row.try_get(6)?,
        details: text(7)?,
        texts,
    })
}
