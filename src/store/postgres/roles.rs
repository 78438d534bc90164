//! Roles of the database that may do a part of what there is to do: the server itself refuses the rest.
//!
//! They cannot log in. An account is given one of them: `GRANT audit_events_appender TO web`.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::connection::{Purpose, connect, run};
use super::error::{Doing as _, INSUFFICIENT_PRIVILEGE, config as refused, is, of};
use super::names::{DROP_MONTH, INSTANCES, MAKE_MONTH, Names, OPEN, PROBE, VERSION, quoted};
use super::schema::{self, begin_alone, is_owner};
use crate::store::{OpenOptions, StoreError};

/// Makes the roles of the log that `url` names, as far as they are missing, gives them their rights, and says what
/// they are called. To be done by the owner of the tables, who may make roles. Roles that have rights keep them when the
/// log is made anew, and are given what a newer version of the tables has for them.
///
/// - `…_appender` keeps events: it may not read, change or remove one. It makes the partitions of the months to come.
/// - `…_reader` reads them.
/// - `…_purger` removes them, whole months as well, and keeps the event that says so; it reads no more of them than
///   their time.
///
/// # Errors
/// If the tables are missing, or the role that connects does not own them or may not make roles.
pub async fn make_roles(url: &str) -> Result<Vec<String>, StoreError> {
    let config = Config::parse(url, OpenOptions::default())?;
    let names = &config.names;
    let mut db = connect(&config, Purpose::Keep).await?;
    if !is_owner(&mut db, names).await? {
        return Err(refused("only the owner of the tables can give rights to them, and they must be there"));
    }
    schema::require(&mut db, names).await?;
    begin_alone(&mut db, names, DOING).await?;
    for role in ROLES {
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)")
            .bind(names.bare(role))
            .fetch_one(&mut db)
            .await
            .doing(DOING)?;
        if !exists {
            create(&mut db, &names.bare(role)).await?;
        }
    }
    give(&mut db, names).await?;
    run(&mut db, DOING, "COMMIT".to_owned()).await?;
    Ok(ROLES.iter().map(|role| names.bare(role)).collect())
}

/// Gives the roles, which are there, their rights to what there is now.
pub(super) async fn give(db: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    run(db, DOING, rights(names)).await?;
    // Whoever may make tables could take the name of a partition that is still to be made.
    let makes: Option<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_catalog.pg_roles \
         WHERE rolname = ANY($1) AND pg_catalog.has_schema_privilege(oid, $2, 'CREATE') LIMIT 1",
    )
    .bind(ROLES.map(|role| names.bare(role)))
    .bind(names.schema())
    .fetch_optional(db)
    .await
    .doing(DOING)?;
    match makes {
        None => Ok(()),
        Some(role) => Err(refused(format!(
            "the role {role} may make tables in the schema of the log: REVOKE CREATE ON SCHEMA {} FROM PUBLIC",
            names.quoted_schema()
        ))),
    }
}

/// Whether all of the roles are there, and any of them has rights to this very log.
pub(super) async fn are_given(db: &mut PgConnection, names: &Names) -> Result<bool, StoreError> {
    let roles = ROLES.map(|role| names.bare(role));
    let (there, given): (i64, bool) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = ANY($3)), \
         EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            CROSS JOIN pg_catalog.aclexplode(c.relacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee \
            WHERE n.nspname = $1 AND c.relname = $2 AND r.rolname = ANY($3))",
    )
    .bind(names.schema())
    .bind(names.bare(""))
    .bind(&roles)
    .fetch_one(db)
    .await
    .doing(DOING)?;
    Ok(given && usize::try_from(there) == Ok(roles.len()))
}

async fn create(db: &mut PgConnection, role: &str) -> Result<(), StoreError> {
    let sql = format!("CREATE ROLE {} NOLOGIN", quoted(role));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map(drop).map_err(|error| {
        if is(&error, INSUFFICIENT_PRIVILEGE) {
            return refused(format!("this role may not make the role {role}: connect as one that has CREATEROLE"))
                .because(error);
        }
        of(DOING, error)
    })
}

/// To know an id is needed to say which of a batch are new, and for no more than that.
fn rights(names: &Names) -> String {
    let [appender, reader, purger] = ROLES.map(|role| quoted(&names.bare(role)));
    let (schema, table, sequence) = (names.quoted_schema(), names.table(), names.sequence());
    let (open, instances) = (names.beside(OPEN), names.beside(INSTANCES));
    let (probe, version) = (names.beside(PROBE), names.beside(VERSION));
    let (make_month, drop_month) = (names.beside(MAKE_MONTH), names.beside(DROP_MONTH));
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {appender}, {reader}, {purger};
        GRANT SELECT ON {version} TO {appender}, {reader}, {purger};
        GRANT INSERT, SELECT (event_id) ON {table} TO {appender}, {purger};
        GRANT USAGE ON SEQUENCE {sequence} TO {appender}, {purger};
        GRANT SELECT, INSERT, DELETE ON {open} TO {appender}, {purger};
        GRANT SELECT, INSERT, UPDATE (retaken, has_left), DELETE ON {instances} TO {appender}, {purger};
        GRANT SELECT, INSERT, UPDATE (times) ON {probe} TO {appender}, {purger};
        GRANT EXECUTE ON FUNCTION {make_month}() TO {appender}, {purger};
        GRANT EXECUTE ON FUNCTION {drop_month}(pg_catalog.timestamptz) TO {purger};
        GRANT SELECT ON {table} TO {reader};
        GRANT DELETE, SELECT (created_at) ON {table} TO {purger}"
    )
}

const ROLES: [&str; 3] = ["_appender", "_reader", "_purger"];
const DOING: &str = "making roles";
