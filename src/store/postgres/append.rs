//! The hot path: one batch, one statement, one commit.
//!
//! The values go as arrays: one exchange with the server, whatever the size of the batch, and one plan for all sizes.
//! There is no conflict target: to name one would need the right to read the ids, and the id is the only key.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::batch::{Batch, COLUMNS};
use super::error::{Doing as _, FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION, is, of, transient};
use super::instance::Instance;
use super::names::{Names, OPEN};
use crate::event::AuditEvent;
use crate::store::StoreError;

/// Keeps the events that are not kept yet.
pub(super) async fn append(
    db: &mut PgConnection,
    names: &Names,
    instance: &Instance,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let batch = Batch::of(events);
    if !batch.has_effects() {
        return keep(db, names, events, batch).await;
    }
    // What is started is ours to end: whoever looks for orphans must be able to see that we live.
    let id = if batch.any_started { Some(instance.id().await?) } else { None };
    let query = batch.bind(sqlx::query(AssertSqlSafe(names.append_with_effects.clone())), id);
    match query.execute(db).await {
        Ok(_) => Ok(()),
        Err(error) if is(&error, FOREIGN_KEY_VIOLATION) => {
            // We were taken for dead, or the tables were made anew. Under another name we live.
            instance.forget();
            Err(transient(DOING).with_remedy("this writer has to be registered again").because(error))
        }
        Err(error) => Err(of(DOING, error)),
    }
}

/// Keeps events that neither open nor end anything. Nearly always all of them are new, so the server is told to look
/// for each whether it is there already only after it has found one that is: looking is an eighth of its work.
async fn keep(db: &mut PgConnection, names: &Names, events: &[AuditEvent], batch: Batch<'_>) -> Result<(), StoreError> {
    let query = batch.bind(sqlx::query(AssertSqlSafe(names.append.clone())), None);
    match query.execute(&mut *db).await {
        Ok(_) => Ok(()),
        Err(error) if is(&error, UNIQUE_VIOLATION) => {
            let sql = format!("{} ON CONFLICT DO NOTHING", names.append);
            let query = Batch::of(events).bind(sqlx::query(AssertSqlSafe(sql)), None);
            query.execute(db).await.map(drop).doing(DOING)
        }
        Err(error) => Err(of(DOING, error)),
    }
}

/// The statement for events that neither open nor end anything, of which none is kept yet.
pub(super) fn plain(names: &Names) -> String {
    format!("INSERT INTO {} ({}) {}", names.table(), columns(), rows("g."))
}

/// The statement for the others. A `started` event is open if it is new, and not ended by the same batch; all parts
/// of the statement see the tables as they were before it.
pub(super) fn with_effects(names: &Names) -> String {
    let (given, columns, open) = (rows("g."), columns(), names.beside(OPEN));
    let (ended, instance) = (COLUMNS.len() + 1, COLUMNS.len() + 2);
    format!(
        "WITH given AS MATERIALIZED ({given}), \
         kept AS (INSERT INTO {} ({columns}) SELECT {columns} FROM given ON CONFLICT DO NOTHING RETURNING event_id), \
         opened AS (INSERT INTO {open} (event_id, instance, event) \
            SELECT g.event_id, ${instance}::int8, g.event FROM given g JOIN kept USING (event_id) \
            WHERE g.phase = 'started' AND g.event_id <> ALL (${ended}::uuid[]) ON CONFLICT DO NOTHING) \
         DELETE FROM {open} WHERE event_id = ANY (${ended}::uuid[])",
        names.table()
    )
}

fn columns() -> String {
    COLUMNS.iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ")
}

/// The parameters as rows.
fn rows(alias: &str) -> String {
    let wanted = COLUMNS.iter().map(|(column, _)| match *column {
        "details" => format!("{alias}details::pg_catalog.jsonb AS details"),
        column => format!("{alias}{column}"),
    });
    let arrays = (1..).zip(COLUMNS).map(|(n, (_, kind))| format!("pg_catalog.unnest(${n}::pg_catalog.{kind}[])"));
    format!(
        "SELECT {} FROM ROWS FROM ({}) AS g({})",
        wanted.collect::<Vec<_>>().join(", "),
        arrays.collect::<Vec<_>>().join(", "),
        columns()
    )
}

const DOING: &str = "append";
