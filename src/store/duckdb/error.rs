//! Errors of DuckDB with their kind and remedy: the only place that knows its words.

use std::error::Error;
use std::fmt;

use crate::store::{StoreError, StoreErrorKind};

/// Converts a result of the driver into one of the store, with the operation.
pub(super) trait DuringOperation<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> DuringOperation<T> for adbc_core::error::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| from_driver(action, error))
    }
}

impl<T> DuringOperation<T> for serde_json::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| permanent(action).with_source(error))
    }
}

impl<T> DuringOperation<T> for std::io::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| transient(action).with_source(error))
    }
}

/// The error for what DuckDB said.
pub(super) fn from_driver(doing: &'static str, error: adbc_core::error::Error) -> StoreError {
    let (kind, remedy) = classify(&error.message);
    let made = StoreError::new(kind, NAME, doing).with_source(Refusal(without_values(&error.message)));
    if remedy.is_empty() { made } else { made.with_hint(remedy) }
}

/// The kind and the remedy of a message. It begins with the kind of DuckDB's error, `IO Error: …`.
fn classify(message: &str) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Config, Corrupt, Denied, Permanent, Transient};
    let says = |words: &str| message.contains(words);
    if says("Could not set lock on file") {
        return (
            Transient,
            "another process has the file open, and DuckDB lets one process at a time have it: its number is below; stop it, \
             or copy the file and open the copy",
        );
    }
    if says("Corrupt") || says("checksum") || says("not a valid DuckDB database file") || says("Serialization Error") {
        return (Corrupt, "the file is damaged or no database of DuckDB's: keep it as it is, and bring back a backup");
    }
    if says("No space left on device") {
        return (Transient, "no space is left for the file: free some");
    }
    if FATAL.iter().any(|words| says(words)) {
        return (
            Transient,
            "DuckDB could not finish a commit or a checkpoint; the file is opened again with the next append",
        );
    }
    if says("Permission denied") {
        return (Denied, "the file and its folder must be readable and writable for the user that this runs as");
    }
    if says("IO Error") {
        return (Transient, "the file cannot be used: its folder must exist, and the disk must take what is written");
    }
    if says("Out of Memory Error") {
        return (Transient, "DuckDB is out of memory: give it more, `duckdb:PATH?memory=2GB`");
    }
    if says("Catalog Error") || says("Binder Error") {
        return (
            Permanent,
            "the tables of the log were changed: `tower-audit migrate` makes those that are missing; a column that was renamed or \
             dropped has to be brought back as it was",
        );
    }
    if says("Constraint Error") {
        return (Permanent, "a constraint that somebody added to the log's table refuses the event: drop it");
    }
    if says("TransactionContext Error") || says("Interrupt") {
        return (Transient, "");
    }
    if says("Failed to set configuration option") || says("Unrecognized configuration") || says("Parser Error") {
        return (Config, "");
    }
    (Permanent, "")
}

/// Returns true for an error after which DuckDB takes nothing more until the database is opened again.
pub(super) fn is_fatal(error: &StoreError) -> bool {
    let refusal = error.source().and_then(|cause| cause.downcast_ref::<Refusal>());
    refusal.is_some_and(|refusal| FATAL.iter().any(|words| refusal.0.contains(words)))
}

const FATAL: [&str; 2] = ["FATAL Error", "database has been invalidated"];

/// The message without the values of events that some kinds repeat.
fn without_values(message: &str) -> String {
    const REPEATING: [&str; 3] = ["Conversion Error", "Constraint Error", "Invalid Input Error"];
    match REPEATING.iter().find(|kind| message.contains(**kind)) {
        Some(kind) => (*kind).to_owned(),
        None => message.to_owned(),
    }
}

/// The message of DuckDB.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lines of a statement follow.
        f.write_str(self.0.lines().next().unwrap_or_default())
    }
}

impl Error for Refusal {}

/// The error for an answer that has not the columns that were asked for.
pub(super) fn unexpected(doing: &'static str) -> StoreError {
    permanent(doing).with_hint("a column of the log's table has another type: give it its type back")
}

pub(super) fn permanent(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, NAME, doing)
}

pub(super) fn transient(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, NAME, doing)
}

pub(super) fn config(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, OPENING).with_hint(remedy)
}

/// The error of a store that was closed.
pub(super) fn closed(doing: &'static str) -> StoreError {
    permanent(doing).with_hint("the store is closed")
}

pub(super) const NAME: &str = "duckdb";
pub(super) const OPENING: &str = "opening the log";

#[cfg(test)]
mod tests {
    use super::*;
    use adbc_core::error::Status;

    fn said(message: &str) -> StoreError {
        from_driver("append", adbc_core::error::Error::with_message_and_status(message, Status::Internal))
    }

    #[test]
    fn kinds_decide_about_trying_again() {
        for (message, kind) in [
            (
                "IO Error: Could not set lock on file \"a.db\": Conflicting lock is held in x (PID 7)",
                StoreErrorKind::Transient,
            ),
            ("IO Error: Could not write file \"a.db.wal\": No space left on device", StoreErrorKind::Transient),
            ("FATAL Error: Failed: database has been invalidated", StoreErrorKind::Transient),
            ("IO Error: Corrupt database file: computed checksum 1", StoreErrorKind::Corrupt),
            ("Catalog Error: Table with name audit_events does not exist!", StoreErrorKind::Permanent),
        ] {
            assert_eq!(said(message).kind(), kind, "{message}");
        }
    }

    #[test]
    fn values_of_events_are_not_repeated() {
        let error = said("Conversion Error: Could not convert string 'alice@example.org' to UUID");
        let source = error.source().expect("it has a cause").to_string();
        assert!(!source.contains("alice"), "{source}");
    }
}
