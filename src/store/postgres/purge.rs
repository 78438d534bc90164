//! Removing what is old: a month at once where all of it is old, a little at a time elsewhere.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::error::Doing as _;
use super::moment::Moment;
use super::names::Names;
use super::partition;
use crate::event::Timestamp;
use crate::store::{Purged, StoreError};

/// Removes a whole month, however many events it holds: that takes no longer than to remove a few. Where there is none,
/// up to `at_most` events.
pub(super) async fn purge(
    db: &mut PgConnection,
    names: &Names,
    before: Timestamp,
    at_most: usize,
) -> Result<Purged, StoreError> {
    if partition::may_drop(db, names).await? {
        while let Some(removed) = partition::drop_one(db, names, before).await? {
            // A month that had none left costs its caller no turn.
            if removed > 0 {
                return Ok(Purged { removed, more: is_more(db, names, before).await? });
            }
        }
    }
    let at_most = at_most.clamp(1, MOST_AT_ONCE);
    // The ids are found first and then taken as one array: a join might read the whole table.
    let sql = format!(
        "DELETE FROM {0} WHERE event_id = ANY (ARRAY(\
            SELECT event_id FROM {0} WHERE created_at < $1 ORDER BY created_at, event_id LIMIT $2))",
        names.table()
    );
    let removed = sqlx::query(AssertSqlSafe(sql))
        .bind(Moment(before))
        .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
        .execute(&mut *db)
        .await
        .doing(DOING)?
        .rows_affected();
    Ok(Purged { removed, more: removed > 0 && is_more(db, names, before).await? })
}

async fn is_more(db: &mut PgConnection, names: &Names, before: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE created_at < $1)", names.table());
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(Moment(before)).fetch_one(db).await.doing(DOING)
}

const DOING: &str = "purge";
/// More in one transaction would keep it open for too long.
const MOST_AT_ONCE: usize = 10_000;
