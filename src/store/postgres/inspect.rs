//! What an operator should know of the server, the role and the tables.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::durability::Facts;
use super::error::Doing as _;
use super::migrations::VERSION;
use super::names::{Names, OPEN};
use super::store::PostgresStore;
use super::{partition, schema};
use crate::store::{Finding, StoreError};

pub(super) async fn inspect(store: &PostgresStore) -> Result<Vec<Finding>, StoreError> {
    let names = &store.config.names;
    let mut lease = store.readers.lease(&store.config, DOING).await?;
    let done = async {
        let mut found = server(&mut lease.db, names).await?;
        found.extend(role(&mut lease.db, names).await?);
        found.extend(months(&mut lease.db, names).await?);
        Ok(found)
    };
    let done = done.await;
    lease.settle(done)
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
    let mut found = vec![Finding::fine("tables", format!("version {VERSION}; PostgreSQL {version}"))];
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

async fn role(db: &mut PgConnection, names: &Names) -> Result<Vec<Finding>, StoreError> {
    let row = sqlx::query(
        "SELECT current_user::text, \
         coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false), \
         pg_catalog.concat_ws(', ', \
             CASE WHEN pg_catalog.has_table_privilege($1, 'INSERT') THEN 'append' END, \
             CASE WHEN pg_catalog.has_table_privilege($1, 'SELECT') THEN 'read' END, \
             CASE WHEN pg_catalog.has_table_privilege($1, 'DELETE') THEN 'remove' END, \
             CASE WHEN pg_catalog.has_table_privilege($1, 'UPDATE') THEN 'change' END, \
             CASE WHEN pg_catalog.has_table_privilege($1, 'TRUNCATE') THEN 'empty' END)",
    )
    .bind(names.table())
    .fetch_one(&mut *db)
    .await
    .doing(DOING)?;
    let (name, rights): (String, String) = (row.try_get(0).doing(DOING)?, row.try_get(2).doing(DOING)?);
    let is_superuser: bool = row.try_get(1).doing(DOING)?;
    let text = format!("{name:?} may {}", if rights.is_empty() { "nothing" } else { &rights });
    let remedy = "give the app an account of the appender role: `tower-audit migrate --roles`, then GRANT it";
    Ok(vec![if is_superuser {
        Finding::warning("role", format!("{text}: a superuser, whom nothing stops from changing events"), remedy)
    } else if schema::is_owner(db, names).await? {
        Finding::warning("role", format!("{text}: it owns the tables, and can change and remove events"), remedy)
    } else {
        Finding::fine("role", text)
    }])
}

async fn months(db: &mut PgConnection, names: &Names) -> Result<Vec<Finding>, StoreError> {
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
        let remedy = if partition::may_make(db, names).await? {
            "run `tower-audit migrate`; a running app makes them by itself within the hour"
        } else {
            "let the owner of the tables run `tower-audit migrate`"
        };
        Finding::warning(
            "partitions",
            format!("none for {}: their events go to the default partition", missing.join(", ")),
            remedy,
        )
    }];
    let default = names.beside("_default");
    let may_look: Option<bool> =
        sqlx::query_scalar("SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT')")
            .bind(&default)
            .fetch_one(&mut *db)
            .await
            .doing(DOING)?;
    if may_look == Some(true) {
        let sql = format!("SELECT EXISTS (SELECT FROM {default})");
        if sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *db).await.doing(DOING)? {
            found.push(Finding::warning(
                "partitions",
                "there are events in the default partition: their ids are of no month that has a partition",
                "none is lost; retention removes them by the row, not by the month",
            ));
        }
        let sql = format!("SELECT count(*) FROM {}", names.beside(OPEN));
        let open: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.doing(DOING)?;
        if open > 0 {
            found.push(Finding::fine("open", format!("{open} requests have started and not ended")));
        }
    }
    Ok(found)
}

const DOING: &str = "inspecting the server";
