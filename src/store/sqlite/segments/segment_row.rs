//! Rows of a segment as they are read back. A damaged row is what its columns say.

use std::borrow::Cow;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use crate::event::{AuditEvent, EventId, Phase, Timestamp};
use crate::query::Cursor;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::{
    ActorColumns, ClassificationColumns, EventColumns, RequestColumns, ResourceColumns, TargetList,
};
use crate::store::sqlite::id_blob::id_of;

/// Gives `visit` each row that passes the condition, with its event and that one's text.
pub(crate) async fn scan(
    db: &mut SqliteConnection,
    n: i64,
    condition: &str,
    mut visit: impl FnMut(u32, &EventColumns<'_>, &str),
) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS}, seq FROM audit_segment_{n} WHERE {condition} ORDER BY seq");
    let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(db);
    while let Some(row) = rows.try_next().await.during(DOING)? {
        let seq: i64 = row.try_get(EVENT + 1).during(DOING)?;
        with_event(&row, |event, text| visit(u32::try_from(seq).unwrap_or(u32::MAX), event, text))?;
    }
    Ok(())
}

/// Returns the event of a row of [`COLUMNS`]; one built from the columns if the text is no event or contradicts them.
pub(crate) fn event(row: &SqliteRow) -> Result<AuditEvent, StoreError> {
    let text = lossy(row, EVENT)?.unwrap_or_default();
    let columns = columns_of(row)?;
    match serde_json::from_str::<AuditEvent>(&text) {
        Ok(event) if columns.fit(&event) => Ok(event),
        _ => Ok(columns.with_values_of(&text).event(&text)),
    }
}

/// Gives `visit` the whole event of a row of [`COLUMNS`], and its text.
pub(crate) fn with_event<T>(
    row: &SqliteRow,
    visit: impl FnOnce(&EventColumns<'_>, &str) -> T,
) -> Result<T, StoreError> {
    let text = lossy(row, EVENT)?.unwrap_or_default();
    Ok(visit(&columns_of(row)?.with_values_of(&text), &text))
}

/// The columns of a row of [`COLUMNS`]. Values that are in the text of the event alone are missing.
pub(crate) fn columns_of(row: &SqliteRow) -> Result<EventColumns<'_>, StoreError> {
    let Cursor { created_at, event_id } = place_of(row, 0, 1)?;
    Ok(EventColumns {
        event_id,
        created_at,
        event_type: lossy(row, 2)?.unwrap_or_default(),
        phase: lossy(row, 3)?.and_then(|phase| phase.parse().ok()).unwrap_or(Phase::Unknown),
        actor: ActorColumns { user_email: lossy(row, 4)?, remote_addr: lossy(row, 5)?, ..ActorColumns::default() },
        resource: ResourceColumns { route: lossy(row, 6)?, ..ResourceColumns::default() },
        outcome: row.try_get::<Option<i64>, _>(7).during(DOING)?.and_then(|outcome| outcome.try_into().ok()),
        request: RequestColumns::default(),
        classification: ClassificationColumns::default(),
        targets: TargetList::default(),
        details: None,
    })
}

/// Returns the position in these columns. A malformed id becomes the least.
pub(crate) fn place_of(row: &SqliteRow, moment: usize, id: usize) -> Result<Cursor, StoreError> {
    let created_at = Timestamp::from_micros_clamped(row.try_get(moment).during(DOING)?);
    let id = row.try_get(id).and_then(id_of).unwrap_or(0);
    Ok(Cursor { created_at, event_id: EventId::from_u128(id) })
}

/// Returns a text that was read as bytes.
pub(crate) fn lossy(row: &SqliteRow, column: usize) -> Result<Option<Cow<'_, str>>, StoreError> {
    Ok(row.try_get::<Option<&[u8]>, _>(column).during(DOING)?.map(String::from_utf8_lossy))
}

/// The column of [`COLUMNS`] that has the text.
pub(crate) const EVENT: usize = 8;
const DOING: &str = "reading";

/// The columns of an event that may be undecodable. Texts come as bytes: they may be no UTF-8.
pub(crate) const COLUMNS: &str =
    concat!("CAST(created_at AS INTEGER), CAST(event_id AS BLOB), ", columns_after_cursor!());
/// [`COLUMNS`] without time and id.
pub(crate) const COLUMNS_AFTER_CURSOR: &str = columns_after_cursor!();

macro_rules! columns_after_cursor {
    () => {
        "CAST(event_type AS BLOB), CAST(phase AS BLOB), CAST(user_email AS BLOB), CAST(remote_addr AS BLOB), \
         CAST(route AS BLOB), CAST(outcome AS INTEGER), CAST(event AS BLOB)"
    };
}
use columns_after_cursor;
