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
use super::error::{DuringOperation as _, INSUFFICIENT_PRIVILEGE, cause, config as refused, from_driver, has_code};
use super::identifiers::{
    CREATE_PARTITION, DROP_PARTITION, Identifiers, MAX_ROLE_PREFIX_BYTES, STARTED, VERSION, WRITERS, hash,
    quote_identifier, quote_literal,
};
use super::schema::{self, begin_exclusive, require_owner};
use super::session::{SessionKind, connect, run};
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
///   their times, ids and numbers.
///
/// # Errors
/// If the tables are missing; if the role that connects does not own them or may not make roles; and if a role of such
/// a name exists and was not made for this log: the error has the statement that says it is meant.
pub async fn create_roles(url: &str) -> Result<Vec<String>, StoreError> {
    let config = Config::parse(url, OpenOptions::default())?;
    let names = &config.identifiers;
    let mut db = connect(&config, SessionKind::Admin).await?;
    schema::require(&mut db, names).await?;
    require_owner(&mut db, names, DOING).await?;
    begin_exclusive(&mut db, names, DOING).await?;
    let roles = Roles::of(&mut db, names).await?;
    for role in &roles.names {
        roles.provide(&mut db, names, role).await?;
    }
    roles.give(&mut db, names).await?;
    run(&mut db, DOING, "COMMIT".to_owned()).await?;
    Ok(roles.names.into())
}

/// What an account may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Append,
    Read,
    Purge,
}

/// The roles of one log.
#[derive(Debug)]
pub(super) struct Roles {
    names: [String; 3],
    /// The comment on each of them.
    mark: String,
    /// Who asks.
    account: String,
}

impl Roles {
    pub(super) async fn of(db: &mut PgConnection, names: &Identifiers) -> Result<Self, StoreError> {
        let (database, account): (String, String) =
            sqlx::query_as("SELECT pg_catalog.current_database()::text, current_user::text")
                .fetch_one(db)
                .await
                .during(DOING)?;
        Ok(Self::in_database(&database, account, names))
    }

    fn in_database(database: &str, account: String, names: &Identifiers) -> Self {
        let prefix = match names.roles() {
            Some(prefix) => prefix.to_owned(),
            None => bounded(format!("{database}_{}_{}", names.schema(), names.unquoted(""))),
        };
        let mark = format!("{MARK}{}.{}", quote_identifier(database), names.table());
        Self { names: ENDS.map(|end| format!("{prefix}{end}")), mark, account }
    }

    fn of_right(&self, right: Right) -> &str {
        let [appender, reader, purger] = &self.names;
        match right {
            Right::Append => appender,
            Right::Read => reader,
            Right::Purge => purger,
        }
    }

    /// The statement that gives the right to whoever asks.
    pub(super) fn grant(&self, right: Right) -> String {
        format!("GRANT {} TO {};", quote_identifier(self.of_right(right)), quote_identifier(&self.account))
    }

    /// Makes the role, or takes the one that is there if it is this log's.
    async fn provide(&self, db: &mut PgConnection, names: &Identifiers, role: &str) -> Result<(), StoreError> {
        let Some(Existing { mark, is_bare, has_rights }) = Existing::of(db, names, role).await? else {
            return self.create(db, role).await;
        };
        let comment = format!("COMMENT ON ROLE {} IS {};", quote_identifier(role), quote_literal(&self.mark));
        match mark {
            Some(mark) if mark == self.mark => Ok(()),
            // Whoever has it has these rights already.
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
            // Somebody who may make roles has made it for an owner who may not.
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

    async fn create(&self, db: &mut PgConnection, role: &str) -> Result<(), StoreError> {
        let name = quote_identifier(role);
        let sql = format!("CREATE ROLE {name} NOLOGIN; COMMENT ON ROLE {name} IS {}", quote_literal(&self.mark));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map(drop).map_err(|error| {
            if has_code(&error, INSUFFICIENT_PRIVILEGE) {
                return StoreError::new(StoreErrorKind::Denied, super::error::NAME, DOING)
                    .with_hint(format!(
                        "{} may not make roles: connect as an owner that has CREATEROLE, or let somebody who has run \
                         `CREATE ROLE {name} NOLOGIN;`",
                        quote_identifier(&self.account)
                    ))
                    .with_source(cause(error));
            }
            from_driver(DOING, error)
        })
    }

    /// Gives the roles, which are there, their rights to what there is now.
    async fn give(&self, db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
        run(db, DOING, self.rights(names)).await?;
        // Whoever may make tables could take the name of a partition that is still to be made.
        let makes: Option<String> = sqlx::query_scalar(
            "SELECT rolname::text FROM pg_catalog.pg_roles \
             WHERE rolname = ANY($1) AND pg_catalog.has_schema_privilege(oid, $2, 'CREATE') LIMIT 1",
        )
        .bind(&self.names)
        .bind(names.schema())
        .fetch_optional(db)
        .await
        .during(DOING)?;
        match makes {
            None => Ok(()),
            Some(role) => Err(refused(format!(
                "the role {} may make tables in the schema of the log: `REVOKE CREATE ON SCHEMA {} FROM PUBLIC;`",
                quote_identifier(&role),
                names.quoted_schema()
            ))),
        }
    }

    /// To know an id is needed to say which of a batch are new, and for no more than that. Other programs name what they
    /// remove by its number.
    fn rights(&self, names: &Identifiers) -> String {
        let [appender, reader, purger] = self.names.each_ref().map(|role| quote_identifier(role));
        let (schema, table, sequence) = (names.quoted_schema(), names.table(), names.sequence());
        let (open, instances) = (names.side_table(STARTED), names.side_table(WRITERS));
        let version = names.side_table(VERSION);
        let (make_month, drop_month) = (names.side_table(CREATE_PARTITION), names.side_table(DROP_PARTITION));
        format!(
            "GRANT USAGE ON SCHEMA {schema} TO {appender}, {reader}, {purger};
            GRANT SELECT ON {version} TO {appender}, {reader}, {purger};
            GRANT INSERT, SELECT (event_id) ON {table} TO {appender}, {purger};
            GRANT USAGE ON SEQUENCE {sequence} TO {appender}, {purger};
            GRANT SELECT, INSERT, DELETE ON {open} TO {appender}, {purger};
            GRANT SELECT, INSERT, UPDATE (retaken, has_left), DELETE ON {instances} TO {appender}, {purger};
            GRANT EXECUTE ON FUNCTION {make_month}() TO {appender}, {purger};
            GRANT EXECUTE ON FUNCTION {drop_month}(pg_catalog.timestamptz) TO {purger};
            GRANT SELECT ON {table} TO {reader};
            GRANT DELETE, SELECT (created_at, id) ON {table} TO {purger}"
        )
    }

    /// Reports that all of them are there and any has rights to this very log, or to what is left of it.
    async fn are_given(&self, db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
        let (there, given): (i64, bool) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = ANY($3)), \
             EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                CROSS JOIN pg_catalog.aclexplode(c.relacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee \
                WHERE n.nspname = $1 AND c.relname = ANY($2) AND r.rolname = ANY($3))",
        )
        .bind(names.schema())
        .bind(["", STARTED, WRITERS, VERSION].map(|suffix| names.unquoted(suffix)))
        .bind(&self.names)
        .fetch_one(db)
        .await
        .during(DOING)?;
        Ok(given && usize::try_from(there) == Ok(self.names.len()))
    }
}

/// A role that is there.
struct Existing {
    mark: Option<String>,
    /// It is nothing but a name: nobody has it, and it has nothing.
    is_bare: bool,
    /// It has rights to the events of this very log.
    has_rights: bool,
}

impl Existing {
    async fn of(db: &mut PgConnection, names: &Identifiers, role: &str) -> Result<Option<Self>, StoreError> {
        // Who makes a role is a member of it from PostgreSQL 16 on.
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

/// The roles that have rights to the log as it is, to be given them again when it has been made anew.
pub(super) async fn given(db: &mut PgConnection, names: &Identifiers) -> Result<Option<Roles>, StoreError> {
    let roles = Roles::of(db, names).await?;
    Ok(roles.are_given(db, names).await?.then_some(roles))
}

/// Gives the roles their rights to what has been made anew.
pub(super) async fn give_again(
    db: &mut PgConnection,
    names: &Identifiers,
    roles: Option<Roles>,
) -> Result<(), StoreError> {
    match roles {
        Some(roles) => roles.give(db, names).await,
        None => Ok(()),
    }
}

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
    let is_there = Existing::of(db, names, roles.of_right(right)).await.is_ok_and(|role| role.is_some());
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
    let error = StoreError::new(StoreErrorKind::Denied, super::error::NAME, READING);
    Err(explain(db, names, Right::Read, error).await)
}

/// The beginning of the roles' names within what a name has room for: what is cut is told apart by its hash.
fn bounded(mut prefix: String) -> String {
    if prefix.len() <= MAX_ROLE_PREFIX_BYTES {
        return prefix;
    }
    let hash = format!("_{:08x}", hash(prefix.bytes()) & 0xffff_ffff);
    while prefix.len() + hash.len() > MAX_ROLE_PREFIX_BYTES {
        prefix.pop();
    }
    prefix + &hash
}

const ENDS: [&str; 3] = ["_appender", "_reader", "_purger"];
/// The beginning of the comment on a role.
const MARK: &str = "tower-audit ";
const DOING: &str = "making roles";
const READING: &str = "reading";

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(database: &str, schema: &str, table: &str) -> Roles {
        Roles::in_database(database, "me".into(), &Identifiers::new(schema, table, None).expect("names"))
    }

    #[test]
    fn roles_are_named_after_the_log() {
        assert_eq!(roles("app", "public", "audit_events").names[1], "app_public_audit_events_reader");
        assert_eq!(roles("a", "b", "c").grant(Right::Append), r#"GRANT "a_b_c_appender" TO "me";"#);
        let names = Identifiers::new("b", "c", Some("mine")).expect("names");
        assert_eq!(Roles::in_database("a", "me".into(), &names).names[2], "mine_purger");
    }

    #[test]
    fn names_that_are_cut_are_still_apart() {
        let long = "ö".repeat(31);
        let (one, other) = (roles(&long, &long, "audit_events"), roles(&long, &long, "audit_event"));
        for (one, other) in one.names.iter().zip(&other.names) {
            assert!(one.len() <= 63 && one != other, "{one} {other}");
        }
    }

    #[test]
    fn what_is_cut_elsewhere_has_another_mark() {
        assert_eq!(roles("a_b", "c", "d").names, roles("a", "b_c", "d").names);
        assert_ne!(roles("a_b", "c", "d").mark, roles("a", "b_c", "d").mark);
    }
}
