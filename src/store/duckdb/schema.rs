//! The tables: made, looked at, and made anew.

use super::error::{config, permanent};
use super::event_columns::columns;
use super::session::Session;
use crate::store::StoreError;

/// Makes what is missing, and refuses tables that are not the log's.
pub(super) fn provide(session: &mut Session) -> Result<(), StoreError> {
    if Survey::of(session, DOING)?.columns.is_empty() {
        return create(session);
    }
    // What is missing beside the events is made; a table of events is never changed.
    create(session)?;
    require(session, DOING)
}

/// Refuses a file without the log's tables, or with those of a later version or of another program.
pub(super) fn require(session: &mut Session, doing: &'static str) -> Result<(), StoreError> {
    let survey = Survey::of(session, doing)?;
    if survey.columns.is_empty() {
        return Err(config("the file has no audit log: `tower-audit init` makes one, or name another file"));
    }
    if let Some(version) = survey.version.filter(|version| *version > CURRENT) {
        return Err(config(format!(
            "the tables are of version {version}, and this program knows version {CURRENT}: update it"
        )));
    }
    let missing = survey.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let remedy = match survey.has("event") {
        true => "bring the column back as it was",
        false => {
            "the table is another program's, such as IVRE's: rename it, and give its events to `tower-audit import --from ivre`"
        }
    };
    Err(permanent(doing).with_hint(format!("`audit_events` has no column {}: {remedy}", missing.join(", "))))
}

pub(super) fn create(session: &mut Session) -> Result<(), StoreError> {
    session.transaction(DOING, |session| {
        session.run_all(DOING, &TABLES)?;
        let sql =
            format!("INSERT INTO audit_events_version SELECT {CURRENT} WHERE NOT EXISTS (FROM audit_events_version)");
        session.run(DOING, &sql, Vec::new()).map(drop)
    })
}

/// Drops the log's tables and makes them anew, in the transaction that the session is in.
pub(super) fn recreate(session: &mut Session) -> Result<(), StoreError> {
    session.run_all(
        DOING,
        &[
            "DROP TABLE IF EXISTS audit_events",
            "DROP TABLE IF EXISTS audit_events_started",
            "DROP TABLE IF EXISTS audit_events_version",
            "DROP SEQUENCE IF EXISTS seq_audit_events_id",
        ],
    )?;
    session.run_all(DOING, &TABLES)?;
    session.run(DOING, &format!("INSERT INTO audit_events_version VALUES ({CURRENT})"), Vec::new()).map(drop)
}

/// The log's tables in the file.
pub(super) struct Survey {
    /// The columns of the events' table; none without the table.
    columns: Vec<String>,
    pub(super) version: Option<i64>,
}

impl Survey {
    pub(super) fn of(session: &mut Session, doing: &'static str) -> Result<Self, StoreError> {
        let sql = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = current_database() \
                   AND schema_name = 'main' AND table_name IN ('audit_events', 'audit_events_version')";
        let (mut columns, mut has_version) = (Vec::new(), false);
        for row in session.run(doing, sql, Vec::new())?.iter() {
            match (row.text(0, doing)?, row.text(1, doing)?) {
                (Some("audit_events"), Some(column)) => columns.push(column.to_owned()),
                _ => has_version = true,
            }
        }
        let version = match has_version {
            true => {
                let rows = session.run(doing, "SELECT version FROM audit_events_version", Vec::new())?;
                rows.iter().next().map(|row| row.number(0, doing)).transpose()?.flatten()
            }
            false => None,
        };
        Ok(Self { columns, version })
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|there| there == column)
    }

    /// The columns that the table lacks.
    fn missing(&self) -> Vec<&'static str> {
        columns().filter(|column| !self.has(column)).collect()
    }
}

/// IVRE's columns under its names and in its order, then the further ones. IVRE's lengths are left out: DuckDB ignores them.
const TABLES: [&str; 4] = [
    "CREATE SEQUENCE IF NOT EXISTS seq_audit_events_id",
    "CREATE TABLE IF NOT EXISTS audit_events(\
        id BIGINT NOT NULL DEFAULT nextval('seq_audit_events_id'), \
        event_id UUID NOT NULL, \
        event_type VARCHAR NOT NULL, \
        created_at TIMESTAMP NOT NULL, \
        actor_user_email VARCHAR, \
        actor_api_key_hash VARCHAR, \
        actor_remote_addr VARCHAR, \
        resource_route VARCHAR, \
        resource_method VARCHAR, \
        details JSON, \
        outcome INTEGER, \
        phase VARCHAR NOT NULL DEFAULT 'completed', \
        event VARCHAR NOT NULL DEFAULT '', \
        actor_acting_for VARCHAR, \
        request_id VARCHAR, \
        request_uri VARCHAR, \
        trace_id VARCHAR, \
        domain VARCHAR, \
        action VARCHAR, \
        error VARCHAR, \
        targets VARCHAR[])",
    "CREATE TABLE IF NOT EXISTS audit_events_started(event_id UUID NOT NULL, writer BIGINT NOT NULL, event VARCHAR NOT NULL)",
    "CREATE TABLE IF NOT EXISTS audit_events_version(version INTEGER NOT NULL)",
];

/// The version of the tables.
pub(super) const CURRENT: i64 = 1;
const DOING: &str = "making the tables";
