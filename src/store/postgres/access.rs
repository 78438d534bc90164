//! Denials of the server, explained to the account that met them.

use sqlx::postgres::PgConnection;

use super::error::{DuringOperation as _, NAME};
use super::grants::{Right, Roles};
use super::identifiers::{Identifiers, quote_identifier};
use crate::store::{StoreError, StoreErrorKind};

/// The result; where the account has no right to that, with the statement that gives it one.
pub(super) async fn explained<T>(
    db: &mut PgConnection,
    names: &Identifiers,
    right: Right,
    done: Result<T, StoreError>,
) -> Result<T, StoreError> {
    match done {
        Err(error) if error.kind() == StoreErrorKind::Denied => Err(explain(db, names, right, error).await),
        done => done,
    }
}

/// An error of an account without this right, with the statement that gives it one.
pub(super) async fn explain(db: &mut PgConnection, names: &Identifiers, right: Right, error: StoreError) -> StoreError {
    // What is known already is still an error.
    let Ok(roles) = Roles::of(db, names).await else { return error };
    let is_there = roles.exists(db, right).await.unwrap_or(false);
    let first = if is_there { "" } else { "let the owner run `tower-audit migrate --roles`, then " };
    let (may_not, other) = match right {
        Right::Append => ("append events", "log"),
        Right::Read => ("read events", "reader"),
        Right::Purge => ("remove events", "purge"),
    };
    error.with_hint(format!(
        "the role {} may not {may_not}: {first}`{}`, or open the {other} with the URL of a role that may",
        quote_identifier(&roles.account),
        roles.grant(right)
    ))
}

/// The account has the whole right to read.
pub(super) async fn check_may_read(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let may: bool = sqlx::query_scalar("SELECT pg_catalog.has_table_privilege($1, 'SELECT')")
        .bind(names.table())
        .fetch_one(&mut *db)
        .await
        .during(READING)?;
    if may {
        return Ok(());
    }
    let error = StoreError::new(StoreErrorKind::Denied, NAME, READING);
    Err(explain(db, names, Right::Read, error).await)
}

const READING: &str = "reading";
