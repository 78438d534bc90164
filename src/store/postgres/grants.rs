//! The rights of the log's roles: the statements that grant them, and whether they are granted.

use sqlx::postgres::PgConnection;

use super::error::{DuringOperation as _, config};
use super::identifiers::{
    CHECKPOINTS, CREATE_PARTITION, DROP_PARTITION, Identifiers, LEAVES, MAX_ROLE_PREFIX_BYTES, NODES, REMOVALS,
    STARTED, VERSION, WRITERS, hash, quote_identifier,
};
use super::session::run;
use crate::store::StoreError;

/// A part of the log's work that an account may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Append,
    Read,
    Purge,
    Seal,
    Erase,
}

/// Something that a privilege is granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Schema,
    /// A table: the end of its name.
    Table(&'static str),
    Sequence,
    /// A function: the end of its name, and its parameters.
    Function(&'static str, &'static str),
}

impl Object {
    /// The object in a `GRANT`.
    fn sql(self, names: &Identifiers) -> String {
        match self {
            Self::Schema => format!("SCHEMA {}", names.quoted_schema()),
            Self::Table(suffix) => names.side_table(suffix),
            Self::Sequence => format!("SEQUENCE {}", names.sequence()),
            Self::Function(suffix, parameters) => format!("FUNCTION {}({parameters})", names.side_table(suffix)),
        }
    }
}

/// A privilege on an object, and the roles that have it.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) privilege: &'static str,
    /// Some columns of a table; all of it if empty.
    pub(super) columns: &'static [&'static str],
    pub(super) object: Object,
    pub(super) rights: &'static [Right],
}

impl Grant {
    /// The grant in words.
    pub(super) fn text(&self, names: &Identifiers) -> String {
        format!("{} on {}", self.privilege, self.object.sql(names))
    }
}

const fn grant(
    privilege: &'static str,
    columns: &'static [&'static str],
    object: Object,
    rights: &'static [Right],
) -> Grant {
    Grant { privilege, columns, object, rights }
}

/// The privileges of the roles. The appender sees ids to tell new events from repeated ones. Other programs delete by
/// `id`, which the purger may therefore see. The eraser changes the columns of what an erasure blanks.
pub(super) const GRANTS: [Grant; 33] = {
    use Right::{Append, Erase, Purge, Read, Seal};
    const WRITE: &[Right] = &[Append, Purge, Erase];
    const ALL: &[Right] = &[Append, Read, Purge, Seal, Erase];
    const READ: &[Right] = &[Read, Seal, Erase];
    const EVENTS: Object = Object::Table("");
    const OPEN: Object = Object::Table(STARTED);
    const LEASES: Object = Object::Table(WRITERS);
    [
        grant("USAGE", &[], Object::Schema, ALL),
        grant("SELECT", &[], Object::Table(VERSION), ALL),
        grant("INSERT", &[], EVENTS, WRITE),
        grant("SELECT", &["event_id"], EVENTS, WRITE),
        grant("USAGE", &[], Object::Sequence, WRITE),
        grant("SELECT", &[], OPEN, WRITE),
        grant("INSERT", &[], OPEN, WRITE),
        grant("DELETE", &[], OPEN, WRITE),
        grant("SELECT", &[], LEASES, WRITE),
        grant("INSERT", &[], LEASES, WRITE),
        grant("UPDATE", &["retaken"], LEASES, WRITE),
        grant("UPDATE", &["has_left"], LEASES, WRITE),
        grant("DELETE", &[], LEASES, WRITE),
        grant("EXECUTE", &[], Object::Function(CREATE_PARTITION, ""), WRITE),
        grant("EXECUTE", &[], Object::Function(DROP_PARTITION, "pg_catalog.timestamptz"), &[Purge]),
        grant("SELECT", &[], EVENTS, READ),
        grant("SELECT", &["event_id"], OPEN, READ),
        grant("DELETE", &[], EVENTS, &[Purge]),
        grant("SELECT", &["created_at"], EVENTS, &[Purge]),
        grant("SELECT", &["id"], EVENTS, &[Purge]),
        grant("UPDATE", &["actor_user_email"], EVENTS, &[Erase]),
        grant("UPDATE", &["actor_api_key_hash"], EVENTS, &[Erase]),
        grant("UPDATE", &["actor_remote_addr"], EVENTS, &[Erase]),
        grant("UPDATE", &["actor_acting_for"], EVENTS, &[Erase]),
        grant("UPDATE", &["request_id"], EVENTS, &[Erase]),
        grant("UPDATE", &["request_uri"], EVENTS, &[Erase]),
        grant("UPDATE", &["trace_id"], EVENTS, &[Erase]),
        grant("UPDATE", &["target_type"], EVENTS, &[Erase]),
        grant("UPDATE", &["target_id"], EVENTS, &[Erase]),
        grant("UPDATE", &["more_targets"], EVENTS, &[Erase]),
        grant("UPDATE", &["details"], EVENTS, &[Erase]),
        grant("UPDATE", &["event"], EVENTS, &[Erase]),
        grant("UPDATE", &["event"], OPEN, &[Erase]),
    ]
};

/// The privileges on the tables of the seal, which are there once the log is sealed. A purger deletes seeds, and sees none.
const SEAL_GRANTS: [Grant; 11] = {
    use Right::{Erase, Purge, Read, Seal};
    const READ: &[Right] = &[Read, Seal, Erase];
    [
        grant("SELECT", &[], Object::Table(LEAVES), READ),
        grant("SELECT", &[], Object::Table(NODES), &[Read, Seal]),
        grant("SELECT", &[], Object::Table(CHECKPOINTS), &[Read, Seal, Purge, Erase]),
        grant("SELECT", &[], Object::Table(REMOVALS), &[Read, Seal, Purge, Erase]),
        grant("INSERT", &[], Object::Table(LEAVES), &[Seal]),
        grant("INSERT", &[], Object::Table(NODES), &[Seal]),
        grant("INSERT", &[], Object::Table(CHECKPOINTS), &[Seal]),
        grant("INSERT", &[], Object::Table(REMOVALS), &[Purge, Erase]),
        grant("SELECT", &["n"], Object::Table(LEAVES), &[Purge]),
        grant("SELECT", &["event_id"], Object::Table(LEAVES), &[Purge]),
        grant("UPDATE", &["seed"], Object::Table(LEAVES), &[Purge, Erase]),
    ]
};

/// The roles of one log.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) names: [String; 5],
    /// The comment on each of them.
    pub(super) mark: String,
    /// The account of the session.
    pub(super) account: String,
}

impl Roles {
    /// The roles of the log in this database.
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

    /// The name of the role that has this right.
    pub(super) fn of_right(&self, right: Right) -> &str {
        let [appender, reader, purger, sealer, eraser] = &self.names;
        match right {
            Right::Append => appender,
            Right::Read => reader,
            Right::Purge => purger,
            Right::Seal => sealer,
            Right::Erase => eraser,
        }
    }

    /// The statement that grants a role to the account.
    pub(super) fn grant(&self, right: Right) -> String {
        format!("GRANT {} TO {};", quote_identifier(self.of_right(right)), quote_identifier(&self.account))
    }

    /// Grants the roles, which exist, their rights to the tables as they are now.
    pub(super) async fn grant_all(&self, db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
        run(db, DOING, self.grant_statements(&GRANTS, names)).await?;
        self.grant_seal(db, names).await?;
        // An account that may create tables could take the name of a partition to come.
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
            Some(role) => Err(config(format!(
                "the role {} may make tables in the schema of the log: `REVOKE CREATE ON SCHEMA {} FROM PUBLIC;`",
                quote_identifier(&role),
                names.quoted_schema()
            ))),
        }
    }

    /// Grants the roles their rights to the tables of the seal, if these exist.
    pub(super) async fn grant_seal(&self, db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
        let tables: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p')",
        )
        .bind(names.schema())
        .bind([LEAVES, NODES, CHECKPOINTS, REMOVALS].map(|suffix| names.unquoted(suffix)))
        .fetch_one(&mut *db)
        .await
        .during(DOING)?;
        if tables == 4 { run(db, DOING, self.grant_statements(&SEAL_GRANTS, names)).await } else { Ok(()) }
    }

    /// Every grant to every role.
    fn grant_statements(&self, grants: &[Grant], names: &Identifiers) -> String {
        let statements = grants.iter().map(|grant| {
            let roles = grant.rights.iter().map(|right| quote_identifier(self.of_right(*right)));
            let columns =
                if grant.columns.is_empty() { String::new() } else { format!(" ({})", grant.columns.join(", ")) };
            let (privilege, object) = (grant.privilege, grant.object.sql(names));
            format!("GRANT {privilege}{columns} ON {object} TO {}", roles.collect::<Vec<_>>().join(", "))
        });
        statements.collect::<Vec<_>>().join("; ")
    }

    /// Returns true if every role exists and any of them has rights to this log, or to the rest of it.
    async fn are_granted(&self, db: &mut PgConnection, names: &Identifiers) -> Result<bool, StoreError> {
        let (existing, granted): (i64, bool) = sqlx::query_as(
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
        Ok(granted && usize::try_from(existing) == Ok(self.names.len()))
    }
}

/// The roles that have rights to the log as it is, to be given them again when it has been made anew.
pub(super) async fn granted_roles(db: &mut PgConnection, names: &Identifiers) -> Result<Option<Roles>, StoreError> {
    let roles = Roles::of(db, names).await?;
    Ok(roles.are_granted(db, names).await?.then_some(roles))
}

/// Gives the roles their rights to what has been made anew.
pub(super) async fn grant_again(
    db: &mut PgConnection,
    names: &Identifiers,
    roles: Option<Roles>,
) -> Result<(), StoreError> {
    match roles {
        Some(roles) => roles.grant_all(db, names).await,
        None => Ok(()),
    }
}

/// Truncates the prefix of the roles' names to fit into a name. A hash keeps truncated prefixes apart.
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

const ENDS: [&str; 5] = ["_appender", "_reader", "_purger", "_sealer", "_eraser"];
/// The beginning of the comment on a role.
pub(super) const MARK: &str = "tower-audit ";
const DOING: &str = "granting rights";

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
