//! Rows that no writer and no sealer makes.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::{rows, tables};
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::segments::segment;
use crate::store::{ForeignRow, StoreError};

/// Returns leaves with numbers below 0, and rows of segments whose ids are none.
pub(super) async fn foreign_rows(db: &mut SqliteConnection, at_most: usize) -> Result<Vec<ForeignRow>, StoreError> {
    let mut found = Vec::new();
    if tables::exist(db).await? {
        let sql = "SELECT n FROM audit_leaves WHERE n < 0 LIMIT ?1";
        let numbers: Vec<i64> =
            sqlx::query_scalar(sql).bind(rows::limit(at_most)).fetch_all(&mut *db).await.during(DOING)?;
        found.extend(numbers.into_iter().map(|number| ForeignRow::Leaf { number }));
    }
    for n in segment::tables(db).await? {
        let sql = format!(
            "SELECT seq FROM audit_segment_{n} WHERE typeof(event_id) <> 'blob' OR length(event_id) <> 16 LIMIT ?1"
        );
        let numbers: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(rows::limit(at_most.saturating_sub(found.len())))
            .fetch_all(&mut *db)
            .await
            .during(DOING)?;
        found.extend(numbers.into_iter().map(|row| ForeignRow::Event {
            text: format!("row {row} of audit_segment_{n} is listed as an event, and its id is none"),
        }));
    }
    Ok(found)
}

const DOING: &str = "reading the seal";
