//! Errors of the driver with their kind and remedy: the only place that knows PostgreSQL's codes.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::event::excerpt;
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
        self.map_err(|error| permanent(action).with_hint("a stored event is not valid JSON").with_source(error))
    }
}

/// The error for what the server refused, or for a server that is not there.
pub(super) fn from_driver(doing: &'static str, error: sqlx::Error) -> StoreError {
    let (kind, remedy): (_, Cow<'static, str>) = match &error {
        sqlx::Error::Database(refused) if is_in_function(&**refused) => (
            StoreErrorKind::Permanent,
            "a function on the log's tables fails, such as a trigger's: drop the trigger, or mend the function".into(),
        ),
        // A plan of before a change of the tables; the next session has none.
        sqlx::Error::Database(refused) if is_stale_plan(&**refused) => (StoreErrorKind::Transient, "".into()),
        sqlx::Error::Database(refused) => classify(refused.code().as_deref().unwrap_or_default(), refused.constraint()),
        error => sql::classify_unanswered(error, &TLS),
    };
    let made = StoreError::new(kind, NAME, doing).with_source(cause(error));
    if remedy.is_empty() { made } else { made.with_hint(remedy) }
}

/// Returns true if a name was not found within a function: every name in a statement of ours has its schema.
fn is_in_function(refused: &dyn DatabaseError) -> bool {
    const UNDEFINED: [&str; 3] = [UNDEFINED_TABLE, "42883", "42703"];
    let known = refused.try_downcast_ref::<PgDatabaseError>();
    known.is_some_and(|refused| UNDEFINED.contains(&refused.code()) && refused.r#where().is_some())
}

/// Returns true for a plan that a change of the tables made stale. Its code has other meanings, and its text may be in any
/// language.
fn is_stale_plan(refused: &dyn DatabaseError) -> bool {
    let known = refused.try_downcast_ref::<PgDatabaseError>();
    known.is_some_and(|refused| refused.code() == "0A000" && refused.routine() == Some("RevalidateCachedQuery"))
}

/// The cause of an error, as it is printed behind it.
pub(super) fn cause(error: sqlx::Error) -> Box<dyn Error + Send + Sync> {
    sql::cause(error, |refused| Refusal {
        code: refused.code().unwrap_or_default().into_owned(),
        message: refused.message().to_owned(),
    })
}

/// The server's message, without its details (they repeat values of an event) and without the line of its source.
#[derive(Debug)]
struct Refusal {
    code: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)
    }
}

impl Error for Refusal {}

/// Returns true if the server only rejected a statement, so that the session can be used again.
pub(super) fn leaves_session_usable(error: &StoreError) -> bool {
    let Some(refusal) = error.source().and_then(|cause| cause.downcast_ref::<Refusal>()) else { return false };
    match refusal.code.as_str() {
        QUERY_CANCELED => true,
        // Plans and prepared statements that are no more; another session has none of them.
        "0A000" | "26000" | "42P05" => false,
        code => !matches!(code.get(..2), None | Some("08" | "57" | "58" | "XX")),
    }
}

/// The kind and the remedy of a SQLSTATE; by its class where that is enough.
fn classify(code: &str, constraint: Option<&str>) -> (StoreErrorKind, Cow<'static, str>) {
    use StoreErrorKind::{Config, Denied, Permanent, Transient};
    let (kind, remedy) = match code {
        "25006" => (Transient, "the server is read-only: it is a standby, or was told to be"),
        INSUFFICIENT_PRIVILEGE => {
            (Denied, "permission denied for this role: `tower-audit migrate --roles` creates roles with the rights")
        }
        UNDEFINED_TABLE | "3F000" => (Permanent, MISSING),
        "42703" => (Permanent, "a column of the log's table is missing or has another name: give it its name back"),
        "23502" => {
            (Permanent, "a column that the log does not know must not be null: give it a default, or let it be null")
        }
        "23514" => match constraint {
            None => (
                Permanent,
                "no partition takes the event: let the owner of the tables run `tower-audit migrate`, or attach \
                 the default partition again",
            ),
            Some(name) => {
                let name = excerpt(name);
                return (
                    Permanent,
                    format!("the constraint {name:?} on the log's table refuses the event: drop it").into(),
                );
            }
        },
        FOREIGN_KEY_VIOLATION => {
            (Permanent, "a foreign key of another table refers to events of the log: `tower-audit doctor` names it")
        }
        "P0001" => (Permanent, "a trigger on the log's table refuses the event: drop it, or disable it"),
        "2200H" => (
            Permanent,
            "the sequence of the log's table has no number left: `SELECT setval('SCHEMA.seq_TABLE_id', 1);` begins anew, \
             and events have their ids all the same",
        ),
        "22001" => (Permanent, "a column of the log's table has become too narrow: make it `text COLLATE \"C\"` again"),
        "53100" => (Transient, "no space is left on the server's disk: free some"),
        "53300" => (
            Transient,
            "the server has no free connection for this role: a log takes up to 12; raise `max_connections`, or the \
             role's CONNECTION LIMIT",
        ),
        "57P04" | "3D000" => (Config, "there is no such database"),
        LOCK_NOT_AVAILABLE | "55006" => {
            (Transient, "another session holds a lock on a table of the log: `pg_blocking_pids` names it")
        }
        QUERY_CANCELED => (Transient, "it took too long, or was cancelled"),
        // A pooler between us and the server gave the session to another client.
        "26000" | "42P05" => (Transient, "the session is shared: bypass the pooler, or use session pooling"),
        "0A000" => (
            Permanent,
            "the server does not do that with the log's table as it is: a rule on it may be in the way; drop it",
        ),
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "40" | "53" | "57" | "58" => (Transient, ""),
            "28" => (Config, "the server rejected this role: check password and pg_hba.conf"),
            _ => (Permanent, ""),
        },
    };
    (kind, remedy.into())
}

/// Returns true if the server answered with this SQLSTATE.
pub(super) fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
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

pub(super) const NAME: &str = "postgres";
const TLS: sql::TlsParameters = sql::TlsParameters { mode: "sslmode", authority: "sslrootcert" };
pub(super) const MISSING: &str =
    "the tables of the log are missing: let their owner run `tower-audit migrate` on this database";
/// A row with this key is there already.
pub(super) const UNIQUE_VIOLATION: &str = "23505";
/// A row refers to a row that is not there.
pub(super) const FOREIGN_KEY_VIOLATION: &str = "23503";
pub(super) const UNDEFINED_TABLE: &str = "42P01";
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
pub(super) const DEADLOCK: &str = "40P01";
/// By a timeout or on request.
const QUERY_CANCELED: &str = "57014";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_transient() {
        use StoreErrorKind::{Config, Denied, Permanent, Transient};
        for (kind, codes) in [
            (
                Transient,
                &["08006", "08P01", "57P01", "57P02", "57P03", "53300", "53100", "40001", "40P01", "25006"][..],
            ),
            (Transient, &["55P03", "57014", "58030"]),
            (Permanent, &["42P01", "22021", "23514", "23505", "XX001", ""]),
            (Denied, &["42501"]),
            (Config, &["28P01", "28000", "3D000"]),
        ] {
            for code in codes {
                assert_eq!(classify(code, None).0, kind, "{code}");
            }
        }
    }

    #[test]
    fn a_server_that_is_gone_is_transient() {
        assert!(from_driver("append", sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())).is_transient());
        assert!(from_driver("append", sqlx::Error::Protocol("cut off".into())).is_transient());
    }
}
