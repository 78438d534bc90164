//! The facts that an operator should know beyond health: the server, the tables, the account, the months, open events.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::{DuringOperation as _, NO_SUCH_TABLE, from_driver, number};
use super::identifiers::{Identifiers, SEAL_TABLES, STARTED, WRITERS, quote_identifier};
use super::indexes;
use super::partition::{self, Month};
use super::schema::{self, ALL, CURRENT, Survey};
use super::sealing;
use super::session_driver::Pool;
use super::writer_locks::IS_FREE;
use crate::store::{Diagnostic, StoreError, StoreErrorKind};

pub(super) async fn inspect(readers: &Pool, config: &Config) -> Result<Vec<Diagnostic>, StoreError> {
    let mut lease = readers.lease(config, DOING).await?;
    let result = all(&mut lease.db, &config.identifiers).await;
    lease.finish(result)
}

async fn all(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let mut diagnostics = server(db, names).await?;
    diagnostics.extend(tables(db, names).await?);
    diagnostics.push(account(db, names).await?);
    diagnostics.extend(months(db, names).await?);
    diagnostics.extend(open(db, names).await?);
    diagnostics.extend(Diagnostic::of_missing_seal(&sealing::tables::missing(db, names).await?));
    Ok(diagnostics)
}

async fn server(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let version: String =
        sqlx::query_scalar("SELECT CAST(VERSION() AS CHAR)").fetch_one(&mut *db).await.during(DOING)?;
    let kind = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    let (_, cipher): (String, String) =
        sqlx::query_as("SHOW SESSION STATUS LIKE 'Ssl_cipher'").fetch_one(&mut *db).await.during(DOING)?;
    let host: String =
        sqlx::query_scalar("SELECT CAST(HOST AS CHAR) FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()")
            .fetch_one(&mut *db)
            .await
            .during(DOING)?;
    let is_local = ["localhost", "127.0.0.1", "::1"].iter().any(|local| host.starts_with(local));
    let mut diagnostics = vec![Diagnostic::ok("server", format!("{kind} {version}"))];
    diagnostics.push(match (cipher.is_empty(), is_local) {
        (false, _) => Diagnostic::ok("connection", "encrypted"),
        (true, true) => Diagnostic::ok("connection", "not encrypted, to this machine"),
        (true, false) => Diagnostic::warning(
            "connection",
            "not encrypted, to another machine: events can be read and changed on the way",
            "add ?ssl-mode=verify_identity&ssl-ca=FILE to the URL",
        ),
    });
    // `health` judges these settings.
    let settings = DurabilitySettings::ask(db, names, DOING).await?;
    diagnostics.push(match settings.weakness() {
        None => Diagnostic::ok("durability", settings.to_string()),
        Some(weakness) => Diagnostic::warning("durability", weakness, "see docs/stores/mysql.md"),
    });
    Ok(diagnostics)
}

/// The tables, their indexes, and triggers on them.
async fn tables(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let survey = Survey::of(db, names).await?;
    let mut diagnostics = Vec::new();
    let missing = survey.missing(names, &ALL);
    if !missing.is_empty() {
        diagnostics.push(Diagnostic::error(
            "tables",
            format!("missing, or not for this account to see: {}", missing.join(", ")),
            "let the owner of the tables run `tower-audit migrate`",
        ));
    }
    let inexact = survey.inexact(names);
    if !inexact.is_empty() {
        diagnostics.push(Diagnostic::error(
            "tables",
            format!("columns with a collation that takes one text for another: {}", inexact.join(", ")),
            "give the table its collation back: utf8mb4_nopad_bin on MariaDB, utf8mb4_0900_bin on MySQL",
        ));
    }
    let with_seal: Vec<&str> = ALL.into_iter().chain(SEAL_TABLES).collect();
    for (trigger, table) in schema::triggers(db, names, &with_seal).await? {
        diagnostics.push(Diagnostic::error(
            "tables",
            format!("the trigger {trigger} on {table} is not the log's, and can change or discard events"),
            format!("if nobody needs it, run `DROP TRIGGER {trigger}`"),
        ));
    }
    if diagnostics.is_empty() {
        diagnostics.push(Diagnostic::ok("tables", format!("version {CURRENT}")));
    }
    let missing: Vec<&str> = indexes::missing(db, names).await?.iter().map(|index| index.name).collect();
    diagnostics.push(if missing.is_empty() {
        Diagnostic::ok("indexes", "all of them")
    } else {
        Diagnostic::warning(
            "indexes",
            format!("missing: {}: what they are for takes as long as the log is", missing.join(", ")),
            "let the owner of the tables run `tower-audit migrate`, unless nobody asks for that",
        )
    });
    Ok(diagnostics)
}

/// The rights of this account to the events, as the server lists them.
async fn account(db: &mut MySqlConnection, names: &Identifiers) -> Result<Diagnostic, StoreError> {
    let name: String =
        sqlx::query_scalar("SELECT CAST(CURRENT_USER() AS CHAR)").fetch_one(&mut *db).await.during(DOING)?;
    let grants: Vec<String> = sqlx::query_scalar("SHOW GRANTS").fetch_all(db).await.during(DOING)?;
    let events = format!(".{}", quote_identifier(&names.unquoted("")));
    // `GRANT RIGHTS ON OBJECT TO ACCOUNT`; a grant of a role has no object.
    let can_change =
        grants.iter().filter_map(|grant| grant.strip_prefix("GRANT ")?.split_once(" ON ")).any(|(rights, on)| {
            let on = on.split_once(" TO ").map_or(on, |(object, _)| object);
            let is_of_events = on.ends_with(".*") || on.ends_with(&events);
            // Of some columns, as an eraser has it: `UPDATE (details, event)`.
            let can_change = |right: &str| {
                matches!(right, "ALL PRIVILEGES" | "UPDATE" | "DROP" | "ALTER" | "SUPER")
                    || right.starts_with("UPDATE (")
            };
            is_of_events && rights.split(", ").any(can_change)
        });
    Ok(if can_change {
        Diagnostic::warning(
            "account",
            format!("{name} can change events, or drop them with their table"),
            "give the app an account that may only append: `examples/mysql_roles.sql` has the statements",
        )
    } else {
        Diagnostic::ok("account", format!("{name} can neither change events nor drop their table"))
    })
}

async fn months(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let last = partition::months(db, names).await?.pop();
    let mut diagnostics = vec![match last {
        Some(last) if last > Month::now() => Diagnostic::ok("partitions", format!("ready up to {last}")),
        Some(last) => Diagnostic::warning(
            "partitions",
            format!("the last month is {last}: what comes after it is in p_later"),
            "let the owner of the tables run `tower-audit migrate`, at least twice a year",
        ),
        None => Diagnostic::warning(
            "partitions",
            "the table has no month as a partition: a purge deletes by the row",
            "none is lost; a log that is made anew has months",
        ),
    }];
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} PARTITION (p_later))", names.table());
    if let Some(true) =
        if_permitted(sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(db).await)?.map(|n| n != 0)
    {
        diagnostics.push(Diagnostic::warning(
            "partitions",
            "events are in p_later: no month covers their ids",
            "none is lost; `tower-audit migrate` moves those of a month that it makes",
        ));
    }
    Ok(diagnostics)
}

/// Counts open events of live writers and of dead ones.
async fn open(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Diagnostic>, StoreError> {
    let (started, writers) = (names.side_table(STARTED), names.side_table(WRITERS));
    let sql = format!(
        "SELECT COUNT(CASE WHEN NOT dead THEN 1 END), COUNT(CASE WHEN dead THEN 1 END) FROM \
         (SELECT w.has_left <> 0 OR {IS_FREE} AS dead FROM {started} s JOIN {writers} w ON w.id = s.writer) AS opened"
    );
    let Some(row) = if_permitted(sqlx::query(AssertSqlSafe(sql)).fetch_one(db).await)? else { return Ok(Vec::new()) };
    let (alive, dead): (i64, i64) = (row.try_get(0).during(DOING)?, row.try_get(1).during(DOING)?);
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

/// The answer, or none if this account may not ask, or if the table or its partition is missing.
fn if_permitted<T>(asked: Result<T, sqlx::Error>) -> Result<Option<T>, StoreError> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(number(&error), NO_SUCH_TABLE | NO_SUCH_PARTITION) => Ok(None),
        Err(error) => match from_driver(DOING, error) {
            error if error.kind() == StoreErrorKind::Denied => Ok(None),
            error => Err(error),
        },
    }
}

const NO_SUCH_PARTITION: u16 = 1735;
const DOING: &str = "inspecting the server";
