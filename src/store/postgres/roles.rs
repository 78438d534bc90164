//! Roles of the database that may do a part of what there is to do: the server itself refuses the rest.
//!
//! They cannot log in. An account is given one of them: `GRANT "app_public_audit_events_appender" TO "web"`.
//!
//! Roles are the whole server's, a log is one table's. So their names have the database, the schema and the table in
//! them, a comment on each says which log it was made for, and a role that was made for another log, or for something
//! else, is refused: whoever has it would be given what this log holds.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::error::{
    DuringOperation as _, INSUFFICIENT_PRIVILEGE, NAME, cause, config as refused, from_driver, has_code,
};
use super::grants::{MARK, Roles};
use super::identifiers::{Identifiers, quote_identifier, quote_literal};
use super::owner::require_owner;
use super::schema::{self, begin_exclusive};
use super::session::run;
use super::session_driver::PgSessions;
use crate::store::sql::{SessionKind, connect};
use crate::store::{OpenOptions, StoreError, StoreErrorKind};

/// Makes the roles of the log that `url` names, as far as they are missing, gives them their rights, and says what
/// they are called. To be done by the owner of the tables, who may make roles. Roles that have rights keep them when the
/// log is made anew, and are given what a newer version of the tables has for them.
///
/// Their names begin with those of the database, the schema and the table (`app_public_audit_events_reader`), or with
/// what the parameter `roles` of the URL says.
///
/// - `…_appender` keeps events: it may not read, change or remove one. It makes the partitions of the months to come.
/// - `…_reader` reads them.
/// - `…_purger` removes them, whole months as well, and keeps the event that says so; it reads no more of them than
///   their times, ids and numbers. Of a sealed log it deletes seeds, and reads none.
/// - `…_sealer` reads events and seals them: it may not append, change or remove one.
/// - `…_eraser` reads events, replaces the values that an erasure blanks, and keeps the event that says so: it may not remove one, nor
///   change its type, time, phase, outcome or route.
///
/// # Errors
/// If the tables are missing; if the role that connects does not own them or may not make roles; and if a role of such
/// a name exists and was not made for this log: the error has the statement that says it is meant.
pub async fn create_roles(url: &str) -> Result<Vec<String>, StoreError> {
    let config = Config::parse(url, OpenOptions::default())?;
    let names = &config.identifiers;
    let mut db = connect::<PgSessions>(&config, SessionKind::Admin).await?;
    schema::require(&mut db, names).await?;
    require_owner(&mut db, names, DOING).await?;
    begin_exclusive(&mut db, names, DOING).await?;
    let roles = Roles::of(&mut db, names).await?;
    for role in &roles.names {
        provide(&roles, &mut db, names, role).await?;
    }
    roles.grant_all(&mut db, names).await?;
    run(&mut db, DOING, "COMMIT".to_owned()).await?;
    Ok(roles.names.into())
}

/// Makes the role, or takes the one that is there if it is this log's.
async fn provide(roles: &Roles, db: &mut PgConnection, names: &Identifiers, role: &str) -> Result<(), StoreError> {
    let Some(Existing { mark, is_bare, has_rights }) = Existing::of(db, names, role).await? else {
        return create(roles, db, role).await;
    };
    let comment = format!("COMMENT ON ROLE {} IS {};", quote_identifier(role), quote_literal(&roles.mark));
    match mark {
        Some(mark) if mark == roles.mark => Ok(()),
        // Its members have these rights already.
        _ if has_rights => Ok(()),
        Some(mark) if mark.starts_with(MARK) => Err(refused(format!(
            "the role {} was made for the log {}: its members would see this one, too. Choose other names by \
             `?roles=PREFIX`, or say that this is meant: `{comment}`",
            quote_identifier(role),
            mark.trim_start_matches(MARK),
        ))),
        _ if !is_bare => Err(refused(format!(
            "the role {} exists, and has members or rights of its own, or may log in: choose other names by \
             `?roles=PREFIX`, or say that this is meant: `{comment}`",
            quote_identifier(role)
        ))),
        // An administrator has created it for an owner who may not create roles.
        _ => {
            let sql = format!("SAVEPOINT comment; {comment}");
            match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *db).await {
                Ok(_) => Ok(()),
                Err(error) if has_code(&error, INSUFFICIENT_PRIVILEGE) => {
                    run(db, DOING, "ROLLBACK TO comment".to_owned()).await
                }
                Err(error) => Err(from_driver(DOING, error)),
            }
        }
    }
}

async fn create(roles: &Roles, db: &mut PgConnection, role: &str) -> Result<(), StoreError> {
    let name = quote_identifier(role);
    let sql = format!("CREATE ROLE {name} NOLOGIN; COMMENT ON ROLE {name} IS {}", quote_literal(&roles.mark));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map(drop).map_err(|error| {
        if has_code(&error, INSUFFICIENT_PRIVILEGE) {
            return StoreError::new(StoreErrorKind::Denied, NAME, DOING)
                .with_hint(format!(
                    "{} may not make roles: connect as an owner that has CREATEROLE, or let somebody who has run \
                     `CREATE ROLE {name} NOLOGIN;`",
                    quote_identifier(&roles.account)
                ))
                .with_source(cause(error));
        }
        from_driver(DOING, error)
    })
}

/// A role that is there.
struct Existing {
    mark: Option<String>,
    /// It has no members, no rights and no login.
    is_bare: bool,
    /// It has rights to the events of this very log.
    has_rights: bool,
}

impl Existing {
    async fn of(db: &mut PgConnection, names: &Identifiers, role: &str) -> Result<Option<Self>, StoreError> {
        // From PostgreSQL 16 on, the creator of a role is a member of it.
        let found: Option<(Option<String>, bool, bool)> = sqlx::query_as(
            "SELECT pg_catalog.shobj_description(r.oid, 'pg_authid') AS mark, \
             NOT (r.rolcanlogin OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls \
                OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid \
                    OR (m.roleid = r.oid AND NOT m.admin_option))) AS is_bare, \
             EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                CROSS JOIN pg_catalog.aclexplode(c.relacl) a \
                WHERE n.nspname = $2 AND c.relname = $3 AND a.grantee = r.oid) AS has_rights \
             FROM pg_catalog.pg_roles r WHERE r.rolname = $1",
        )
        .bind(role)
        .bind(names.schema())
        .bind(names.unquoted(""))
        .fetch_optional(db)
        .await
        .during(DOING)?;
        Ok(found.map(|(mark, is_bare, has_rights)| Self { mark, is_bare, has_rights }))
    }
}

const DOING: &str = "making roles";
