//! Indexes that are missing on tables that are written to: made without keeping a writer waiting.
//!
//! An index of a partitioned table cannot be made concurrently at once. So its place is made first, on the table alone,
//! which has no rows of its own; then the index of each partition, concurrently; and each is attached to its place. What
//! is interrupted goes on with the next call.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::error::{
    DEADLOCK, DuringOperation as _, INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, UNDEFINED_TABLE, cause, config,
    from_driver, has_code, transient,
};
use super::expected_schema::{INDEXES, Index};
use super::identifiers::{Identifiers, MAX_NAME_BYTES, quote_identifier};
use super::owner::require_owner;
use super::session::run;
use crate::store::StoreError;

/// Creates every index, on tables that are not in use yet.
pub(super) async fn create(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    for index in INDEXES {
        let (name, table, definition) =
            (quote_identifier(&names.unquoted(index.suffix)), names.table(), index.definition());
        run(db, DOING, format!("CREATE INDEX {name} ON {table} {definition}")).await?;
    }
    Ok(())
}

/// Indexes that are not as they should be.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    /// Not there, or not made to the end.
    pub(super) missing: Vec<String>,
    /// There, with something else in them.
    pub(super) different: Vec<String>,
}

impl Flaws {
    pub(super) async fn of(db: &mut PgConnection, names: &Identifiers) -> Result<Self, StoreError> {
        let found: Vec<(String, bool, String)> = sqlx::query_as(
            "SELECT c.relname::text, x.indisvalid, pg_catalog.pg_get_indexdef(c.oid) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid WHERE n.nspname = $1 AND c.relname = ANY($2)",
        )
        .bind(names.schema())
        .bind(all(names))
        .fetch_all(db)
        .await
        .during(DOING)?;
        let mut flaws = Self::default();
        for index in INDEXES {
            let name = names.unquoted(index.suffix);
            match found.iter().find(|(found, ..)| *found == name) {
                Some((.., definition)) if !index.is(definition) => flaws.different.push(name),
                Some((_, true, _)) => {}
                _ => flaws.missing.push(name),
            }
        }
        Ok(flaws)
    }

    /// The flaws in words, if there are any.
    pub(super) fn text(&self) -> Option<String> {
        let part = |indexes: &[String], what| (!indexes.is_empty()).then(|| format!("{what}: {}", indexes.join(", ")));
        let parts: Vec<_> = [part(&self.missing, "missing"), part(&self.different, "of another definition")]
            .into_iter()
            .flatten()
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The statements that remove those of another definition.
    pub(super) fn drop_different(&self, names: &Identifiers) -> String {
        let schema = names.quoted_schema();
        let drops = self.different.iter().map(|index| format!("DROP INDEX {schema}.{};", quote_identifier(index)));
        drops.collect::<Vec<_>>().join(" ")
    }
}

/// Creates the missing indexes while others append.
pub(super) async fn complete(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let flaws = Flaws::of(db, names).await?;
    if !flaws.different.is_empty() {
        return Err(config(format!(
            "somebody has made an index of another definition under the name of one of the log's: run this again after \
             `{}`",
            flaws.drop_different(names)
        )));
    }
    if flaws.missing.is_empty() {
        return Ok(());
    }
    require_owner(db, names, DOING).await?;
    // Asked again and again: a session that waits for a lock is one that the making of an index waits for.
    while !sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)")
        .bind(lock_key(names))
        .fetch_one(&mut *db)
        .await
        .during(DOING)?
    {
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    for index in INDEXES {
        if !exists(db, names, index.suffix).await? {
            // Nothing is in the table itself, but for a moment all writers to it must be out of the way.
            let (name, table, definition) =
                (quote_identifier(&names.unquoted(index.suffix)), names.table(), index.definition());
            with_lock_timeout(db, format!("CREATE INDEX {name} ON ONLY {table} {definition}")).await?;
        }
    }
    while let Some(missing) = next(db, names).await? {
        missing.make(db, names).await?;
    }
    sqlx::query("SELECT pg_catalog.pg_advisory_unlock($1)").bind(lock_key(names)).execute(db).await.during(DOING)?;
    Ok(())
}

/// An index that a partition does not have.
struct MissingIndex {
    index: Index,
    partition: String,
}

impl MissingIndex {
    async fn make(&self, db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
        let made = self.try_make(db, names).await;
        match made {
            // The partition was dropped meanwhile.
            Err(IndexError::Server(error)) if has_code(&error, UNDEFINED_TABLE) => Ok(()),
            Err(IndexError::Server(error)) => Err(rejected_error(error)),
            Err(IndexError::Store(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    async fn try_make(&self, db: &mut PgConnection, names: &Identifiers) -> Result<(), IndexError> {
        let schema = names.quoted_schema();
        let bare = truncate_identifier(format!("{}{}", self.partition, self.index.suffix));
        let index = format!("{schema}.{}", quote_identifier(&bare));
        let found: Option<(bool, String)> = sqlx::query_as(
            "SELECT x.indisvalid, pg_catalog.pg_get_indexdef(c.oid) FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid WHERE n.nspname = $1 AND c.relname = $2",
        )
        .bind(names.schema())
        .bind(&bare)
        .fetch_optional(&mut *db)
        .await?;
        let is_whole = found.map(|(is_valid, definition)| is_valid && self.index.is(&definition));
        if is_whole == Some(false) {
            statement(db, format!("DROP INDEX CONCURRENTLY {index}")).await?;
        }
        if is_whole != Some(true) {
            let (partition, definition) = (quote_identifier(&self.partition), self.index.definition());
            let sql =
                format!("CREATE INDEX CONCURRENTLY {} ON {schema}.{partition} {definition}", quote_identifier(&bare));
            statement(db, sql).await?;
        }
        let whole = format!("{schema}.{}", quote_identifier(&names.unquoted(self.index.suffix)));
        with_lock_timeout(db, format!("ALTER INDEX {whole} ATTACH PARTITION {index}")).await.map_err(IndexError::Store)
    }
}

enum IndexError {
    Server(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for IndexError {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
}

/// The first that is missing.
async fn next(db: &mut PgConnection, names: &Identifiers) -> Result<Option<MissingIndex>, StoreError> {
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT i.relname::text, p.relname::text FROM pg_catalog.pg_class t \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
         JOIN pg_catalog.pg_index x ON x.indrelid = t.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         JOIN pg_catalog.pg_inherits h ON h.inhparent = t.oid \
         JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid AND p.relnamespace = n.oid \
         WHERE n.nspname = $1 AND t.relname = $2 AND i.relname = ANY($3) AND NOT EXISTS (\
            SELECT FROM pg_catalog.pg_inherits a JOIN pg_catalog.pg_index y ON y.indexrelid = a.inhrelid \
            WHERE a.inhparent = i.oid AND y.indrelid = p.oid) \
         ORDER BY 2, 1 LIMIT 1",
    )
    .bind(names.schema())
    .bind(names.unquoted(""))
    .bind(all(names))
    .fetch_optional(db)
    .await
    .during(DOING)?;
    let Some((index, partition)) = found else { return Ok(None) };
    let known = INDEXES.into_iter().find(|known| names.unquoted(known.suffix) == index);
    Ok(known.map(|index| MissingIndex { index, partition }))
}

async fn exists(db: &mut PgConnection, names: &Identifiers, suffix: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'I')",
    )
    .bind(names.schema())
    .bind(names.unquoted(suffix))
    .fetch_one(db)
    .await
    .during(DOING)
}

/// A statement that needs a strong lock for a moment: it gives way to who holds one, so that nobody queues behind it for
/// long, and tries again.
async fn with_lock_timeout(db: &mut PgConnection, sql: String) -> Result<(), StoreError> {
    let begun = Instant::now();
    let sql = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'; {sql}; COMMIT");
    loop {
        let Err(error) = statement(db, sql.clone()).await else { return Ok(()) };
        if !has_code(&error, LOCK_NOT_AVAILABLE) && !has_code(&error, DEADLOCK) {
            return Err(rejected_error(error));
        }
        run(db, DOING, "ROLLBACK".to_owned()).await?;
        if begun.elapsed() > RETRY_TIMEOUT {
            return Err(transient(DOING)
                .with_hint("a transaction holds the table's lock: try again when it has ended")
                .with_source(cause(error)));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn statement(db: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map(drop)
}

fn rejected_error(error: sqlx::Error) -> StoreError {
    if has_code(&error, INSUFFICIENT_PRIVILEGE) {
        return config("indexes are missing: let the owner of the tables run `tower-audit migrate`")
            .with_source(cause(error));
    }
    from_driver(DOING, error)
}

fn all(names: &Identifiers) -> Vec<String> {
    INDEXES.iter().map(|index| names.unquoted(index.suffix)).collect()
}

/// As PostgreSQL would cut it.
fn truncate_identifier(mut name: String) -> String {
    while name.len() > MAX_NAME_BYTES {
        name.pop();
    }
    name
}

/// Another than that of who changes the tables, for that one is waited for.
fn lock_key(names: &Identifiers) -> i64 {
    !names.lock_key()
}

const DOING: &str = "making indexes";
const LOCK_TIMEOUT_MS: u32 = 500;
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_that_are_cut_are_still_apart() {
        let partition = format!("{}_2026_11", "x".repeat(40));
        let names: HashSet<String> =
            INDEXES.iter().map(|index| truncate_identifier(format!("{partition}{}", index.suffix))).collect();
        assert_eq!(names.len(), INDEXES.len());
        assert!(names.iter().all(|name| name.len() <= 63));
    }
}
