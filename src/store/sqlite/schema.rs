//! The tables, and which version of them a file has.
//!
//! Their names begin with `audit_`, for the file may be an application's own, with its tables beside them: then one
//! transaction can hold an effect and its event. `user_version` and `application_id` are then the application's.
//!
//! Columns that a listing looks at come before the long text of a row: SQLite then reads no overflow page for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::error::{DuringOperation as _, config, open_error, permanent};
use super::events_view;
use super::lock_wait::execute_locking;
use super::sealing::tables;
use super::segments::{segment, segment_list_check};
use crate::log_lines::log_line;
use crate::store::StoreError;

/// `PRAGMA application_id` of files that are a log and nothing else: "twau". It tells people and tools; what decides is
/// the table `audit_version`.
pub(super) const APPLICATION_ID: i32 = 0x7477_6175;
/// The version of the tables below.
pub(super) const VERSION: i32 = 1;

/// The state of a file's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    /// A new or empty database.
    Empty,
    /// A database of another application, without a log in it.
    Foreign,
    /// A log of this version, perhaps beside the tables of an application.
    Current,
}

/// Reads the state of the file without a change to it.
pub(super) async fn examine(db: &mut SqliteConnection) -> Result<FileState, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), \
         (SELECT count(*) FROM sqlite_schema), (SELECT count(*) FROM sqlite_schema WHERE name = 'audit_version')",
    )
    .fetch_one(&mut *db)
    .await
    .map_err(open_error)?;
    let number = |column: usize| row.try_get::<i64, _>(column).during(DOING);
    let (id, user_version, tables, versions) = (number(0)?, number(1)?, number(2)?, number(3)?);
    if versions == 0 {
        return match (id, user_version, tables) {
            (0, 0, 0) => Ok(FileState::Empty),
            (id, ..) if id == i64::from(APPLICATION_ID) => Err(no_version_error()),
            _ if has_journal(db).await? => Err(no_version_error()),
            _ => Ok(FileState::Foreign),
        };
    }
    let sql = "SELECT CASE typeof(version) WHEN 'integer' THEN version ELSE 0 END FROM audit_version WHERE one = 1";
    let version: Option<i64> = sqlx::query_scalar(sql).fetch_optional(db).await.during(DOING)?;
    match version {
        None => Err(no_version_error()),
        Some(version) if version == i64::from(VERSION) => Ok(FileState::Current),
        Some(newer) if newer > i64::from(VERSION) => Err(config(format!(
            "the file has version {newer} of the tables and this program knows those up to {VERSION}: use a newer one"
        ))),
        Some(_) => Err(config(format!(
            "the number of the tables' version was changed, for no version has it: put {VERSION} back with `UPDATE \
             audit_version SET version = {VERSION}`"
        ))),
    }
}

/// Returns true if there is a table with the columns of the journal.
async fn has_journal(db: &mut SqliteConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT count(*) = 3 FROM pragma_table_info('audit_journal') WHERE name IN ('seq', 'events_n', 'events')",
    )
    .fetch_one(db)
    .await
    .during(DOING)
}

/// The error of an empty file where no log is to be created.
pub(super) fn empty_error(database: &Path) -> StoreError {
    match std::fs::metadata(database).map(|metadata| metadata.len()) {
        Ok(0) => config(
            "the file is empty, of no bytes: check the path, and where the file comes from. An app makes a log in it when \
             it starts, and so does `tower-audit migrate`",
        ),
        _ => config(
            "the file has no tables, and no write-ahead log (-wal) is beside it: it may be a copy of a log without that \
             file, which has the events. Copy both, or make the copy with `tower-audit backup`",
        ),
    }
}

/// The error of a log whose version somebody has deleted.
fn no_version_error() -> StoreError {
    config(format!(
        "the file is a log without the number of its tables' version: bring `audit_version` back as it was, or make it \
         again with `CREATE TABLE IF NOT EXISTS audit_version(one INTEGER PRIMARY KEY, version INTEGER NOT NULL, term_key BLOB NOT \
         NULL); INSERT INTO audit_version VALUES (1, {VERSION}, randomblob(16))`, then run `tower-audit migrate`"
    ))
}

/// The error of a database of another application.
pub(super) fn foreign_error() -> StoreError {
    config("the file is a database of another application: choose another path")
}

/// Creates missing tables in one transaction. Several processes may call it at once.
/// `beside`: also in a database of an application, beside its tables. `lock_timeout` is that of the wait for the write lock.
pub(super) async fn create(db: &mut SqliteConnection, beside: bool, lock_timeout: Duration) -> Result<(), StoreError> {
    execute_locking(&mut *db, "BEGIN IMMEDIATE", lock_timeout).await.during(DOING)?;
    // The previous holder of the lock may have made the tables, or others.
    match examine(db).await? {
        FileState::Current => {
            let tables: i64 = sqlx::query_scalar(COUNT_OF_OURS).fetch_one(&mut *db).await.during(DOING)?;
            if tables != OF_OURS {
                log_line(move || {
                    tracing::warn!("tables of the audit log were missing and are made again: what was in them is gone");
                });
            }
        }
        FileState::Empty if !beside => {
            let sql = format!("PRAGMA application_id = {APPLICATION_ID}");
            sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut *db).await.during(DOING)?;
        }
        FileState::Empty => {}
        FileState::Foreign if beside => {
            let taken: Option<String> =
                sqlx::query_scalar(SELECT_OWN_TABLES).fetch_optional(&mut *db).await.during(DOING)?;
            if let Some(name) = taken {
                return Err(config(format!(
                    "the database has a {name:?} of another application, which the log would need for itself: rename \
                     it, or keep the log in a file of its own"
                )));
            }
        }
        FileState::Foreign => return Err(foreign_error()),
    }
    create_tables(db).await?;
    sqlx::query("COMMIT").execute(db).await.during(DOING)?;
    Ok(())
}

/// Creates the missing tables inside a transaction.
pub(super) async fn create_tables(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(format!(
        "{TABLES} INSERT OR IGNORE INTO audit_version VALUES (1, {VERSION}, randomblob(16));"
    )))
    .persistent(false)
    .execute(&mut *db)
    .await
    .during(DOING)?;
    let listed: BTreeSet<i64> = sqlx::query_scalar("SELECT n FROM audit_segments")
        .fetch_all(&mut *db)
        .await
        .during(DOING)?
        .into_iter()
        .collect();
    let tables = segment::tables(db).await?;
    segment_list_check::repair(db, &tables.symmetric_difference(&listed).copied().collect()).await?;
    for kept in segment::load(db).await? {
        if kept.state != segment::SegmentState::Dropping {
            segment::create(db, kept.n).await?;
        }
    }
    events_view::refresh(db).await
}

/// Drops every table inside a transaction and returns the journal's last number: later numbers follow it, so that the
/// guard of another writer notices.
pub(super) async fn drop_all(db: &mut SqliteConnection) -> Result<i64, StoreError> {
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM audit_journal")
        .fetch_one(&mut *db)
        .await
        .during("init")?;
    events_view::drop_view(db).await?;
    tables::drop_all(db).await?;
    for kept in segment::load(db).await? {
        segment::drop_table(db, kept.n).await?;
    }
    sqlx::query(
        "DROP TABLE audit_journal; DROP TABLE audit_segments; DROP TABLE audit_postings; DROP TABLE audit_started; DROP TABLE audit_writers; \
         DROP TABLE audit_probe; DROP TABLE audit_version;",
    )
    .persistent(false)
    .execute(db)
    .await
    .during("init")?;
    Ok(last)
}

/// Returns the names of the triggers on the log's tables.
pub(super) async fn triggers(db: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(concat!("SELECT name FROM main.sqlite_schema WHERE ", is_trigger!(), " ORDER BY name"))
        .fetch_all(db)
        .await
        .during(DOING)
}

/// Rejects obstacles to an acknowledged event that SQLite passes over without an error: a trigger on the log's tables that deletes or
/// changes a row, and a constraint by which a new row of the journal replaces another. Each changes the number of the schema.
pub(super) async fn check_no_obstacles(db: &mut SqliteConnection) -> Result<(), StoreError> {
    match triggers(&mut *db).await?.as_slice() {
        [] => {}
        names => return Err(permanent(DOING).with_hint(format!("{}: {TRIGGERS_HINT}", triggers_message(names)))),
    }
    match sqlx::query_scalar(JOURNAL_REPLACES).fetch_one(db).await.during(DOING)? {
        false => Ok(()),
        true => Err(permanent(DOING).with_hint(
            "`audit_journal` has a unique index or a primary key without the column `seq`, by which a new row can replace \
             another: drop the index, or make the table anew without it and with the same rows",
        )),
    }
}

/// The error for temporary triggers on the log's tables. Only their own connection has them, and they change no number.
pub(super) fn temporary_triggers_error(names: String) -> StoreError {
    permanent(DOING).with_hint(format!(
        "{}, temporary ones of this connection: drop each with `DROP TRIGGER temp.NAME`",
        triggers_message(&[names])
    ))
}

/// The names of a connection's temporary triggers on the log's tables; NULL if it has none.
pub(super) const TEMPORARY_TRIGGERS: &str =
    concat!("(SELECT group_concat(name, ', ') FROM temp.sqlite_schema WHERE ", is_trigger!(), ")");

pub(super) fn triggers_message(names: &[String]) -> String {
    format!("a trigger can delete events of the log unnoticed, and its tables have {}", names.join(", "))
}

pub(super) const TRIGGERS_HINT: &str = "drop each with `DROP TRIGGER NAME`, or put it on a table of your own";

const DOING: &str = "preparing the tables";

/// True for a trigger on a table of the log.
macro_rules! is_trigger {
    () => {
        "type = 'trigger' AND \
         (lower(tbl_name) GLOB 'audit_segment_[0-9]*' OR lower(tbl_name) IN ('audit_journal', 'audit_segments', \
         'audit_postings', 'audit_started', 'audit_writers', 'audit_probe', 'audit_version', 'audit_leaves', 'audit_nodes', \
         'audit_checkpoints', 'audit_removals'))"
    };
}
use is_trigger;

/// True if a row of the journal can conflict with another: no two have the same number.
const JOURNAL_REPLACES: &str = "SELECT EXISTS (SELECT 1 FROM pragma_index_list('audit_journal', 'main') AS listed \
        WHERE listed.\"unique\" AND NOT EXISTS \
            (SELECT 1 FROM pragma_index_info(listed.name, 'main') WHERE lower(name) = 'seq')) \
    OR EXISTS (SELECT 1 FROM pragma_table_info('audit_journal', 'main') WHERE pk > 0) AND NOT EXISTS \
        (SELECT 1 FROM pragma_table_info('audit_journal', 'main') WHERE pk > 0 AND lower(name) = 'seq')";

const SELECT_OWN_TABLES: &str = "SELECT name FROM sqlite_schema WHERE name GLOB 'audit_segment_[0-9]*' OR name IN \
    ('audit_journal', 'audit_segments', 'audit_postings', 'audit_started', 'audit_writers', 'audit_probe', \
    'audit_leaves', 'audit_nodes', 'audit_checkpoints', 'audit_removals')";

const COUNT_OF_OURS: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN \
    ('audit_journal', 'audit_segments', 'audit_postings', 'audit_started', 'audit_writers', 'audit_probe')";
const OF_OURS: i64 = 6;

/// The first row of the journal holds no event. A journal always has a last row, and the mover leaves it.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS audit_journal(
    seq INTEGER PRIMARY KEY, events_n INTEGER NOT NULL, min_at INTEGER NOT NULL, max_at INTEGER NOT NULL,
    min_id BLOB NOT NULL, max_id BLOB NOT NULL, events TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit_segments(
    n INTEGER PRIMARY KEY, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
    min_id BLOB NOT NULL, max_id BLOB NOT NULL, events_n INTEGER NOT NULL, state INTEGER NOT NULL,
    merged INTEGER NOT NULL DEFAULT 0, terms_n INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS audit_postings(
    id INTEGER PRIMARY KEY, n INTEGER NOT NULL, field INTEGER NOT NULL, part INTEGER NOT NULL, first BLOB NOT NULL,
    body BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS audit_postings_place ON audit_postings(n, field, part, first);
CREATE TABLE IF NOT EXISTS audit_started(
    event_id BLOB PRIMARY KEY, writer BLOB NOT NULL, event TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_writers(id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_probe(one INTEGER PRIMARY KEY CHECK (one = 1), times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS audit_version(one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, term_key BLOB NOT NULL);
INSERT INTO audit_journal(seq, events_n, min_at, max_at, min_id, max_id, events) SELECT 1, 0, 0, 0, x'', x'', '[]' WHERE NOT EXISTS (SELECT 1 FROM audit_journal);
";
