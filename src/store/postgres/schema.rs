//! The tables of the log: looked at, made, made again where they are missing, and made anew.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgDatabaseError};

use super::error::{DuringOperation as _, INSUFFICIENT_PRIVILEGE, MISSING, cause, config, from_driver, has_code};
use super::expected_schema::{self, SCHEMA, VERSION};
use super::grants;
use super::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES, REMOVALS, quote_identifier};
use super::indexes;
use super::owner::{is_owner, owner, require_owner};
use super::partition;
use super::schema_survey::{Change, Missing, Survey};
use super::session::run;
use crate::log_lines::log_line;
use crate::store::StoreError;

/// The state of the log's tables in a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// Nothing.
    Empty,
    /// Parts of it.
    Partial(Missing),
    /// All of it, as this program knows it.
    Current,
}

/// Examines the tables and changes nothing. An obstacle to reading or appending is an error with its remedy.
pub(super) async fn examine(db: &mut PgConnection, names: &Identifiers) -> Result<SchemaState, StoreError> {
    let survey = survey(db, names).await?;
    Change::refuse(survey.changed(names))?;
    Ok(found(&survey))
}

fn found(survey: &Survey) -> SchemaState {
    match survey.missing() {
        _ if survey.is_empty() => SchemaState::Empty,
        Some(missing) => SchemaState::Partial(missing),
        None => SchemaState::Current,
    }
}

/// Surveys the tables. Another application's tables and an unknown version are errors.
pub(super) async fn survey(db: &mut PgConnection, names: &Identifiers) -> Result<Survey, StoreError> {
    let survey = Survey::of(db, names, DOING).await?;
    survey.refuse_strangers(db, names).await?;
    survey.refuse_other_version()?;
    Ok(survey)
}

/// An error that says what to do, unless events can be read and appended.
pub(super) async fn require(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let survey = survey(db, names).await?;
    Change::refuse(survey.changed(names))?;
    refuse_missing(db, names, &survey).await
}

/// An error that says what to do, unless events can be read.
pub(super) async fn require_to_read(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let survey = survey(db, names).await?;
    Change::refuse(survey.unreadable(names))?;
    refuse_missing(db, names, &survey).await
}

async fn refuse_missing(db: &mut PgConnection, names: &Identifiers, survey: &Survey) -> Result<(), StoreError> {
    match found(survey) {
        SchemaState::Empty => Err(config(MISSING)),
        SchemaState::Partial(missing) if missing.is_fatal => Err(lacking(db, names, &missing).await),
        SchemaState::Partial(_) | SchemaState::Current => Ok(()),
    }
}

/// Creates the missing parts, as far as this account may, before the log is used.
pub(super) async fn provide(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    match examine(db, names).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Empty => create(db, names).await,
        SchemaState::Partial(missing) => {
            let parts = missing.parts.join(", ");
            if is_owner(db, names).await? {
                log_line(move || {
                    tracing::warn!(parts, "parts of the audit log were missing and are made again, empty")
                });
                create(db, names).await
            } else if missing.is_fatal {
                Err(lacking(db, names, &missing).await)
            } else {
                log_line(move || {
                    tracing::warn!(
                        parts,
                        "parts of the audit log are missing: let its owner run `tower-audit migrate`"
                    );
                });
                Ok(())
            }
        }
    }
}

/// The error for parts that are missing, and that this role may not make.
async fn lacking(db: &mut PgConnection, names: &Identifiers, missing: &Missing) -> StoreError {
    let owner = match owner(db, names).await {
        Ok(Some(owner)) => format!("their owner {}", quote_identifier(&owner.name)),
        _ => "their owner".to_owned(),
    };
    config(format!(
        "parts of the log are missing ({}): let {owner} run `tower-audit migrate` on this database",
        missing.parts.join(", ")
    ))
}

/// Makes the tables, or what is missing of them, in one transaction, and leaves the rest as it is. Several may do it at
/// once.
pub(super) async fn create(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    begin_exclusive(db, names, DOING).await?;
    if examine(db, names).await? != SchemaState::Current {
        let given = grants::granted_roles(db, names).await?;
        create_missing(db, names).await?;
        grants::grant_again(db, names, given).await?;
    }
    run(db, DOING, "COMMIT".to_owned()).await?;
    // The new parts may show that another part is not where it belongs.
    Change::refuse(survey(db, names).await?.changed(names))
}

/// Drops every table, and makes them anew. Roles that had rights have them again.
pub(super) async fn recreate(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    require_owner(db, names, "init").await?;
    begin_exclusive(db, names, "init").await?;
    let given = grants::granted_roles(db, names).await?;
    let tables = survey(db, names).await?.tables();
    if !tables.is_empty() {
        let tables: Vec<String> =
            tables.iter().map(|table| format!("{}.{}", names.quoted_schema(), quote_identifier(table))).collect();
        execute(db, format!("DROP TABLE {}", tables.join(", "))).await?;
    }
    let seal = [LEAVES, NODES, CHECKPOINTS, REMOVALS].map(|end| names.side_table(end));
    execute(db, format!("DROP TABLE IF EXISTS {}", seal.join(", "))).await?;
    create_missing(db, names).await?;
    grants::grant_again(db, names, given).await?;
    run(db, "init", "COMMIT".to_owned()).await?;
    partition::create_ahead(db, names).await
}

/// Creates the missing parts, for the owner alone.
async fn create_missing(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    create_schema(db, names).await?;
    let before = Survey::of(db, names, DOING).await?;
    execute(db, names.expand(SCHEMA).replace("{version}", &VERSION.to_string())).await?;
    let made: Vec<String> = expected_schema::all(names).into_iter().filter(|name| !before.has(name)).collect();
    execute(db, expected_schema::revoke(names, &made)).await?;
    if before.has(&names.unquoted("")) { Ok(()) } else { indexes::create(db, names).await }
}

/// Begins a transaction that no other maker of tables is in at the same time.
pub(super) async fn begin_exclusive(
    db: &mut PgConnection,
    names: &Identifiers,
    doing: &'static str,
) -> Result<(), StoreError> {
    run(db, doing, format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock({})", names.lock_key())).await
}

/// Asked for by `IF NOT EXISTS`, a schema that exists would still need the right to make one.
async fn create_schema(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)")
        .bind(names.schema())
        .fetch_one(&mut *db)
        .await
        .during(DOING)?;
    if exists { Ok(()) } else { execute(db, format!("CREATE SCHEMA {}", names.quoted_schema())).await }
}

/// A statement that needs the rights of an owner.
async fn execute(db: &mut PgConnection, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map(drop).map_err(|error| {
        if has_code(&error, INSUFFICIENT_PRIVILEGE) {
            return config(MISSING).with_source(cause(error));
        }
        let dependents = match error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) {
            Some(refused) if refused.code() == DEPENDENT_OBJECTS => refused.detail().map(str::to_owned),
            _ => None,
        };
        match dependents {
            Some(dependents) => config(format!("drop first what depends on the tables of the log: {dependents}")),
            None => from_driver(DOING, error),
        }
    })
}

const DEPENDENT_OBJECTS: &str = "2BP01";
const DOING: &str = "preparing the tables";
