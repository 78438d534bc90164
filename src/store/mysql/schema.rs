//! The tables: made, looked at, and made anew.
//!
//! A change of tables is no transaction here. So each step leaves what is there as it is, and a named lock lets one session
//! at a time make them.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::error::{DuringOperation as _, MISSING, NO_SUCH_TABLE, config, from_driver, number, transient};
use super::event_columns;
use super::identifiers::{Identifiers, SEAL_TABLES, STARTED, VERSION, WRITERS, quote_identifier};
use super::indexes::INDEXES;
use super::partition;
use super::session::{execute, marks};
use crate::event::Target;
use crate::store::StoreError;
use crate::store::sql::TEXT_COLUMNS;

/// The tables of a log in the database, by what the account can see of them.
pub(super) struct Survey {
    /// Table, column and collation.
    columns: Vec<(String, String, Option<String>)>,
    version: Option<i32>,
}

impl Survey {
    pub(super) async fn of(db: &mut MySqlConnection, names: &Identifiers) -> Result<Self, StoreError> {
        let columns = sqlx::query_as(
            "SELECT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR), CAST(COLLATION_NAME AS CHAR) \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN (?, ?, ?, ?)",
        )
        .bind(names.database())
        .bind(names.unquoted(""))
        .bind(names.unquoted(STARTED))
        .bind(names.unquoted(WRITERS))
        .bind(names.unquoted(VERSION))
        .fetch_all(&mut *db)
        .await
        .during(DOING)?;
        let mut survey = Self { columns, version: None };
        if survey.has(&names.unquoted(VERSION), "version") {
            let sql = format!("SELECT version FROM {} WHERE one = 1", names.side_table(VERSION));
            survey.version = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(db).await.during(DOING)?;
        }
        Ok(survey)
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.columns.iter().any(|(of, name, _)| of == table && name.eq_ignore_ascii_case(column))
    }

    fn has_table(&self, table: &str) -> bool {
        self.columns.iter().any(|(of, ..)| of == table)
    }

    /// The tables that are missing, and the columns missing of those that are there.
    pub(super) fn missing(&self, names: &Identifiers, tables: &[&str]) -> Vec<String> {
        let mut missing = Vec::new();
        for suffix in tables {
            let table = names.unquoted(suffix);
            if !self.has_table(&table) {
                missing.push(table);
                continue;
            }
            missing.extend(
                columns_of(suffix).filter(|column| !self.has(&table, column)).map(|column| format!("{table}.{column}")),
            );
        }
        if tables.contains(&VERSION) && missing.is_empty() && self.version.is_none() {
            missing.push(format!("the row of {}", names.unquoted(VERSION)));
        }
        missing
    }

    /// Columns whose collation would find a text by another.
    pub(super) fn inexact(&self, names: &Identifiers) -> Vec<String> {
        let exact = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin"];
        let events = names.unquoted("");
        let texts = self.columns.iter().filter(|(table, column, _)| {
            *table == events && columns_of("").any(|known| known.eq_ignore_ascii_case(column))
        });
        let inexact =
            texts.filter(|(.., collation)| collation.as_deref().is_some_and(|collation| !exact.contains(&collation)));
        inexact.map(|(_, column, _)| column.clone()).collect()
    }

    fn refuse_others(&self, names: &Identifiers) -> Result<(), StoreError> {
        let events = names.unquoted("");
        if self.has_table(&events) && !self.has(&events, "event_id") {
            return Err(config(format!(
                "the table {} belongs to another application: name another one by `?table=`",
                names.table()
            )));
        }
        match self.version {
            Some(version) if version != CURRENT => Err(config(format!(
                "the tables of the log have version {version}, and this program knows version {CURRENT}: use the program that \
                 made them, or a newer one"
            ))),
            _ => Ok(()),
        }
    }
}

/// An error that says what to do, unless events can be read and appended.
pub(super) async fn require(db: &mut MySqlConnection, names: &Identifiers) -> Result<(), StoreError> {
    require_tables(db, names, &ALL).await
}

/// An error that says what to do, unless events can be read.
pub(super) async fn require_to_read(db: &mut MySqlConnection, names: &Identifiers) -> Result<(), StoreError> {
    require_tables(db, names, &[""]).await
}

async fn require_tables(db: &mut MySqlConnection, names: &Identifiers, tables: &[&str]) -> Result<(), StoreError> {
    let survey = Survey::of(db, names).await?;
    survey.refuse_others(names)?;
    let missing = survey.missing(names, tables);
    if !missing.is_empty() {
        // An account without a right to a table does not see it.
        for suffix in tables {
            let sql = format!("SELECT 1 FROM {} LIMIT 0", names.side_table(suffix));
            match sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *db).await {
                Err(error) if number(&error) == NO_SUCH_TABLE => {}
                asked => drop(asked.during(DOING)?),
            }
        }
        return Err(config(MISSING).with_source(format!("missing: {}", missing.join(", "))));
    }
    let inexact = survey.inexact(names);
    if inexact.is_empty() {
        return Ok(());
    }
    Err(config(format!(
        "the columns {} of {} have a collation that takes one text for another: give the table its collation back, \
         utf8mb4_nopad_bin on MariaDB, utf8mb4_0900_bin on MySQL",
        inexact.join(", "),
        names.table()
    )))
}

/// Creates the missing parts, as far as this account may, before the log is used.
pub(super) async fn provide(db: &mut MySqlConnection, names: &Identifiers, is_mariadb: bool) -> Result<(), StoreError> {
    let survey = Survey::of(db, names).await?;
    survey.refuse_others(names)?;
    if survey.missing(names, &ALL).is_empty() { Ok(()) } else { create(db, names, is_mariadb).await }
}

/// Makes the tables, or what is missing of them, and leaves the rest as it is. Several may do it at once.
pub(super) async fn create(db: &mut MySqlConnection, names: &Identifiers, is_mariadb: bool) -> Result<(), StoreError> {
    lock(db, names).await?;
    let made = create_missing(db, names, is_mariadb).await;
    unlock(db, names).await?;
    made?;
    require(db, names).await
}

async fn create_missing(db: &mut MySqlConnection, names: &Identifiers, is_mariadb: bool) -> Result<(), StoreError> {
    let survey = Survey::of(db, names).await?;
    survey.refuse_others(names)?;
    for sql in statements(names, is_mariadb) {
        execute(db, sql).await?;
    }
    Ok(())
}

/// Drops every table, and makes them anew. Accounts keep their rights, which are those of a name.
pub(super) async fn recreate(
    db: &mut MySqlConnection,
    names: &Identifiers,
    is_mariadb: bool,
) -> Result<(), StoreError> {
    lock(db, names).await?;
    let made = async {
        Survey::of(db, names).await?.refuse_others(names)?;
        for suffix in SEAL_TABLES.into_iter().chain([STARTED, WRITERS, VERSION, ""]) {
            execute(db, format!("DROP TABLE IF EXISTS {}", names.side_table(suffix))).await?;
        }
        create_missing(db, names, is_mariadb).await
    };
    let made = made.await;
    unlock(db, names).await?;
    made
}

/// Lets one session at a time change the tables.
pub(super) async fn lock(db: &mut MySqlConnection, names: &Identifiers) -> Result<(), StoreError> {
    let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
        .bind(names.schema_lock())
        .bind(LOCK_SECONDS)
        .fetch_one(db)
        .await
        .during(DOING)?;
    match locked {
        Some(1) => Ok(()),
        _ => Err(transient(DOING).with_hint("another session is changing the tables of the log")),
    }
}

pub(super) async fn unlock(db: &mut MySqlConnection, names: &Identifiers) -> Result<(), StoreError> {
    sqlx::query("SELECT RELEASE_LOCK(?)").bind(names.schema_lock()).fetch_all(db).await.during(DOING).map(drop)
}

/// The options of every table.
pub(super) fn options(is_mariadb: bool) -> String {
    format!(
        "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE={}",
        if is_mariadb { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }
    )
}

/// The statements that make what is missing.
fn statements(names: &Identifiers, is_mariadb: bool) -> Vec<String> {
    let options = options(is_mariadb);
    let texts = TEXT_COLUMNS.map(|(column, field)| {
        let most = field.event_field().and_then(|field| field.max_bytes()).unwrap_or(128);
        format!("{column} VARCHAR({most}) NULL, ")
    });
    let indexes = INDEXES.map(|index| format!(", KEY {}", index.definition()));
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {} (event_id BINARY(16) NOT NULL, event_type VARCHAR(128) NOT NULL, \
             created_at DATETIME(6) NOT NULL, phase VARCHAR(128) NOT NULL DEFAULT 'completed', {}\
             target VARCHAR({}) NULL, all_targets MEDIUMTEXT NULL, outcome INT NULL, details LONGTEXT NULL, \
             event MEDIUMTEXT NULL, PRIMARY KEY (event_id){}) {options} {}",
            names.table(),
            texts.concat(),
            Target::MAX_TEXT_BYTES,
            indexes.concat(),
            partition::definition()
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id BIGINT NOT NULL PRIMARY KEY, retaken BIGINT NOT NULL DEFAULT 0, \
             has_left TINYINT NOT NULL DEFAULT 0) {options}",
            names.side_table(WRITERS)
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (event_id BINARY(16) NOT NULL PRIMARY KEY, writer BIGINT NOT NULL, \
             event MEDIUMTEXT NOT NULL, KEY writer (writer), CONSTRAINT {} FOREIGN KEY (writer) REFERENCES {} (id)) {options}",
            names.side_table(STARTED),
            quote_identifier(&names.unquoted("_started_writer")),
            names.side_table(WRITERS)
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (one TINYINT NOT NULL PRIMARY KEY, version INT NOT NULL, \
             commits BIGINT UNSIGNED NOT NULL DEFAULT 0) {options}",
            names.side_table(VERSION)
        ),
        format!("INSERT IGNORE INTO {} (one, version) VALUES (1, {CURRENT})", names.side_table(VERSION)),
    ]
}

/// Triggers on tables of the log, by the ends of their names, as far as the account may see them: name and table.
pub(super) async fn triggers(
    db: &mut MySqlConnection,
    names: &Identifiers,
    tables: &[&str],
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = format!(
        "SELECT CAST(TRIGGER_NAME AS CHAR), CAST(EVENT_OBJECT_TABLE AS CHAR) FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE IN ({})",
        marks(tables.len())
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(names.database());
    let query = tables.iter().fold(query, |query, suffix| query.bind(names.unquoted(suffix)));
    let rows = query.fetch_all(db).await.during(DOING)?;
    let pair = |row: &sqlx::mysql::MySqlRow| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(pair).collect::<Result<_, _>>().map_err(|error| from_driver(DOING, error))
}

/// The columns of a table, by the end of its name.
fn columns_of(suffix: &str) -> Box<dyn Iterator<Item = &'static str>> {
    match suffix {
        STARTED => Box::new(["event_id", "writer", "event"].into_iter()),
        WRITERS => Box::new(["id", "retaken", "has_left"].into_iter()),
        VERSION => Box::new(["one", "version", "commits"].into_iter()),
        _ => Box::new(event_columns::columns()),
    }
}

/// The ends of the names of all tables.
pub(super) const ALL: [&str; 4] = ["", STARTED, WRITERS, VERSION];
/// The version of the tables that this program reads and writes.
pub(super) const CURRENT: i32 = 1;
const DOING: &str = "preparing the tables";
/// Another session that makes the tables needs less.
const LOCK_SECONDS: i64 = 30;
