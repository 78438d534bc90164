//! What the database has of the log, and the making of what is missing.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::connection::run;
use super::error::{Doing as _, INSUFFICIENT_PRIVILEGE, MISSING, NAME, config, is, of};
use super::indexes;
use super::migrations::{NOBODY_ELSE, STEPS, VERSION};
use super::names::{INSTANCES, Names, OPEN, PROBE, VERSION as VERSION_TABLE, quoted};
use super::partition;
use super::roles;
use crate::store::{StoreError, StoreErrorKind};

/// What a database has of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Empty,
    /// Tables of an earlier version.
    Older(i32),
    /// Tables of this version.
    Ours,
}

/// Looks without a change.
pub(super) async fn examine(db: &mut PgConnection, names: &Names) -> Result<Found, StoreError> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY($2)",
    )
    .bind(names.schema())
    .bind([names.bare(""), names.bare(VERSION_TABLE)])
    .fetch_all(&mut *db)
    .await
    .doing(DOING)?;
    if tables.is_empty() {
        return Ok(Found::Empty);
    }
    if !tables.contains(&names.bare(VERSION_TABLE)) {
        return Err(config(format!(
            "the table {names:?} is another application's: choose another name by `?schema=` or `?table=`"
        )));
    }
    let sql = format!("SELECT version FROM {}", names.beside(VERSION_TABLE));
    let version: i32 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.doing(DOING)?;
    match version {
        VERSION => Ok(Found::Ours),
        older if (1..VERSION).contains(&older) => Ok(Found::Older(older)),
        newer if newer > VERSION => Err(config(format!(
            "the tables have version {newer} and this program knows those up to {VERSION}: use a newer one"
        ))),
        other => Err(config(format!("version {other} of the tables does not exist"))),
    }
}

/// An error that says what to do, unless the tables are there and of this version.
pub(super) async fn require(db: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    match examine(db, names).await? {
        Found::Ours => Ok(()),
        Found::Empty => Err(config(MISSING)),
        Found::Older(version) => Err(outdated(version)),
    }
}

/// The error for tables of an earlier version that one may not change.
pub(super) fn outdated(version: i32) -> StoreError {
    config(format!(
        "the tables have the earlier version {version}: let their owner run `tower-audit migrate` on this database"
    ))
}

/// Makes the tables, or brings them up to date, in one transaction. Several may do it at once.
pub(super) async fn create(db: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    begin_alone(db, names, DOING).await?;
    match examine(db, names).await? {
        Found::Ours => {}
        Found::Older(version) => {
            for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
                raw(db, names.fill(step)).await?;
            }
            raw(db, format!("UPDATE {} SET version = {VERSION}", names.beside(VERSION_TABLE))).await?;
            let given = roles::given(db, names).await?;
            roles::give_again(db, names, given).await?;
        }
        Found::Empty => create_all(db, names).await?,
    }
    run(db, DOING, "COMMIT".to_owned()).await
}

/// Drops every table, and makes them anew. Roles that had rights have them again.
pub(super) async fn recreate(db: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    require_owner(db, names, "init").await?;
    begin_alone(db, names, "init").await?;
    let given = roles::given(db, names).await?;
    if examine(db, names).await? != Found::Empty {
        let tables = [OPEN, INSTANCES, PROBE, VERSION_TABLE, ""].map(|suffix| names.beside(suffix)).join(", ");
        raw(db, format!("DROP TABLE {tables}")).await?;
    }
    create_all(db, names).await?;
    roles::give_again(db, names, given).await?;
    run(db, "init", "COMMIT".to_owned()).await?;
    partition::make_ahead(db, names).await
}

/// Makes everything, for the owner alone.
async fn create_all(db: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    create_schema(db, names).await?;
    for step in STEPS {
        raw(db, names.fill(step)).await?;
    }
    raw(db, format!("UPDATE {} SET version = {VERSION}", names.beside(VERSION_TABLE))).await?;
    raw(db, names.fill(NOBODY_ELSE)).await?;
    indexes::create(db, names).await
}

/// The owner of the tables.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) name: String,
    /// Who asks is the owner, or a member of it.
    pub(super) is_us: bool,
}

/// The owner of the events, or, where that table is missing, of what is left beside it.
pub(super) async fn owner(db: &mut PgConnection, names: &Names) -> Result<Option<Owner>, StoreError> {
    let found: Option<(String, bool)> = sqlx::query_as(
        "SELECT pg_catalog.pg_get_userbyid(c.relowner)::text AS name, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_us \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY($2) ORDER BY c.relname COLLATE \"C\" LIMIT 1",
    )
    .bind(names.schema())
    .bind(["", OPEN, INSTANCES, PROBE, VERSION_TABLE].map(|suffix| names.bare(suffix)))
    .fetch_optional(db)
    .await
    .doing(DOING)?;
    Ok(found.map(|(name, is_us)| Owner { name, is_us }))
}

/// Reports that this role may change the tables.
pub(super) async fn is_owner(db: &mut PgConnection, names: &Names) -> Result<bool, StoreError> {
    Ok(owner(db, names).await?.is_some_and(|owner| owner.is_us))
}

/// An error that names the owner, unless this role is it or there is nothing to own yet.
pub(super) async fn require_owner(db: &mut PgConnection, names: &Names, doing: &'static str) -> Result<(), StoreError> {
    match owner(db, names).await? {
        Some(owner) if !owner.is_us => Err(StoreError::new(StoreErrorKind::Denied, NAME, doing)
            .with_remedy(format!("only the owner of the tables may do this: connect as {}", quoted(&owner.name)))),
        _ => Ok(()),
    }
}

/// Begins a transaction that no other maker of tables is in at the same time.
pub(super) async fn begin_alone(db: &mut PgConnection, names: &Names, doing: &'static str) -> Result<(), StoreError> {
    run(db, doing, format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock({})", names.lock_key())).await
}

/// Asked for by `IF NOT EXISTS`, a schema that exists would still need the right to make one.
async fn create_schema(db: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)")
        .bind(names.schema())
        .fetch_one(&mut *db)
        .await
        .doing(DOING)?;
    if exists { Ok(()) } else { raw(db, format!("CREATE SCHEMA {}", names.quoted_schema())).await }
}

/// A statement that needs the rights of an owner.
async fn raw(db: &mut PgConnection, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map(drop).map_err(|error| {
        if is(&error, INSUFFICIENT_PRIVILEGE) {
            return config(MISSING).because(error);
        }
        of(DOING, error)
    })
}

const DOING: &str = "preparing the tables";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_steps_is_filled_in() {
        let names = Names::new("it's \"quoted\"", "log", None).unwrap();
        for step in STEPS.iter().chain([&NOBODY_ELSE]) {
            let filled = names.fill(step);
            assert!(!filled.contains(['{', '}']), "{filled}");
        }
    }
}
