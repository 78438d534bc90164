//! Removing what is old: a month at once where all of it is old, a little at a time elsewhere.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::connection::run;
use super::error::{DEADLOCK, Doing as _, LOCK_NOT_AVAILABLE, is, of};
use super::moment::Moment;
use super::names::Names;
use super::partition::{self, LOCK_TIMEOUT_MS, Partition};
use super::schema;
use crate::event::Timestamp;
use crate::store::{Purged, StoreError};

/// Removes whole partitions, however many events they hold: that takes no longer than to remove a few. Then up to
/// `at_most` events of the others.
pub(super) async fn purge(
    db: &mut PgConnection,
    names: &Names,
    before: Timestamp,
    at_most: usize,
) -> Result<Purged, StoreError> {
    let ended = partition::ended_before(db, names, before).await?;
    if !ended.is_empty() && schema::is_owner(db, names).await? {
        for partition in ended {
            // A month that had none left costs its caller no turn.
            if let Some(removed @ 1..) = drop_whole(db, names, &partition, before).await? {
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

/// Drops a partition if everything in it is old, and says how many events that were. None if it is not all old, or if
/// somebody is in the way for now.
///
/// Writers to this very partition are locked out first, so that what is counted is what is dropped. The lock that
/// stops everyone is asked for last, is not waited for for long, and is held for no more than the change of the catalog.
async fn drop_whole(
    db: &mut PgConnection,
    names: &Names,
    partition: &Partition,
    before: Timestamp,
) -> Result<Option<u64>, StoreError> {
    run(db, DOING, format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'")).await?;
    match drop_locked(db, names, partition, before).await {
        Ok(Some(removed)) => {
            run(db, DOING, "COMMIT".to_owned()).await?;
            Ok(Some(removed))
        }
        Ok(None) => {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
            Ok(None)
        }
        Err(error) if is(&error, LOCK_NOT_AVAILABLE) || is(&error, DEADLOCK) => {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
            Ok(None)
        }
        Err(error) => Err(of(DOING, error)),
    }
}

async fn drop_locked(
    db: &mut PgConnection,
    names: &Names,
    Partition { name }: &Partition,
    before: Timestamp,
) -> Result<Option<u64>, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLE {name} IN SHARE MODE"))).execute(&mut *db).await?;
    let sql = format!("SELECT EXISTS (SELECT FROM {name} WHERE created_at >= $1)");
    let any_new: bool =
        sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).bind(Moment(before)).fetch_one(&mut *db).await?;
    if any_new {
        return Ok(None);
    }
    let sql = format!("SELECT count(*) FROM {name}");
    let events: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *db).await?;
    let table = names.table();
    let sql = format!("ALTER TABLE {table} DETACH PARTITION {name}; DROP TABLE {name}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await?;
    Ok(Some(u64::try_from(events).unwrap_or(0)))
}

async fn is_more(db: &mut PgConnection, names: &Names, before: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE created_at < $1)", names.table());
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(Moment(before)).fetch_one(db).await.doing(DOING)
}

const DOING: &str = "purge";
/// More in one transaction would keep it open for too long.
const MOST_AT_ONCE: usize = 10_000;
