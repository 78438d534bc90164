//! The facts that an operator should know beyond health: the library, the tables, the write-ahead log, open events.

use std::os::unix::fs::PermissionsExt as _;

use super::schema::{CURRENT, Survey};
use super::shared_database::{Engine, Writer};
use super::wal::wal_of;
use crate::store::mount::Mount;
use crate::store::{Diagnostic, StoreError};

pub(super) fn inspect(writer: &mut Writer, engine: &Engine) -> Result<Vec<Diagnostic>, StoreError> {
    let session = writer.session(DOING)?;
    let rows = session.run(
        DOING,
        "SELECT version(), current_setting('memory_limit'), current_setting('threads')::VARCHAR",
        Vec::new(),
    )?;
    let mut diagnostics = Vec::new();
    if let Some(row) = rows.iter().next() {
        let text = |column| -> Result<&str, StoreError> { Ok(row.text(column, DOING)?.unwrap_or_default()) };
        diagnostics.push(Diagnostic::ok(
            "library",
            format!("DuckDB {}, at most {} of memory, {} threads", text(0)?, text(1)?, text(2)?),
        ));
    }
    let survey = Survey::of(session, DOING)?;
    diagnostics.push(match survey.version {
        Some(version) => Diagnostic::ok("tables", format!("version {version}")),
        None => Diagnostic::warning(
            "tables",
            format!("the number of their version is missing; this program knows version {CURRENT}"),
            "run `tower-audit migrate`",
        ),
    });
    let sql = "SELECT count(*) FROM (SELECT event_id FROM audit_events GROUP BY event_id HAVING count(*) > 1)";
    let repeated = session.run(DOING, sql, Vec::new())?.number(DOING)?;
    if repeated > 0 {
        diagnostics.push(Diagnostic::error(
            "ids",
            format!("{repeated} ids are of several events: another program has inserted them"),
            "let no other program write to the table",
        ));
    }
    if let Some(file_system) = Mount::of(&engine.path).as_ref().and_then(Mount::volatile_file_system) {
        diagnostics.push(Diagnostic::error(
            "disk",
            format!("the file is on {file_system}, in memory: a restart of the machine loses it"),
            "put it on a disk",
        ));
    }
    let wal = wal_of(&engine.path);
    if let Ok(metadata) = std::fs::metadata(&wal) {
        let mode = metadata.permissions().mode() & 0o777;
        diagnostics.push(match mode & 0o004 {
            0 => Diagnostic::ok("write-ahead log", format!("{} bytes", metadata.len())),
            _ => Diagnostic::warning(
                "write-ahead log",
                format!("{} has mode {mode:04o}: every user of this machine can read events", wal.display()),
                "chmod o= the file",
            ),
        });
    }
    diagnostics.extend(open(writer, engine)?);
    Ok(diagnostics)
}

/// Counts open events of open stores and of others.
fn open(writer: &mut Writer, engine: &Engine) -> Result<Option<Diagnostic>, StoreError> {
    let rows = writer.session(DOING)?.run(
        DOING,
        "SELECT writer, count(*) FROM audit_events_started GROUP BY writer",
        Vec::new(),
    )?;
    let (mut alive, mut dead) = (0, 0);
    for row in rows.iter() {
        let (number, count) = (row.number(0, DOING)?.unwrap_or_default(), row.number(1, DOING)?.unwrap_or_default());
        *(if engine.is_registered(number) { &mut alive } else { &mut dead }) += count;
    }
    Ok(match (alive, dead) {
        (0, 0) => None,
        (_, 0) => Some(Diagnostic::ok("open", format!("{alive} requests or purges have started and not ended"))),
        _ => Some(Diagnostic::warning(
            "open",
            format!("{dead} requests or purges have started and not ended, of a process that has ended"),
            "the next log that opens closes them as `unknown`: start the service",
        )),
    })
}

const DOING: &str = "inspecting the file";
