//! Deleting old events: a month at once if all of it is old, otherwise chunk by chunk.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::config::Config;
use super::datetime::datetime;
use super::error::{DuringOperation as _, permanent};
use super::identifiers::{Identifiers, STARTED};
use super::partition;
use super::row::id_of;
use super::session::{IDS_AT_ONCE, bind_ids, marks};
use crate::event::{EventId, Timestamp};
use crate::store::{OPEN_COPY_AGE, PurgeOutcome, StoreError};

/// Drops a month, however many events it has. If no month is old enough, or this account may drop none, deletes up to
/// `at_most` events.
pub(super) async fn purge(
    db: &mut MySqlConnection,
    config: &Config,
    before: Timestamp,
    at_most: usize,
) -> Result<PurgeOutcome, StoreError> {
    let names = &config.identifiers;
    // A row with a time before the first one that an event can have counts as one of that time.
    if before == Timestamp::MIN {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    // Asked before anything is removed: an account that may not see the times is told so.
    let has_old = has_more(db, names, before).await?;
    forget_open(db, names, before).await?;
    while let Some(deleted) = partition::drop_oldest(db, names, before, config.facts.is_mariadb()).await? {
        // An empty month is not worth a call.
        if deleted > 0 {
            return Ok(PurgeOutcome { deleted, has_more: has_more(db, names, before).await? });
        }
    }
    if !has_old {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    let at_most = at_most.clamp(1, MAX_CHUNK);
    let old = oldest(db, names, before, at_most).await?;
    let deleted = delete(db, names, &old).await?;
    if deleted < old.len() as u64 {
        refuse_undeletable(db, names, &old).await?;
    }
    Ok(PurgeOutcome { deleted, has_more: old.len() == at_most })
}

/// Deletes the copies of `started` events that are still open and older than `before`: who and what they name would
/// outlive the purge, and come back in the event that closes them. A log makes the ids of these events, so that a span of
/// time is a span of ids. Those younger than [`OPEN_COPY_AGE`] stay: their requests may be running.
pub(super) async fn forget_open(
    db: &mut MySqlConnection,
    names: &Identifiers,
    before: Timestamp,
) -> Result<(), StoreError> {
    let young = Timestamp::from_micros_clamped(Timestamp::now().as_micros() - OPEN_COPY_AGE.as_micros() as i64);
    let Ok(millis) = u128::try_from(before.min(young).as_micros().div_euclid(1000)) else { return Ok(()) };
    let sql = format!("DELETE FROM {} WHERE event_id < ?", names.side_table(STARTED));
    let least = EventId::from_u128(millis << 80).to_bytes().to_vec();
    sqlx::query(AssertSqlSafe(sql)).bind(least).execute(db).await.during(DOING).map(drop)
}

async fn oldest(
    db: &mut MySqlConnection,
    names: &Identifiers,
    before: Timestamp,
    at_most: usize,
) -> Result<Vec<EventId>, StoreError> {
    let sql =
        format!("SELECT event_id FROM {} WHERE created_at < ? ORDER BY created_at, event_id LIMIT ?", names.table());
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(datetime(before))
        .bind(at_most as i64)
        .fetch_all(db)
        .await
        .during(DOING)?;
    rows.iter().map(|row| id_of(row, 0, DOING)).collect()
}

/// Deletes events by their ids, a thousand in a transaction, and says how many were there.
async fn delete(db: &mut MySqlConnection, names: &Identifiers, ids: &[EventId]) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for some in ids.chunks(IDS_AT_ONCE) {
        let sql = format!("DELETE FROM {} WHERE event_id IN ({})", names.table(), marks(some.len()));
        let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), some);
        deleted += query.execute(&mut *db).await.during(DOING)?.rows_affected();
    }
    Ok(deleted)
}

/// Returns an error if an event that was to be deleted is still there. Another purge may have deleted the same events.
pub(super) async fn refuse_undeletable(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
) -> Result<(), StoreError> {
    for some in ids.chunks(IDS_AT_ONCE) {
        let sql = format!("SELECT event_id FROM {} WHERE event_id IN ({}) LIMIT 1", names.table(), marks(some.len()));
        let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), some);
        if !query.fetch_all(&mut *db).await.during(DOING)?.is_empty() {
            return Err(permanent(DOING).with_hint(
                "the server deletes fewer events than it was told to: `tower-audit doctor` names what is on the tables",
            ));
        }
    }
    Ok(())
}

async fn has_more(db: &mut MySqlConnection, names: &Identifiers, before: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE created_at < ?)", names.table());
    let has_more: i64 =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(datetime(before)).fetch_one(db).await.during(DOING)?;
    Ok(has_more != 0)
}

pub(super) const DOING: &str = "purge";
/// More would keep the session busy for too long.
const MAX_CHUNK: usize = 10_000;
