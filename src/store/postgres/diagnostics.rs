//! Diagnostics of the server, the account and the tables.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::DuringOperation as _;
use super::expected_schema::{DEFAULT, VERSION};
use super::grants::{Right, Roles};
use super::identifiers::{Identifiers, STARTED, WRITERS, quote_identifier};
use super::indexes;
use super::interfering_objects;
use super::owner::{self, TableOwner};
use super::privileges::Access;
use super::replicas;
use super::schema;
use super::sealing;
use super::session_driver::Pool;
use super::writer_locks::IS_FREE;
use crate::store::{Diagnostic, StoreError};

pub(super) async fn inspect(readers: &Pool, config: &Config) -> Result<Vec<Diagnostic>, StoreError> {
    let names = &config.identifiers;
    let mut lease = readers.lease(config, DOING).await?;
    let result = all(&mut lease.db, names).await;
    lease.finish(result)
}

async fn all(db: &mut PgConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let owner = owner::owner(db, names).await?;
    // Only the owner of the tables can apply the remedies.
    let by_owner = match &owner {
        Some(TableOwner { is_us: false, name }) => {
            format!("let the owner of the tables, {}, run ", quote_identifier(name))
        }
        _ => "run ".to_owned(),
    };
    let mut diagnostics = server(db, names).await?;
    diagnostics.extend(tables(db, names, &by_owner).await?);
    diagnostics.extend(role(db, names, owner.as_ref()).await?);
    diagnostics.extend(months(db, names, &by_owner).await?);
    diagnostics.extend(open(db, names).await?);
    diagnostics.extend(Diagnostic::of_missing_seal(&sealing::tables::missing(db, names).await?));
    Ok(diagnostics)
}

async fn server(db: &mut PgConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let row = sqlx::query(
        "SELECT pg_catalog.current_setting('server_version'), \
         coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false), \
         coalesce(pg_catalog.host(pg_catalog.inet_server_addr()), '') IN ('', '127.0.0.1', '::1')",
    )
    .fetch_one(&mut *db)
    .await
    .during(DOING)?;
    let version: String = row.try_get(0).during(DOING)?;
    let (is_encrypted, is_local): (bool, bool) = (row.try_get(1).during(DOING)?, row.try_get(2).during(DOING)?);
    let mut diagnostics = vec![Diagnostic::ok("server", format!("PostgreSQL {version}"))];
    diagnostics.push(match (is_encrypted, is_local) {
        (true, _) => Diagnostic::ok("connection", "encrypted"),
        (false, true) => Diagnostic::ok("connection", "not encrypted, to this machine"),
        (false, false) => Diagnostic::warning(
            "connection",
            "not encrypted, to another machine: events can be read and changed on the way",
            "add ?sslmode=verify-full to the URL",
        ),
    });
    // `health` judges these settings.
    let settings = DurabilitySettings::ask(db, names, DOING).await?;
    if !settings.can_mark_commits {
        diagnostics.push(Diagnostic::warning(
            "durability",
            "this account may not call pg_logical_emit_message: a health check tries no commit, and an event that is appended \
             again after a lost answer is refused",
            "let a superuser run `GRANT EXECUTE ON FUNCTION pg_catalog.pg_logical_emit_message(boolean, text, text) TO PUBLIC;`",
        ));
    }
    diagnostics.push(match settings.weakness() {
        None => Diagnostic::ok("durability", settings.to_string()),
        Some(weakness) => Diagnostic::warning("durability", weakness, "set it to off and restart the server"),
    });
    diagnostics.extend(replicas::diagnose(db, settings.has_replicas(), DOING).await?);
    Ok(diagnostics)
}

/// The tables, their indexes, and obstacles on them.
async fn tables(db: &mut PgConnection, names: &Identifiers, by_owner: &str) -> Result<Vec<Diagnostic>, StoreError> {
    let survey = schema::survey(db, names).await?;
    let mut diagnostics = Vec::new();
    if let Some(change) = survey.changed(names) {
        diagnostics.push(Diagnostic::error("tables", change.text, format!("{by_owner}`{}`", change.statements)));
    }
    if let Some(missing) = survey.missing() {
        diagnostics.push(Diagnostic::error(
            "tables",
            format!("missing: {}", missing.parts.join(", ")),
            format!("{by_owner}`tower-audit migrate`"),
        ));
    }
    for obstacle in interfering_objects::find(db, names, DOING).await? {
        diagnostics.push(Diagnostic::error(
            "tables",
            format!("{}: it is not the log's, and can keep events out or hide them", obstacle.text),
            format!("if nobody needs it, {by_owner}`{}`", obstacle.statement),
        ));
    }
    if diagnostics.is_empty() {
        diagnostics.push(Diagnostic::ok("tables", format!("version {VERSION}")));
    }
    let flaws = indexes::Flaws::of(db, names).await?;
    diagnostics.push(match flaws.text() {
        None => Diagnostic::ok("indexes", "all of them"),
        Some(text) if flaws.different.is_empty() => Diagnostic::warning(
            "indexes",
            format!("{text}: what they are for takes as long as the log is"),
            format!("{by_owner}`tower-audit migrate`, unless nobody asks for that"),
        ),
        Some(text) => Diagnostic::warning(
            "indexes",
            format!("{text}: what they are for takes as long as the log is"),
            format!("{by_owner}`{}`, and then `tower-audit migrate`", flaws.drop_different(names)),
        ),
    });
    Ok(diagnostics)
}

/// The rights of this account. Having a part of them is as it should be.
async fn role(
    db: &mut PgConnection,
    names: &Identifiers,
    owner: Option<&TableOwner>,
) -> Result<Vec<Diagnostic>, StoreError> {
    let row = sqlx::query(
        "SELECT current_user::text, \
         coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false), \
         coalesce(pg_catalog.has_table_privilege(c.oid, 'INSERT'), false), \
         coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), false), \
         coalesce(pg_catalog.has_table_privilege(c.oid, 'DELETE'), false), \
         coalesce(pg_catalog.has_table_privilege(c.oid, 'UPDATE') OR pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'), false) \
         FROM (SELECT) AS one LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) \
         ON n.nspname = $1 AND c.relname = $2",
    )
    .bind(names.schema())
    .bind(names.unquoted(""))
    .fetch_one(&mut *db)
    .await
    .during(DOING)?;
    let name: String = row.try_get(0).during(DOING)?;
    let is_superuser: bool = row.try_get(1).during(DOING)?;
    let may = |column: usize| row.try_get::<bool, _>(column).during(DOING);
    let (appends, reads, removes, changes) = (may(2)?, may(3)?, may(4)?, may(5)?);
    let listed = |is: bool| {
        let rights = [(appends, "append"), (reads, "read"), (removes, "remove"), (changes, "change")];
        rights.into_iter().filter(|(may, _)| *may == is).map(|(_, right)| right).collect::<Vec<_>>().join(", ")
    };
    let text = format!("{} may {}", quote_identifier(&name), listed(true));
    let remedy = "give the app an account of the appender role: `tower-audit migrate --roles`, then GRANT it";
    if is_superuser {
        return Ok(vec![Diagnostic::warning("role", format!("{text}: a superuser can change events"), remedy)]);
    }
    if owner.is_some_and(|owner| owner.is_us) {
        let text = format!("{text}: it owns the tables, and can change and remove events");
        return Ok(vec![Diagnostic::warning("role", text, remedy)]);
    }
    let mut diagnostics = Vec::new();
    for right in [Right::Append, Right::Read, Right::Purge, Right::Erase] {
        let access = Access::of(db, names, right).await?;
        if access.is_meant && !access.missing.is_empty() {
            let (problem, remedy) = access.problem();
            diagnostics.push(Diagnostic::error("role", problem, remedy));
        }
    }
    if changes {
        diagnostics.push(Diagnostic::warning("role", format!("{text}: more than any role of the log may"), remedy));
    } else if !diagnostics.is_empty() {
        // Each says enough.
    } else if !(appends || reads || removes) {
        let grant = Roles::of(db, names).await?.grant(Right::Append);
        diagnostics.push(Diagnostic::error(
            "role",
            format!("{} may neither append events nor read nor remove them", quote_identifier(&name)),
            format!("give it a role of `tower-audit migrate --roles`, such as `{grant}`"),
        ));
    } else {
        diagnostics.push(Diagnostic::ok("role", format!("{text}; to {} is for other roles", listed(false))));
    }
    Ok(diagnostics)
}

async fn months(db: &mut PgConnection, names: &Identifiers, by_owner: &str) -> Result<Vec<Diagnostic>, StoreError> {
    let rows = sqlx::query(
        "SELECT pg_catalog.to_char(month, 'YYYY-MM'), EXISTS (SELECT FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relispartition \
         AND c.relname = $2 || pg_catalog.to_char(month, '_YYYY_MM')) \
         FROM pg_catalog.generate_series(pg_catalog.date_trunc('month', pg_catalog.now()), \
         pg_catalog.date_trunc('month', pg_catalog.now()) + interval '2 months', interval '1 month') AS month",
    )
    .bind(names.schema())
    .bind(names.unquoted(""))
    .fetch_all(&mut *db)
    .await
    .during(DOING)?;
    let mut missing = Vec::new();
    let mut last = String::new();
    for row in rows {
        let month: String = row.try_get(0).during(DOING)?;
        if row.try_get(1).during(DOING)? { last = month } else { missing.push(month) }
    }
    let mut diagnostics = vec![if missing.is_empty() {
        Diagnostic::ok("partitions", format!("ready up to {last}"))
    } else {
        Diagnostic::warning(
            "partitions",
            format!("none for {}: their events go to the default partition", missing.join(", ")),
            format!("{by_owner}`tower-audit migrate`; a running app makes them within the hour"),
        )
    }];
    let default = names.side_table(DEFAULT);
    if may_look(db, &[&default]).await? {
        let sql = format!("SELECT EXISTS (SELECT FROM {default})");
        if sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *db).await.during(DOING)? {
            diagnostics.push(Diagnostic::warning(
                "partitions",
                "events are in the default partition: no partition covers their ids",
                "none is lost; retention removes them by the row, not by the month",
            ));
        }
    }
    Ok(diagnostics)
}

/// Counts open events of live writers and of dead ones.
async fn open(db: &mut PgConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let (started, writers) = (names.side_table(STARTED), names.side_table(WRITERS));
    if !may_look(db, &[&started, &writers]).await? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE dead) FROM (SELECT w.has_left OR {IS_FREE} AS dead \
         FROM {started} s JOIN {writers} w ON w.id = s.writer) AS opened"
    );
    let (alive, dead): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(db).await.during(DOING)?;
    let mut diagnostics = Vec::new();
    if alive > 0 {
        diagnostics.push(Diagnostic::ok(
            "open",
            format!("{alive} requests or purges have started and not ended, of writers that live"),
        ));
    }
    if dead > 0 {
        diagnostics.push(Diagnostic::warning(
            "open",
            format!("{dead} requests or purges have started and not ended, of writers that do not live any more"),
            "the next log that opens closes them as `unknown`: start the service",
        ));
    }
    Ok(diagnostics)
}

/// Reports that these are there and that this role may read them.
async fn may_look(db: &mut PgConnection, tables: &[&str]) -> Result<bool, StoreError> {
    let may: Option<bool> = sqlx::query_scalar(
        "SELECT pg_catalog.bool_and(coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass(name), 'SELECT'), false)) \
         FROM pg_catalog.unnest($1) AS name",
    )
    .bind(tables)
    .fetch_one(db)
    .await
    .during(DOING)?;
    Ok(may == Some(true))
}

const DOING: &str = "inspecting the server";
