//! Reading a row of the events.

use std::borrow::Cow;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::error::DuringOperation as _;
use super::timestamptz::StoredTime;
use crate::event::AuditEvent;
use crate::store::StoreError;
use crate::store::sql::{StoredRow, TEXT_COLUMNS};

/// The columns that an event is read from, of the table `e`.
pub(super) fn columns() -> String {
    let texts = TEXT_COLUMNS.map(|(column, _)| format!("e.{column}")).join(", ");
    format!(
        "e.event_id, e.created_at, e.event_type, e.phase, e.target_type, e.target_id, e.more_targets, e.outcome, \
         e.details::pg_catalog.text, e.event, {texts}"
    )
}

/// The event of a row of [`columns`].
pub(super) fn event_of(row: &PgRow, doing: &'static str) -> Result<AuditEvent, StoreError> {
    let columns = columns_of(row).during(doing)?;
    let text: Option<&str> = row.try_get(9).during(doing)?;
    Ok(columns.event_of(text.unwrap_or_default()))
}

fn columns_of(row: &PgRow) -> Result<StoredRow<'_>, sqlx::Error> {
    let text = |column: usize| row.try_get::<Option<&str>, _>(column);
    let mut texts = [None; TEXT_COLUMNS.len()];
    for (text_column, column) in texts.iter_mut().zip(10..) {
        *text_column = text(column)?;
    }
    let (target_type, target_id) = (text(4)?, text(5)?);
    let more_targets: Option<Vec<Option<String>>> = row.try_get(6)?;
    let has_stray_target = target_type.is_none() && target_id.is_some() && more_targets.is_none();
    let first = target_type.zip(target_id).map(|(target_type, id)| Cow::from(format!("{target_type}/{id}")));
    let StoredTime { time, is_clamped } = row.try_get(1)?;
    Ok(StoredRow {
        event_id: row.try_get::<Uuid, _>(0)?.into(),
        created_at: time,
        is_clamped,
        event_type: text(2)?,
        phase: text(3)?,
        targets: first.into_iter().chain(more_targets.into_iter().flatten().flatten().map(Cow::from)).collect(),
        has_stray_target,
        outcome: row.try_get(7)?,
        details: text(8)?,
        texts,
    })
}
