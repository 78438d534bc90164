//! A partition for each month, made ahead of its first event, and dropped whole when all of it is old.
//!
//! The key is the id: a UUID of version 7 begins with the milliseconds of its time, so that a span of time is a span of
//! ids. An id that is none of version 7, or of a month without a partition, belongs to the default partition. With the
//! first month comes a partition for all that is older: what is imported has its place there, and the default
//! partition, which is looked through when another is made, stays small.
//!
//! Making and dropping are functions of the database that act as the owner of the tables
//! (`schema.sql`), so that whoever appends can make months, and whoever purges can drop them, without
//! owning anything. Each call is one transaction and does one thing.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::error::DuringOperation as _;
use super::identifiers::{CREATE_PARTITION, DROP_PARTITION, Identifiers};
use super::session::only;
use super::timestamptz::Timestamptz;
use crate::event::Timestamp;
use crate::store::StoreError;

/// Returns true if this account may create partitions.
pub(super) async fn may_create(db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
    may_call(db, names, CREATE_PARTITION).await
}

/// Returns true if this account may drop partitions.
pub(super) async fn may_drop(db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
    may_call(db, names, DROP_PARTITION).await
}

async fn may_call(db: &mut PgConnection, names: &Identifiers, function: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = $1 AND p.proname = $2 AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))",
    )
    .bind(names.schema())
    .bind(names.unquoted(function))
    .fetch_one(db)
    .await
    .during(MAKING)
}

/// Makes the partitions of this month and of the next ones, as far as they are missing and nothing is in the way.
///
/// A lock in the way is no error: events of a month without a partition go to the default one.
pub(super) async fn create_ahead(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let sql = format!("SELECT {}()", names.side_table(CREATE_PARTITION));
    for _ in 0..MAX_CREATED {
        let made: Vec<bool> =
            sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_all(&mut *db).await.during(MAKING)?;
        if !only(made, MAKING)? {
            break;
        }
    }
    Ok(())
}

/// Drops the earliest month of which everything is older than this, however many events it holds, and says how many
/// those were. None if there is no such month, or if a lock is in the way for now.
pub(super) async fn drop_oldest(
    db: &mut PgConnection,
    names: &Identifiers,
    before: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let sql = format!("SELECT {}($1)", names.side_table(DROP_PARTITION));
    let dropped: Vec<Option<i64>> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(Timestamptz(before)).fetch_all(db).await.during(DROPPING)?;
    Ok(only(dropped, DROPPING)?.map(|events| u64::try_from(events).unwrap_or(0)))
}

const MAKING: &str = "making a partition";
const DROPPING: &str = "dropping a partition";
/// More than there are to be made at any time.
const MAX_CREATED: usize = 8;
