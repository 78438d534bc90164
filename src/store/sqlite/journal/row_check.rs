//! The columns of journal rows against their texts.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::stored_row::{COLUMNS, StoredRow};
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::EventColumns;
use crate::store::sqlite::id_blob::id_of;

/// The rows of the journal that are not as a writer inserts them.
#[derive(Debug, Default)]
pub(crate) struct JournalFaults {
    /// The last row whose columns contradict its text.
    pub(crate) last: Option<i64>,
    /// The number of such rows.
    pub(crate) rows: u64,
    /// The number of events that cannot be decoded.
    pub(crate) undecodable: u64,
}

/// Reads the whole journal.
pub(crate) async fn find_faults(db: &mut SqliteConnection) -> Result<JournalFaults, StoreError> {
    let mut faults = JournalFaults::default();
    let sql = format!(
        "SELECT {COLUMNS}, CASE typeof(events_n) WHEN 'integer' THEN events_n ELSE -1 END, \
         typeof(min_at) = 'integer' AND typeof(max_at) = 'integer' AND min_at <= max_at, \
         CAST(min_id AS BLOB), CAST(max_id AS BLOB) FROM audit_journal ORDER BY seq"
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(db);
    while let Some(row) = rows.try_next().await.during(DOING)? {
        let events_n: i64 = row.try_get(5).during(DOING)?;
        let is_span: bool = row.try_get(6).during(DOING)?;
        let id = |column: usize| row.try_get::<Option<&[u8]>, _>(column).during(DOING);
        let ids = (id(7)?, id(8)?);
        let (row, text) = StoredRow::read(&row).during(DOING)?;
        let (mut events, mut undecodable, mut is_right) = (0, 0, is_span);
        for (_, piece) in row.pieces(&text) {
            events += 1;
            if piece.is_empty() {
                // The text has fewer events than the row counts.
                is_right = false;
                continue;
            }
            match EventColumns::read(piece) {
                Ok(columns) => {
                    let id = columns.event_id.as_u128();
                    let bounds = (ids.0.and_then(|id| id_of(id).ok()), ids.1.and_then(|id| id_of(id).ok()));
                    is_right &= (row.min_at..=row.max_at).contains(&columns.created_at.as_micros())
                        && matches!(bounds, (Some(min), Some(max)) if (min..=max).contains(&id));
                }
                Err(_) => undecodable += 1,
            }
        }
        if !is_right || events_n != events {
            faults.last = Some(row.seq);
            faults.rows += 1;
        }
        faults.undecodable += undecodable;
    }
    Ok(faults)
}

const DOING: &str = "checking the journal";
