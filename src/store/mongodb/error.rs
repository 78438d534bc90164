//! Errors of the driver with their kind and remedy: the only place that knows MongoDB's codes.

use std::error::Error;
use std::fmt;

use mongodb::error::{ErrorKind, WriteFailure};

use crate::store::{StoreError, StoreErrorKind};

/// Converts a result of the driver into one of the store, with the operation.
pub(super) trait DuringOperation<T> {
    fn during(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> DuringOperation<T> for Result<T, mongodb::error::Error> {
    fn during(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| from_driver(doing, &error))
    }
}

/// The error for what the server refused, or for a server that is not there.
///
/// The server's own message is left out: it repeats the command, with values of events in it, and the driver's names the
/// hosts of the URL.
pub(super) fn from_driver(doing: &'static str, error: &mongodb::error::Error) -> StoreError {
    let of_server = |code, name: &str| from_code(doing, code, name);
    match &*error.kind {
        ErrorKind::Command(refused) => of_server(refused.code, &refused.code_name),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => {
            of_server(refused.code, refused.code_name.as_deref().unwrap_or_default())
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(refused)) => concern_error(doing, refused.code, &refused.code_name),
        ErrorKind::Authentication { .. } => StoreError::new(StoreErrorKind::Config, NAME, doing)
            .with_hint("the server rejected this account: check name, password, `authSource` and `authMechanism`"),
        ErrorKind::InvalidTlsConfig { .. } => StoreError::new(StoreErrorKind::Config, NAME, doing)
            .with_hint("the encrypted connection cannot be set up: check the files of `tlsCAFile` and `tlsCertificateKeyFile`"),
        ErrorKind::DnsResolve { .. } => transient(doing).with_hint("the names of the servers are not found"),
        ErrorKind::ServerSelection { .. } => transient(doing).with_hint(
            "no primary answers: the servers are not there or elect one, the set has another name than `replicaSet`, or only \
             one of the two ends uses TLS",
        ),
        ErrorKind::IncompatibleServer { .. } => {
            StoreError::new(StoreErrorKind::Config, NAME, doing).with_hint("the server is too old: expected MongoDB 4.4 or later")
        }
        ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => {
            transient(doing).with_hint("the server's answer is not one of MongoDB's")
        }
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::new(StoreErrorKind::Config, NAME, doing)
                .with_hint("the server's certificate is refused: name the file of its authority by `tlsCAFile`")
        }
        ErrorKind::Io(error) => transient(doing).with_source(error.kind().to_string()),
        ErrorKind::ConnectionPoolCleared { .. } => transient(doing).with_hint("the connection to the server broke"),
        ErrorKind::Shutdown => closed_error(doing),
        _ => permanent(doing).with_hint("the driver failed"),
    }
}

/// The error for a command or a document that the server refused.
pub(super) fn from_code(doing: &'static str, code: i32, name: &str) -> StoreError {
    let (kind, hint) = classify(code);
    let error = StoreError::new(kind, NAME, doing).with_source(Refusal { code, name: known_name(name) });
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

/// The error for a write that was done, and is not known to be durable.
pub(super) fn concern_error(doing: &'static str, code: i32, name: &str) -> StoreError {
    transient(doing).with_source(Refusal { code, name: known_name(name) }).with_hint(
        "too few members of the replica set have acknowledged the write: see whether a majority of them is up",
    )
}

/// The name of a code, if it looks like one: nothing else of the server's text is shown.
fn known_name(name: &str) -> String {
    let is_plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { name.to_owned() } else { String::new() }
}

/// The server's code and its name.
#[derive(Debug)]
struct Refusal {
    code: i32,
    name: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "the server answered with code {}", self.code),
            name => write!(f, "{name} (code {})", self.code),
        }
    }
}

impl Error for Refusal {}

/// Returns true if the server answered with this code.
pub(super) fn has_code(error: &StoreError, code: i32) -> bool {
    error.source().and_then(|cause| cause.downcast_ref::<Refusal>()).is_some_and(|refusal| refusal.code == code)
}

/// The kind and the remedy of a code.
fn classify(code: i32) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Config, Denied, Permanent, Transient};
    match code {
        // The primary has changed or is changing, or the servers do not reach each other.
        6 | 7 | 89 | 91 | 134 | 189 | 202 | 262 | 9001 | 10058 | 10107 | 11600 | 11602 | 13435 | 13436 => {
            (Transient, "the primary is changing, or is not there")
        }
        // Locks, conflicts, limits of time and number.
        DUPLICATE_KEY | 24 | 46 | 50 | 64 | 82 | 112 | 117 | 225 | 246 | 251 | 261 | 11601 => (Transient, ""),
        100 => (Transient, "the replica set has too few members for a majority"),
        14031 => (Transient, "no space is left on the server's disk: free some"),
        UNAUTHORIZED => {
            (Denied, "permission denied for this account: the page of the store lists the rights of each role")
        }
        18 | 11 => (Config, "the server rejected this account: check name, password, `authSource` and `authMechanism`"),
        // A view or a collection of time series.
        166 | 8000 => {
            (Config, "the log's name is that of a view or a collection of another kind: drop it, or name another")
        }
        VALIDATION_FAILURE => (Permanent, "a validator of the collection refuses the event: remove it with `collMod`"),
        10334 | 17419 | 17420 => (Permanent, "the event is larger than a document can be"),
        67 | 85 | 86 => (
            Permanent,
            "an index has the name or the keys of one of the log's, and other options: drop it, then run `tower-audit migrate`",
        ),
        _ => (Permanent, ""),
    }
}

pub(super) fn config(hint: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "opening the log").with_hint(hint)
}

pub(super) fn transient(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, NAME, doing)
}

pub(super) fn permanent(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, NAME, doing)
}

/// The error of a store that was closed.
pub(super) fn closed_error(doing: &'static str) -> StoreError {
    permanent(doing).with_hint("the store is closed")
}

/// The error of a server that did not answer in time.
pub(super) fn unanswered(doing: &'static str) -> StoreError {
    transient(doing).with_hint("the server did not answer in time")
}

pub(super) const NAME: &str = "mongodb";
pub(super) const UNAUTHORIZED: i32 = 13;
pub(super) const NAMESPACE_NOT_FOUND: i32 = 26;
pub(super) const NAMESPACE_EXISTS: i32 = 48;
/// Transactions need a replica set.
pub(super) const ILLEGAL_OPERATION: i32 = 20;
/// A document with this key is there already.
pub(super) const DUPLICATE_KEY: i32 = 11000;
const VALIDATION_FAILURE: i32 = 121;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_kind() {
        use StoreErrorKind::{Config, Denied, Permanent, Transient};
        for (kind, codes) in [
            (Transient, &[10107, 189, 91, 11600, 11602, 13435, 13436, 50, 64, 100, 112, 262, 14031][..]),
            (Denied, &[13]),
            (Config, &[18, 166]),
            (Permanent, &[121, 10334, 85, 86, 2, 9, 0, -1]),
        ] {
            for code in codes {
                assert_eq!(classify(*code).0, kind, "{code}");
            }
        }
    }

    #[test]
    fn only_names_of_codes_are_shown() {
        let shown = |name| from_code("append", 13, name).source().map(ToString::to_string).unwrap_or_default();
        assert_eq!(shown("Unauthorized"), "Unauthorized (code 13)");
        assert_eq!(shown("not authorized to insert alice"), "the server answered with code 13");
    }
}
