//! Maps driver errors to store errors with remedies. The only file that knows SQLite's codes.

use crate::store::{StoreError, StoreErrorKind};

/// Adds the operation to a driver's error.
pub(super) trait DuringOperation<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> DuringOperation<T> for Result<T, sqlx::Error> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| from_driver(action, error))
    }
}

impl<T> DuringOperation<T> for std::io::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| transient(action).with_source(error))
    }
}

impl<T> DuringOperation<T> for serde_json::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| permanent(action).with_hint("a stored event is not valid JSON").with_source(error))
    }
}

/// Returns the store error for an error of SQLite.
pub(super) fn from_driver(doing: &'static str, error: sqlx::Error) -> StoreError {
    let (kind, remedy) = match primary_code(&error) {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => (StoreErrorKind::Transient, "another process holds the file's lock"),
        Some(SQLITE_FULL) => (StoreErrorKind::Transient, "no space is left for the file: free some"),
        Some(SQLITE_IOERR) if is_short(&error) => (
            StoreErrorKind::Transient,
            "the write-ahead log (-wal) is shorter than its index says: it was removed while a process had it open. That \
             process copies its events with its next event or health check, and when it ends in good order: do not kill it. A \
             reader cannot: see docs/operate.md",
        ),
        Some(SQLITE_IOERR) => (StoreErrorKind::Transient, "the disk failed"),
        Some(SQLITE_CANTOPEN) => (
            StoreErrorKind::Transient,
            "the file cannot be opened: its directory must exist and be writable, and the file readable, for the user \
                 that this runs as",
        ),
        Some(SQLITE_READONLY) => (StoreErrorKind::Transient, "the file or its directory is read-only"),
        Some(SQLITE_NOMEM | SQLITE_INTERRUPT | SQLITE_PROTOCOL | SQLITE_SCHEMA) => (StoreErrorKind::Transient, ""),
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => (StoreErrorKind::Corrupt, DAMAGED),
        Some(SQLITE_ERROR) if of_schema(&error) => (
            StoreErrorKind::Permanent,
            "the tables of the log were changed: `tower-audit migrate` makes those that are missing; a column that was \
             renamed or dropped has to be brought back as it was",
        ),
        Some(SQLITE_CONSTRAINT) if code(&error) == Some(SQLITE_CONSTRAINT_COMMITHOOK) => (
            StoreErrorKind::Transient,
            "the index (-shm) or the write-ahead log (-wal) was removed or replaced under the writer",
        ),
        Some(SQLITE_CONSTRAINT) => (
            StoreErrorKind::Permanent,
            "a trigger or a constraint that somebody added to the tables of the log refuses its rows: list the triggers \
             with `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'audit!_%' ESCAPE '!'` and \
             drop those that are not yours",
        ),
        Some(_) => (StoreErrorKind::Permanent, ""),
        // The thread of the connection is gone: the next connection has another.
        None => (StoreErrorKind::Transient, ""),
    };
    let made = StoreError::new(kind, NAME, doing).with_source(error);
    if remedy.is_empty() { made } else { made.with_hint(remedy) }
}

/// Returns true for a missing table, column or index.
fn of_schema(error: &sqlx::Error) -> bool {
    let message = error.as_database_error().map_or("", |error| error.message());
    ["no such table", "no such column", "has no column", "no such index"].iter().any(|part| message.contains(part))
}

/// The error for a statement that changed fewer rows than it should, without an error of SQLite's.
pub(super) fn discarded(doing: &'static str) -> StoreError {
    permanent(doing).with_hint(
        "the database discards rows of the log: list its triggers with `SELECT name FROM sqlite_schema WHERE type = \
         'trigger' AND tbl_name LIKE 'audit!_%' ESCAPE '!'` and drop those that are not yours",
    )
}

/// Returns true if the file is no SQLite database.
pub(super) fn is_no_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(SQLITE_NOTADB)
}

/// Returns true if this user cannot open the file in the requested mode.
pub(super) fn is_not_openable(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<sqlx::Error>());
    matches!(cause.and_then(primary_code), Some(SQLITE_CANTOPEN | SQLITE_READONLY))
}

/// Returns true for an error in the statement, such as an unknown table.
pub(super) fn is_plain_error(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_ERROR)
}

/// Returns true if another connection held a lock longer than the busy timeout.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

/// Returns true if a file ended before the page that was read from it.
pub(super) fn is_short(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_IOERR_SHORT_READ)
}

/// Returns true if a page is not what it should be.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// Returns true if a statement's own check failed: `json('')`, which is malformed, stands for a guard that does not hold or a
/// discarded row.
pub(super) fn is_discarded(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_ERROR)
        && error.as_database_error().is_some_and(|error| error.message().contains("malformed JSON"))
}

/// The error of opening a file that may be no database.
pub(super) fn open_error(error: sqlx::Error) -> StoreError {
    if is_no_database(&error) {
        return config("the file is not an SQLite database: choose another path").with_source(error);
    }
    from_driver(OPENING, error)
}

/// The error of a call after the store was closed.
pub(super) fn closed_error(doing: &'static str) -> StoreError {
    permanent(doing).with_hint("the store is closed")
}

/// Makes an opening error transient: while the log is in use, the file that was there may come back.
pub(super) fn as_transient(error: StoreError) -> StoreError {
    if error.kind() == StoreErrorKind::Config { transient("opening the file again").with_source(error) } else { error }
}

pub(super) fn config(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "opening the file").with_hint(remedy)
}

pub(super) fn transient(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, NAME, doing)
}

pub(super) fn permanent(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, NAME, doing)
}

/// Returns the low byte of the code, the class of the error.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    code(error).map(|code| code & 0xff)
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The error for a damaged file.
pub(super) fn corrupt(doing: &'static str, action: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, NAME, doing).with_hint(format!("{action}: {DAMAGED}"))
}

/// The error for a log that lacks frames.
pub(super) fn log_with_gap(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, NAME, doing).with_hint(GAP)
}

pub(super) const NAME: &str = "sqlite";
pub(super) const OPENING: &str = "opening the file";

/// The remedy for a damaged file.
const DAMAGED: &str = "the file is damaged, and nothing more is written to it. Copy it and the files beside it (-wal, \
    -shm) to another place before anything else; get back what can be read of the copy with `tower-audit backup`, or \
    `.recover` of SQLite's shell; then move all three away, and the log goes on in a new file, or in a whole one that \
    takes their place";

/// The remedy for a log with a gap.
const GAP: &str = "the write-ahead log (-wal) was removed, another program goes on writing with the removed one, and the one at \
    its path has a gap: nothing more is written to it, and every acknowledged event is before the gap. Find the program \
    (`lsof +L1` lists removed files) and kill it with SIGKILL: in good order, it could copy its log over the events. Then stop \
    every process that has the file open, and start again";

const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_NOMEM: i32 = 7;
const SQLITE_READONLY: i32 = 8;
const SQLITE_INTERRUPT: i32 = 9;
const SQLITE_IOERR: i32 = 10;
const SQLITE_IOERR_SHORT_READ: i32 = SQLITE_IOERR | (2 << 8);
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_PROTOCOL: i32 = 15;
const SQLITE_SCHEMA: i32 = 17;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_NOTADB: i32 = 26;
const SQLITE_CONSTRAINT_COMMITHOOK: i32 = SQLITE_CONSTRAINT | (2 << 8);
