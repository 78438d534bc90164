//! The access of an account to the log, and denials of the server explained by it.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::error::{DuringOperation as _, NAME};
use super::grants::{GRANTS, Grant, Object, Right, Roles};
use super::identifiers::{Identifiers, STARTED, VERSION, WRITERS, quote_identifier};
use crate::store::{StoreError, StoreErrorKind};

/// The access of the session's account, as far as one right needs it.
pub(super) struct Access {
    right: Right,
    roles: Roles,
    /// The role of the right exists.
    role_exists: bool,
    /// The account is a member of a role that includes the right, or was granted the right's main privilege directly.
    pub(super) is_meant: bool,
    /// The account is a member of such a role.
    is_member: bool,
    /// The membership passes the role's privileges on.
    inherits: bool,
    /// The account lacks these privileges.
    pub(super) missing: Vec<String>,
    /// The tables whose row security applies to the account.
    row_security: Vec<String>,
    /// From PostgreSQL 16 on, a membership inherits or not; before that, an account.
    is_before_16: bool,
}

impl Access {
    pub(super) async fn of(db: &mut PgConnection, names: &Identifiers, right: Right) -> Result<Self, StoreError> {
        let roles = Roles::of(db, names).await?;
        let needed: Vec<&Grant> = GRANTS
            .iter()
            .filter(|grant| grant.rights.contains(&right) && !matches!(grant.object, Object::Function(..)))
            .collect();
        let relation = |grant: &&Grant| match grant.object {
            Object::Table(suffix) => names.unquoted(suffix),
            Object::Sequence => names.bare_sequence(),
            Object::Schema | Object::Function(..) => String::new(),
        };
        let granted: Vec<bool> = sqlx::query_scalar(HAS_PRIVILEGES)
            .bind(names.schema())
            .bind(needed.iter().map(relation).collect::<Vec<_>>())
            .bind(needed.iter().map(|grant| grant.privilege).collect::<Vec<_>>())
            .bind(needed.iter().map(|grant| grant.columns.first().copied()).collect::<Vec<_>>())
            .fetch_all(&mut *db)
            .await
            .during(DOING)?;
        let missing: Vec<&Grant> =
            needed.into_iter().zip(granted).filter(|(_, granted)| !granted).map(|(grant, _)| grant).collect();
        // A purger and an eraser append, too: the event that says what they did. An eraser reads what it looks through.
        let including: &[Right] = match right {
            Right::Append => &[Right::Append, Right::Purge, Right::Erase],
            Right::Read => &[Right::Read, Right::Erase],
            _ => &[right],
        };
        let row = sqlx::query(MEMBERSHIP)
            .bind(including.iter().map(|right| roles.of_right(*right).to_owned()).collect::<Vec<_>>())
            .bind(roles.of_right(right))
            .bind(names.schema())
            .bind(["", STARTED, WRITERS, VERSION].map(|suffix| names.unquoted(suffix)))
            .fetch_one(db)
            .await
            .during(DOING)?;
        let is_member: bool = row.try_get(0).during(DOING)?;
        let main = match right {
            Right::Append => "INSERT",
            Right::Read | Right::Seal => "SELECT",
            Right::Purge => "DELETE",
            Right::Erase => "UPDATE",
        };
        let lacks_main = missing.iter().any(|grant| grant.object == Object::Table("") && grant.privilege == main);
        Ok(Self {
            right,
            role_exists: row.try_get(2).during(DOING)?,
            is_meant: is_member || !lacks_main,
            is_member,
            inherits: row.try_get(1).during(DOING)?,
            missing: missing.into_iter().map(|grant| grant.text(names)).collect(),
            row_security: row.try_get(3).during(DOING)?,
            is_before_16: row.try_get(4).during(DOING)?,
            roles,
        })
    }

    /// The problem in words, and the statement or command that solves it.
    pub(super) fn problem(&self) -> (String, String) {
        let account = quote_identifier(&self.roles.account);
        let (action, part) = match self.right {
            Right::Append => ("append events", "log"),
            Right::Read => ("read events", "reader"),
            Right::Purge => ("remove events", "purge"),
            Right::Seal => ("seal the log", "sealer"),
            Right::Erase => ("erase values", "log"),
        };
        let lacks = match self.missing.len() {
            0 => String::new(),
            _ if !self.is_meant => String::new(),
            count if count <= MAX_LISTED => format!(", it lacks {}", self.missing.join(", ")),
            count => format!(", it lacks {} and {} more", self.missing[..MAX_LISTED].join(", "), count - MAX_LISTED),
        };
        if !self.row_security.is_empty() {
            let statements: Vec<String> = self
                .row_security
                .iter()
                .map(|table| format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"))
                .collect();
            return (
                format!("row security on {} refuses or hides events", self.row_security.join(", ")),
                format!("let the owner of the tables run `{}`", statements.join(" ")),
            );
        }
        let problem = format!("the role {account} may not {action}{lacks}");
        let role = quote_identifier(self.roles.of_right(self.right));
        if self.is_member && !self.inherits {
            let statement = if self.is_before_16 {
                format!("ALTER ROLE {account} INHERIT;")
            } else {
                format!("GRANT {role} TO {account} WITH INHERIT TRUE;")
            };
            return (
                format!("{problem}: it is a member of {role} and does not inherit its privileges"),
                format!("`{statement}`"),
            );
        }
        if self.is_member && !self.missing.is_empty() {
            let problem = format!("{problem}, although it is a member of {role}");
            return (problem, "let the owner of the tables run `tower-audit migrate --roles`".to_owned());
        }
        if self.missing.is_empty() {
            let problem = format!("the role {account} has every privilege that the log grants, and one more is needed");
            return (
                problem,
                "see the cause; `tower-audit doctor` names triggers and what else is on the tables".to_owned(),
            );
        }
        let first = if self.role_exists { "" } else { "let the owner run `tower-audit migrate --roles`, then " };
        let grant = self.roles.grant(self.right);
        (problem, format!("{first}`{grant}`, or open the {part} with the URL of a role that may"))
    }
}

/// Adds the reason and the remedy to a denial.
pub(super) async fn explained<T>(
    db: &mut PgConnection,
    names: &Identifiers,
    right: Right,
    result: Result<T, StoreError>,
) -> Result<T, StoreError> {
    match result {
        Err(error) if error.kind() == StoreErrorKind::Denied => Err(explain(db, names, right, error).await),
        result => result,
    }
}

/// A denial with its reason and its remedy. Stays [`StoreErrorKind::Denied`] only for an account that is not meant to have
/// this right: for any other, something is wrong.
async fn explain(db: &mut PgConnection, names: &Identifiers, right: Right, error: StoreError) -> StoreError {
    // The denial is still the error.
    let Ok(access) = Access::of(db, names, right).await else { return error };
    let (problem, remedy) = access.problem();
    let is_fault = access.is_meant || !access.row_security.is_empty();
    let error = error.with_hint(format!("{problem}: {remedy}"));
    if is_fault { error.with_kind(StoreErrorKind::Permanent) } else { error }
}

/// Returns an error unless the account may read every event.
pub(super) async fn check_may_read(db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
    let access = Access::of(db, names, Right::Read).await?;
    if access.missing.is_empty() && access.row_security.is_empty() {
        return Ok(());
    }
    let error = StoreError::new(StoreErrorKind::Denied, NAME, READING);
    Err(explain(db, names, Right::Read, error).await)
}

/// One row for each privilege, in their order. A relation that is missing is another error.
const HAS_PRIVILEGES: &str = "SELECT coalesce(CASE \
        WHEN w.relation = '' THEN pg_catalog.has_schema_privilege(n.oid, w.privilege) \
        WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, w.privilege) \
        WHEN w.part IS NOT NULL THEN pg_catalog.has_column_privilege(c.oid, a.attnum, w.privilege) \
        ELSE pg_catalog.has_table_privilege(c.oid, w.privilege) END, true) \
    FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) \
        WITH ORDINALITY AS w(relation, privilege, part, place) \
    LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1 \
    LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.relation \
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = w.part AND NOT a.attisdropped \
    ORDER BY w.place";

const MEMBERSHIP: &str = "SELECT \
    coalesce((SELECT pg_catalog.bool_or(pg_catalog.pg_has_role(oid, 'MEMBER')) FROM pg_catalog.pg_roles \
        WHERE rolname = ANY($1)), false) AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), \
    coalesce((SELECT pg_catalog.bool_or(pg_catalog.pg_has_role(oid, 'USAGE')) FROM pg_catalog.pg_roles \
        WHERE rolname = ANY($1)), false), \
    EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $2), \
    ARRAY(SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $3 AND c.relname = ANY($4) \
        AND c.relkind IN ('r', 'p') AND pg_catalog.row_security_active(c.oid) ORDER BY 1), \
    pg_catalog.current_setting('server_version_num')::int4 < 160000";
/// Privileges that an error names.
const MAX_LISTED: usize = 3;
const DOING: &str = "asking for privileges";
const READING: &str = "reading";
