//! The owner of the tables.

use sqlx::postgres::PgConnection;

use super::error::{DuringOperation as _, NAME};
use super::identifiers::{Identifiers, STARTED, VERSION, WRITERS, quote_identifier};
use crate::store::{StoreError, StoreErrorKind};

/// The owner of the tables.
#[derive(Debug)]
pub(super) struct TableOwner {
    pub(super) name: String,
    /// The account is the owner, or a member of it.
    pub(super) is_us: bool,
}

/// The owner of the table of events, or, if that is missing, of another table of the log.
pub(super) async fn owner(db: &mut PgConnection, names: &Identifiers) -> Result<Option<TableOwner>, StoreError> {
    let found: Option<(String, bool)> = sqlx::query_as(
        "SELECT pg_catalog.pg_get_userbyid(c.relowner)::text AS name, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_us \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY($2) ORDER BY c.relname COLLATE \"C\" LIMIT 1",
    )
    .bind(names.schema())
    .bind(["", STARTED, WRITERS, VERSION].map(|suffix| names.unquoted(suffix)))
    .fetch_optional(db)
    .await
    .during(DOING)?;
    Ok(found.map(|(name, is_us)| TableOwner { name, is_us }))
}

/// Reports that this role may change the tables.
pub(super) async fn is_owner(db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
    Ok(owner(db, names).await?.is_some_and(|owner| owner.is_us))
}

/// An error that names the owner, unless this role is it or there is nothing to own yet.
pub(super) async fn require_owner(
    db: &mut PgConnection,
    names: &Identifiers,
    doing: &'static str,
) -> Result<(), StoreError> {
    match owner(db, names).await? {
        Some(owner) if !owner.is_us => Err(StoreError::new(StoreErrorKind::Denied, NAME, doing).with_hint(format!(
            "only the owner of the tables may do this: connect as {}",
            quote_identifier(&owner.name)
        ))),
        _ => Ok(()),
    }
}

const DOING: &str = "preparing the tables";
