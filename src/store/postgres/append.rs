//! The hot path: one batch, one statement, one commit.
//!
//! The values go as arrays: one exchange with the server, whatever the size of the batch, and one plan for all sizes.
//! A single event, as it comes while nobody else is there, is a row of plain values: less work for the server.
//! There is no conflict target: to name one would need the right to read the ids, and the id is the only key.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::batch::{Batch, COLUMNS, Query, bind_one, has_effects};
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
    if !events.iter().any(has_effects) {
        return keep(db, names, events).await;
    }
    let batch = Batch::of(events);
    // What is started is ours to end: whoever looks for orphans must be able to see that we live.
    let id = if batch.any_started { Some(instance.id().await?) } else { None };
    let query = batch.bind_with_effects(sqlx::query(AssertSqlSafe(names.append_with_effects.clone())), id);
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
async fn keep(db: &mut PgConnection, names: &Names, events: &[AuditEvent]) -> Result<(), StoreError> {
    let sql = if events.len() == 1 { &names.append_one } else { &names.append };
    match bound(sqlx::query(AssertSqlSafe(Arc::clone(sql))), events).execute(&mut *db).await {
        Ok(_) => Ok(()),
        Err(error) if is(&error, UNIQUE_VIOLATION) => {
            let sql = format!("{sql} ON CONFLICT DO NOTHING");
            bound(sqlx::query(AssertSqlSafe(sql)), events).execute(db).await.map(drop).doing(DOING)
        }
        Err(error) => Err(of(DOING, error)),
    }
}

fn bound<'q>(query: Query<'q>, events: &'q [AuditEvent]) -> Query<'q> {
    match events {
        [event] => bind_one(query, event),
        _ => Batch::of(events).bind_columns(query),
    }
}

/// The statement for events that neither open nor end anything, of which none is kept yet.
pub(super) fn plain(names: &Names) -> String {
    format!("INSERT INTO {} ({}) {}", names.table(), columns(), rows())
}

/// The same for one event.
pub(super) fn one(names: &Names) -> String {
    let values = (1..).zip(COLUMNS).map(|(n, (column, kind))| match *column {
        "details" => format!("${n}::pg_catalog.{kind}::pg_catalog.jsonb"),
        _ => format!("${n}::pg_catalog.{kind}"),
    });
    format!("INSERT INTO {} ({}) VALUES ({})", names.table(), columns(), values.collect::<Vec<_>>().join(", "))
}

/// The statement for the others. A `started` event is open if it is new, and not ended by the same batch; all parts
/// of the statement see the tables as they were before it.
pub(super) fn with_effects(names: &Names) -> String {
    let (given, columns, open) = (rows(), columns(), names.beside(OPEN));
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

/// The parameters as rows. Functions beside each other in a list of columns go through their arrays in step; after FROM,
/// each would first write its rows down, which costs the server a tenth of its work.
fn rows() -> String {
    let wanted = COLUMNS.iter().map(|(column, _)| match *column {
        "details" => "g.details::pg_catalog.jsonb AS details".to_owned(),
        column => format!("g.{column}"),
    });
    let arrays = (1..)
        .zip(COLUMNS)
        .map(|(n, (column, kind))| format!("pg_catalog.unnest(${n}::pg_catalog.{kind}[]) AS {column}"));
    format!(
        "SELECT {} FROM (SELECT {}) AS g",
        wanted.collect::<Vec<_>>().join(", "),
        arrays.collect::<Vec<_>>().join(", ")
    )
}

const DOING: &str = "append";
