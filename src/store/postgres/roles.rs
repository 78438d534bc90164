//! Roles of the database that may do a part of what there is to do: the server itself refuses the rest.
//!
//! They cannot log in. An account is given one of them: `GRANT audit_events_appender TO web`.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::connection::{Purpose, connect, run};
use super::error::{Doing as _, INSUFFICIENT_PRIVILEGE, config as refused, is, of};
use super::names::{INSTANCES, Names, OPEN, PROBE, VERSION, quoted};
use super::schema::{begin_alone, is_owner};
use crate::store::{OpenOptions, StoreError};

/// Makes the roles of the log that `url` names, as far as they are missing, gives them their rights, and says what
/// they are called. To be done by the owner of the tables, who may make roles; after each `init`, again.
///
/// - `…_appender` keeps events: it may not read, change or remove one.
/// - `…_reader` reads them.
/// - `…_purger` removes them, and keeps the event that says so; it reads no more of them than their time.
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
    run(&mut db, DOING, rights(names)).await?;
    run(&mut db, DOING, "COMMIT".to_owned()).await?;
    Ok(ROLES.iter().map(|role| names.bare(role)).collect())
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
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {appender}, {reader}, {purger};
        GRANT SELECT ON {version} TO {appender}, {reader}, {purger};
        GRANT INSERT, SELECT (event_id) ON {table} TO {appender}, {purger};
        GRANT USAGE ON SEQUENCE {sequence} TO {appender}, {purger};
        GRANT SELECT, INSERT, DELETE ON {open} TO {appender}, {purger};
        GRANT SELECT, INSERT, UPDATE, DELETE ON {instances} TO {appender}, {purger};
        GRANT SELECT, INSERT, UPDATE ON {probe} TO {appender}, {purger};
        GRANT SELECT ON {table} TO {reader};
        GRANT DELETE, SELECT (created_at) ON {table} TO {purger}"
    )
}

const ROLES: [&str; 3] = ["_appender", "_reader", "_purger"];
const DOING: &str = "making roles";
