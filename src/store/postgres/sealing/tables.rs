//! The tables of the seal. A log that was never sealed has none of them.

use sqlx::postgres::PgConnection;

use crate::store::StoreError;
use crate::store::postgres::error::{
    DuringOperation as _, INSUFFICIENT_PRIVILEGE, cause, config, from_driver, has_code,
};
use crate::store::postgres::grants::granted_roles;
use crate::store::postgres::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES, REMOVALS};
use crate::store::postgres::schema::begin_exclusive;
use crate::store::postgres::session::run;

/// Returns true if the database has the tables.
pub(in crate::store::postgres) async fn exist(db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT count(*) = 3 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')",
    )
    .bind(names.schema())
    .bind(ENDS.map(|end| names.unquoted(end)))
    .fetch_one(db)
    .await
    .during(DOING)
}

/// Returns true if the database has the table of signed removals, which logs of earlier versions lack.
pub(super) async fn has_removals(db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p'))",
    )
    .bind(names.schema())
    .bind(names.unquoted(REMOVALS))
    .fetch_one(db)
    .await
    .during(DOING)
}

/// Returns the missing tables of a log that has others of them: somebody has dropped them.
pub(in crate::store::postgres) async fn missing(
    db: &mut PgConnection,
    names: &Identifiers,
) -> Result<Vec<String>, StoreError> {
    let all: Vec<String> = ENDS.into_iter().chain([REMOVALS]).map(|end| names.unquoted(end)).collect();
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')",
    )
    .bind(names.schema())
    .bind(&all)
    .fetch_all(db)
    .await
    .during(DOING)?;
    Ok(if there.is_empty() { Vec::new() } else { all.into_iter().filter(|name| !there.contains(name)).collect() })
}

/// Creates the missing tables.
pub(super) async fn create(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    begin_exclusive(db, names, DOING).await?;
    let [leaves, nodes, checkpoints] = ENDS.map(|end| names.side_table(end));
    let removals = names.side_table(REMOVALS);
    let sql = format!(
        "SET LOCAL client_min_messages = warning; \
         CREATE TABLE IF NOT EXISTS {leaves}(n bigint PRIMARY KEY, event_id uuid NOT NULL UNIQUE, seed bytea NOT NULL, hash bytea NOT NULL); \
         CREATE TABLE IF NOT EXISTS {nodes}(level smallint NOT NULL, n bigint NOT NULL, hash bytea NOT NULL, PRIMARY KEY (level, n)); \
         CREATE TABLE IF NOT EXISTS {checkpoints}(size bigint PRIMARY KEY, note text COLLATE \"C\" NOT NULL, \
             sealed_at bigint NOT NULL, position text COLLATE \"C\" NOT NULL); \
         CREATE TABLE IF NOT EXISTS {removals}(n bigint PRIMARY KEY, note text COLLATE \"C\" NOT NULL)"
    );
    match sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *db).await {
        Ok(_) => {
            if let Some(roles) = granted_roles(db, names).await? {
                roles.grant_seal(db, names).await?;
            }
            run(db, DOING, "COMMIT".to_owned()).await
        }
        Err(error) if has_code(&error, INSUFFICIENT_PRIVILEGE) => {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
            Err(config(
                "the tables of the seal are missing, and this role may not make them: let the owner of the log run \
                 `tower-audit seal --once` first",
            )
            .with_source(cause(error)))
        }
        Err(error) => Err(from_driver(DOING, error)),
    }
}

const ENDS: [&str; 3] = [LEAVES, NODES, CHECKPOINTS];
const DOING: &str = "sealing";
