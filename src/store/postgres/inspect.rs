//! What an operator should know of the server, the role and the tables.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::durability::Facts;
use super::error::Doing as _;
use super::indexes;
use super::names::{INSTANCES, Names, OPEN, quoted};
use super::obstacles;
use super::orphans::IS_FREE;
use super::roles::{Right, Roles};
use super::schema::{self, Owner};
use super::shape::{DEFAULT, VERSION};
use super::store::PostgresStore;
use crate::store::{Finding, StoreError};

pub(super) async fn inspect(store: &PostgresStore) -> Result<Vec<Finding>, StoreError> {
    let names = &store.config.names;
    let mut lease = store.readers.lease(&store.config, DOING).await?;
    let done = all(&mut lease.db, names).await;
    lease.settle(done)
}

async fn all(db: &mut PgConnection, names: &Names) -> Result<Vec<Finding>, StoreError> {
    let owner = schema::owner(db, names).await?;
    // Who the remedies are for.
    let by_owner = match &owner {
        Some(Owner { is_us: false, name }) => format!("let the owner of the tables, {}, run ", quoted(name)),
        _ => "run ".to_owned(),
    };
    let mut found = server(db, names).await?;
    found.extend(tables(db, names, &by_owner).await?);
    found.extend(role(db, names, owner.as_ref()).await?);
    found.extend(months(db, names, &by_owner).await?);
    found.extend(open(db, names).await?);
    Ok(found)
}

async fn server(db: &mut PgConnection, names: &Names) -> Result<Vec<Finding>, StoreError> {
    let row = sqlx::query(
        "SELECT pg_catalog.current_setting('server_version'), \
         coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false), \
         coalesce(pg_catalog.host(pg_catalog.inet_server_addr()), '') IN ('', '127.0.0.1', '::1')",
    )
    .fetch_one(&mut *db)
    .await
    .doing(DOING)?;
    let version: String = row.try_get(0).doing(DOING)?;
    let (is_encrypted, is_local): (bool, bool) = (row.try_get(1).doing(DOING)?, row.try_get(2).doing(DOING)?);
    let mut found = vec![Finding::fine("server", format!("PostgreSQL {version}"))];
    found.push(match (is_encrypted, is_local) {
        (true, _) => Finding::fine("connection", "encrypted"),
        (false, true) => Finding::fine("connection", "not encrypted, to this machine"),
        (false, false) => Finding::warning(
            "connection",
            "not encrypted, to another machine: whoever is between reads the events, and can change them",
            "add ?sslmode=verify-full to the URL",
        ),
    });
    // Whether that is enough, `health` says.
    found.push(Finding::fine("durability", Facts::ask(db, names, DOING).await?.to_string()));
    Ok(found)
}

/// The tables and their indexes, and what is in their way.
async fn tables(db: &mut PgConnection, names: &Names, by_owner: &str) -> Result<Vec<Finding>, StoreError> {
    let survey = schema::survey(db, names).await?;
    let mut found = Vec::new();
    if let Some(change) = survey.changed(names) {
        found.push(Finding::wrong("tables", change.text, format!("{by_owner}`{}`", change.statements)));
    }
    if let Some(missing) = survey.missing() {
        found.push(Finding::wrong(
            "tables",
            format!("missing: {}", missing.parts.join(", ")),
            format!("{by_owner}`tower-audit migrate`"),
        ));
    }
    for obstacle in obstacles::find(db, names, DOING).await? {
        found.push(Finding::wrong(
            "tables",
            format!("{}: it is not the log's, and can keep events out or hide them", obstacle.text),
            format!("if nobody needs it, {by_owner}`{}`", obstacle.statement),
        ));
    }
    if found.is_empty() {
        found.push(Finding::fine("tables", format!("version {VERSION}")));
    }
    let flaws = indexes::Flaws::of(db, names).await?;
    found.push(match flaws.text() {
        None => Finding::fine("indexes", "all of them"),
        Some(text) if flaws.different.is_empty() => Finding::warning(
            "indexes",
            format!("{text}: what they are for takes as long as the log is"),
            format!("{by_owner}`tower-audit migrate`, unless nobody asks for that"),
        ),
        Some(text) => Finding::warning(
            "indexes",
            format!("{text}: what they are for takes as long as the log is"),
            format!("{by_owner}`{}`, and then `tower-audit migrate`", flaws.drop_different(names)),
        ),
    });
    Ok(found)
}

/// What this role may: a role that may do one thing is as it should be.
async fn role(db: &mut PgConnection, names: &Names, owner: Option<&Owner>) -> Result<Vec<Finding>, StoreError> {
    let row = sqlx::query(
        "SELECT current_user::text, \
         coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false), \
         pg_catalog.has_table_privilege($1, 'INSERT'), pg_catalog.has_table_privilege($1, 'SELECT'), \
         pg_catalog.has_table_privilege($1, 'DELETE'), \
         pg_catalog.has_table_privilege($1, 'UPDATE') OR pg_catalog.has_table_privilege($1, 'TRUNCATE')",
    )
    .bind(names.table())
    .fetch_one(&mut *db)
    .await
    .doing(DOING)?;
    let name: String = row.try_get(0).doing(DOING)?;
    let is_superuser: bool = row.try_get(1).doing(DOING)?;
    let may = |column: usize| row.try_get::<bool, _>(column).doing(DOING);
    let (appends, reads, removes, changes) = (may(2)?, may(3)?, may(4)?, may(5)?);
    let listed = |is: bool| {
        let rights = [(appends, "append"), (reads, "read"), (removes, "remove"), (changes, "change")];
        rights.into_iter().filter(|(may, _)| *may == is).map(|(_, right)| right).collect::<Vec<_>>().join(", ")
    };
    let text = format!("{} may {}", quoted(&name), listed(true));
    let remedy = "give the app an account of the appender role: `tower-audit migrate --roles`, then GRANT it";
    Ok(vec![if is_superuser {
        Finding::warning("role", format!("{text}: a superuser, whom nothing stops from changing events"), remedy)
    } else if owner.is_some_and(|owner| owner.is_us) {
        Finding::warning("role", format!("{text}: it owns the tables, and can change and remove events"), remedy)
    } else if changes {
        Finding::warning("role", format!("{text}: more than any role of the log may"), remedy)
    } else if !(appends || reads || removes) {
        let grant = Roles::of(db, names).await?.grant(Right::Append);
        Finding::wrong(
            "role",
            format!("{} may neither append events nor read nor remove them", quoted(&name)),
            format!("give it a role of `tower-audit migrate --roles`, such as `{grant}`"),
        )
    } else {
        Finding::fine("role", format!("{text}; to {} is for other roles", listed(false)))
    }])
}

async fn months(db: &mut PgConnection, names: &Names, by_owner: &str) -> Result<Vec<Finding>, StoreError> {
    let rows = sqlx::query(
        "SELECT pg_catalog.to_char(month, 'YYYY-MM'), EXISTS (SELECT FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relispartition \
         AND c.relname = $2 || pg_catalog.to_char(month, '_YYYY_MM')) \
         FROM pg_catalog.generate_series(pg_catalog.date_trunc('month', pg_catalog.now()), \
         pg_catalog.date_trunc('month', pg_catalog.now()) + interval '2 months', interval '1 month') AS month",
    )
    .bind(names.schema())
    .bind(names.bare(""))
    .fetch_all(&mut *db)
    .await
    .doing(DOING)?;
    let mut missing = Vec::new();
    let mut last = String::new();
    for row in rows {
        let month: String = row.try_get(0).doing(DOING)?;
        if row.try_get(1).doing(DOING)? { last = month } else { missing.push(month) }
    }
    let mut found = vec![if missing.is_empty() {
        Finding::fine("partitions", format!("ready up to {last}"))
    } else {
        Finding::warning(
            "partitions",
            format!("none for {}: their events go to the default partition", missing.join(", ")),
            format!("{by_owner}`tower-audit migrate`; a running app makes them within the hour"),
        )
    }];
    let default = names.beside(DEFAULT);
    if may_look(db, &[&default]).await? {
        let sql = format!("SELECT EXISTS (SELECT FROM {default})");
        if sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *db).await.doing(DOING)? {
            found.push(Finding::warning(
                "partitions",
                "there are events in the default partition: their ids are of no month that has a partition",
                "none is lost; retention removes them by the row, not by the month",
            ));
        }
    }
    Ok(found)
}

/// What has started and not ended: of writers that live, and of those that are dead.
async fn open(db: &mut PgConnection, names: &Names) -> Result<Vec<Finding>, StoreError> {
    let (open, instances) = (names.beside(OPEN), names.beside(INSTANCES));
    if !may_look(db, &[&open, &instances]).await? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE dead) FROM (SELECT i.has_left OR {IS_FREE} AS dead \
         FROM {open} o JOIN {instances} i ON i.id = o.instance) AS opened"
    );
    let (alive, dead): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(db).await.doing(DOING)?;
    let mut found = Vec::new();
    if alive > 0 {
        found.push(Finding::fine("open", format!("{alive} requests have started and not ended, of writers that live")));
    }
    if dead > 0 {
        found.push(Finding::warning(
            "open",
            format!("{dead} requests have started and not ended, of writers that do not live any more"),
            "the next log that opens closes them as `unknown`: start the service",
        ));
    }
    Ok(found)
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
    .doing(DOING)?;
    Ok(may == Some(true))
}

const DOING: &str = "inspecting the server";
