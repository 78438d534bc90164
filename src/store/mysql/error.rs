//! Errors of the driver with their kind and remedy: the only place that knows the server's numbers.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use sqlx::mysql::MySqlDatabaseError;

use crate::store::{StoreError, StoreErrorKind, sql};

/// Converts a result of the driver into one of the store, with the operation.
pub(super) trait DuringOperation<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> DuringOperation<T> for Result<T, sqlx::Error> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| from_driver(action, error))
    }
}

impl<T> DuringOperation<T> for serde_json::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| permanent(action).with_source(error))
    }
}

/// The error for what the server refused, or for a server that is not there.
pub(super) fn from_driver(doing: &'static str, error: sqlx::Error) -> StoreError {
    let (kind, remedy): (_, Cow<'static, str>) = match &error {
        sqlx::Error::Database(_) => classify(number(&error), is_signal(&error)),
        error => sql::classify_unanswered(error, &TLS),
    };
    let made = StoreError::new(kind, NAME, doing).with_source(cause(error));
    if remedy.is_empty() { made } else { made.with_hint(remedy) }
}

/// The cause of an error, as it is printed behind it.
pub(super) fn cause(error: sqlx::Error) -> Box<dyn Error + Send + Sync> {
    sql::cause(error, |refused| {
        let number = refused.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
        Refusal { number, message: without_values(number, refused.message()) }
    })
}

/// The server's message. Some repeat a value of an event, and are cut before it.
fn without_values(number: u16, message: &str) -> String {
    const REPEATING: [(u16, &str); 4] =
        [(DUPLICATE, "Duplicate entry"), (1366, "Incorrect value"), (1292, "Incorrect value"), (1064, "Syntax error")];
    let known = REPEATING.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| message.to_owned(), |(_, words)| (*words).to_owned())
}

/// An answer of the server that refuses a statement.
#[derive(Debug)]
struct Refusal {
    number: u16,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.message, self.number)
    }
}

impl Error for Refusal {}

/// Returns true if the server only rejected a statement, so that the session can be used again.
pub(super) fn leaves_session_usable(error: &StoreError) -> bool {
    let Some(refusal) = error.source().and_then(|cause| cause.downcast_ref::<Refusal>()) else { return false };
    // A server that ends or has ended the session, one that waits for no statement, and prepared statements that are no more.
    !matches!(refusal.number, 0 | 1053 | 1152..=1161 | 1184 | 1243 | 1615 | 1927 | 1412 | 4031)
}

/// The kind and the remedy of an error's number.
fn classify(number: u16, is_signal: bool) -> (StoreErrorKind, Cow<'static, str>) {
    use StoreErrorKind::{Config, Denied, Permanent, Transient};
    if is_signal {
        return (Permanent, "a trigger on the log's table refuses the event: drop it".into());
    }
    let (kind, remedy) = match number {
        1045 | 1698 | 1820 | 1862 => (Config, "the server rejected this account: check user, host and password"),
        1130 => (Config, "the server rejects connections from this host: see the host part of the account"),
        1049 => (Config, "there is no such database: create it, or name another one in the URL"),
        1251 | 2059 => (Config, "the account authenticates in a way that is not supported: use TLS or a socket"),
        1044 | 1142 | 1143 | 1227 | 1370 => (
            Denied,
            "permission denied for this account: `examples/mysql_roles.sql`, and `examples/mysql_seal_roles.sql` of a sealed log, have the \
             statements that grant the rights",
        ),
        NO_SUCH_TABLE => (Permanent, MISSING),
        1054 => (Permanent, "a column of the log's table is missing or has another name: give it its name back"),
        1048 | 1364 => {
            (Permanent, "a column that the log does not know must not be null: give it a default, or let it be null")
        }
        1406 => (Permanent, "a column of the log's table has become too narrow: give it its length back"),
        1526 => (Permanent, "no partition takes the event: let the owner of the tables run `tower-audit migrate`"),
        3819 | 4025 => (Permanent, "a CHECK constraint on the log's table refuses the event: drop it"),
        1153 => (Permanent, "max_allowed_packet of the server is too small for an event: set it to 16M"),
        1665 => (Config, "the server has binlog_format=STATEMENT, which the log cannot use: set it to ROW or MIXED"),
        LOCK_WAIT => (Transient, "another session holds a lock on a table of the log: `SHOW PROCESSLIST` shows it"),
        DEADLOCK => (Transient, "another session writes the same events"),
        1290 | 1792 | 1836 | 1209 | 3100 => (Transient, "the server or the transaction is read-only: name the primary"),
        3 | 1021 | 1026 | 1030 | 1114 => {
            (Transient, "the server cannot write to its disk, or no space is left on it: free some, and see its log")
        }
        1040 | 1203 | 1226 => (
            Transient,
            "the server has no free connection for this account: a log takes up to 12; raise `max_connections`, or the \
             account's `MAX_USER_CONNECTIONS`",
        ),
        1461 => (Transient, "the server has no room for prepared statements: raise `max_prepared_stmt_count`"),
        1243 => (Transient, "the session is shared: bypass the proxy"),
        1317 | 1969 | 3024 => (Transient, "it took too long, or was cancelled"),
        1053 | 1152..=1161 | 1184 | 1412 | 1615 | 1927 | 4031 => (Transient, ""),
        _ => (Permanent, ""),
    };
    (kind, remedy.into())
}

/// The number of an error of the server; 0 for any other error.
pub(super) fn number(error: &sqlx::Error) -> u16 {
    let refused = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    refused.map_or(0, MySqlDatabaseError::number)
}

/// Returns true for an error that a trigger or a procedure raised by `SIGNAL`.
fn is_signal(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "45000")
}

pub(super) fn config(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "opening the log").with_hint(remedy)
}

pub(super) fn transient(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, NAME, doing)
}

pub(super) fn permanent(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, NAME, doing)
}

pub(super) const NAME: &str = "mysql";
const TLS: sql::TlsParameters = sql::TlsParameters { mode: "ssl-mode", authority: "ssl-ca" };
pub(super) const MISSING: &str =
    "the tables of the log are missing: let their owner run `tower-audit migrate` on this database";
/// A row with this key is there already.
pub(super) const DUPLICATE: u16 = 1062;
/// A row refers to a row that is not there.
pub(super) const NO_PARENT: u16 = 1452;
/// A row is referred to by another.
pub(super) const HAS_CHILDREN: u16 = 1451;
pub(super) const NO_SUCH_TABLE: u16 = 1146;
pub(super) const LOCK_WAIT: u16 = 1205;
pub(super) const DEADLOCK: u16 = 1213;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_transient() {
        use StoreErrorKind::{Config, Denied, Permanent, Transient};
        for (kind, numbers) in [
            (Transient, &[1040, 1205, 1213, 1290, 1114, 1053, 1317, 1927][..]),
            (Permanent, &[1146, 1406, 1062, 1364, 4025, 1]),
            (Denied, &[1142, 1044]),
            (Config, &[1045, 1049]),
        ] {
            for number in numbers {
                assert_eq!(classify(*number, false).0, kind, "{number}");
            }
        }
        assert_eq!(classify(1644, true).0, Permanent);
    }

    #[test]
    fn a_server_that_is_gone_is_transient() {
        assert!(from_driver("append", sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())).is_transient());
        assert!(from_driver("append", sqlx::Error::Protocol("cut off".into())).is_transient());
    }
}
