//! From the driver's errors to what a caller can do about them: the only place that knows SQLite's codes.

use crate::store::{StoreError, StoreErrorKind};

/// Turns a driver's result into the store's, with what was being done.
pub(super) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| of(what, error))
    }
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| transient(what).because(error))
    }
}

impl<T> Doing<T> for serde_json::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| permanent(what).with_remedy("a kept event is not readable as JSON").because(error))
    }
}

/// The error for what SQLite refused.
pub(super) fn of(doing: &'static str, error: sqlx::Error) -> StoreError {
    let (kind, remedy) = match primary_code(&error) {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => (StoreErrorKind::Transient, "another process holds the file's lock"),
        Some(SQLITE_FULL) => (StoreErrorKind::Transient, "no space is left for the file: free some"),
        Some(SQLITE_IOERR) => (StoreErrorKind::Transient, "the disk failed"),
        Some(SQLITE_CANTOPEN) => {
            (StoreErrorKind::Transient, "the file cannot be opened: its directory must exist and be writable")
        }
        Some(SQLITE_READONLY) => (StoreErrorKind::Transient, "the file or its directory is read-only"),
        Some(SQLITE_NOMEM | SQLITE_INTERRUPT | SQLITE_PROTOCOL | SQLITE_SCHEMA) => (StoreErrorKind::Transient, ""),
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
            (StoreErrorKind::Permanent, "the file is damaged: keep a copy of it, and restore or begin another")
        }
        Some(_) => (StoreErrorKind::Permanent, ""),
        // The thread of the connection is gone: the next connection has another.
        None => (StoreErrorKind::Transient, ""),
    };
    let made = StoreError::new(kind, NAME, doing).because(error);
    if remedy.is_empty() { made } else { made.with_remedy(remedy) }
}

/// Whether the error says that the file is no database at all.
pub(super) fn is_no_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(SQLITE_NOTADB)
}

/// Whether the statement itself is wrong: there is no such table.
pub(super) fn is_plain_error(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_ERROR)
}

/// Whether another connection held a lock for too long.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

/// Whether a column that must not be null would have become it.
pub(super) fn is_not_null(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_CONSTRAINT_NOTNULL)
}

pub(super) fn config(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "opening the file").with_remedy(remedy)
}

pub(super) fn transient(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, NAME, doing)
}

pub(super) fn permanent(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, NAME, doing)
}

/// The low byte of a code is its class; the rest tells details of it.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    code(error).map(|code| code & 0xff)
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

pub(super) const NAME: &str = "sqlite";

const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_NOMEM: i32 = 7;
const SQLITE_READONLY: i32 = 8;
const SQLITE_INTERRUPT: i32 = 9;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_PROTOCOL: i32 = 15;
const SQLITE_SCHEMA: i32 = 17;
const SQLITE_NOTADB: i32 = 26;
const SQLITE_CONSTRAINT_NOTNULL: i32 = 1299;
