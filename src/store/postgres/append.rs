//! The hot path: one batch, one statement, one commit.
//!
//! The values go as arrays: one exchange with the server, whatever the size of the batch, and one plan for all sizes.
//! A single event, as it comes while the log is quiet, is a row of plain values: less work for the server.
//! The server says how many rows it has inserted; an append is done when that is all of them, or the others were there.
//! There is no conflict target: to name one would need the right to read the ids, and the id is the only key.

use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::append_statements::Statements;
use super::column_arrays::{ColumnArrays, bind_one, changes_started};
use super::error::{
    DuringOperation as _, FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION, cause, from_driver, has_code, permanent, transient,
};
use super::identifiers::Identifiers;
use super::interfering_objects;
use super::session::{PgQuery, only};
use super::session_driver::WriterLease;
use crate::event::AuditEvent;
use crate::store::{Durability, StoreError};

/// Inserts the events that are not there yet. Succeeds when every event is there.
pub(super) async fn append(
    db: &mut PgConnection,
    names: &Identifiers,
    statements: &Statements,
    writer: &WriterLease,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let inserted = if events.iter().any(changes_started) {
        insert_with_effects(db, statements, writer, events).await?
    } else {
        insert(db, statements, events).await?
    };
    if inserted == events.len() as u64 { Ok(()) } else { confirm(db, names, statements, events).await }
}

/// Inserts events of which some open or end something, and says how many were new.
async fn insert_with_effects(
    db: &mut PgConnection,
    statements: &Statements,
    writer: &WriterLease,
    events: &[AuditEvent],
) -> Result<u64, StoreError> {
    let batch = ColumnArrays::of(events);
    // A started event belongs to a writer, whose lock shows the recovery of others that it lives.
    let id = if batch.any_started { Some(writer.id().await?) } else { None };
    let query = batch.bind_with_effects(sqlx::query(AssertSqlSafe(statements.insert_batch_and_started.clone())), id);
    match query.fetch_all(db).await {
        Ok(rows) => {
            let inserted: i64 = only(rows, DOING)?.try_get(0).during(DOING)?;
            Ok(inserted.cast_unsigned())
        }
        Err(error) if has_code(&error, FOREIGN_KEY_VIOLATION) => {
            // We were taken for dead, or the tables were made anew. Under another name we live.
            writer.forget();
            Err(transient(DOING).with_hint("this writer has to be registered again").with_source(cause(error)))
        }
        Err(error) => Err(from_driver(DOING, error)),
    }
}

/// Inserts events that neither open nor end anything, and says how many were new. Nearly always all of them are, so the
/// server is told to look for each whether it is there already only after it has found one that is: looking is an eighth
/// of its work.
async fn insert(db: &mut PgConnection, statements: &Statements, events: &[AuditEvent]) -> Result<u64, StoreError> {
    let sql = if events.len() == 1 { &statements.insert_one } else { &statements.insert_batch };
    let inserted = match bound(sqlx::query(AssertSqlSafe(Arc::clone(sql))), events).execute(&mut *db).await {
        Err(error) if has_code(&error, UNIQUE_VIOLATION) => {
            let sql = format!("{sql} ON CONFLICT DO NOTHING");
            bound(sqlx::query(AssertSqlSafe(sql)), events).execute(db).await
        }
        inserted => inserted,
    };
    Ok(inserted.during(DOING)?.rows_affected())
}

/// Looks for events that were not inserted: they are there already, or a trigger or a rule is in the way.
///
/// The commit of whoever inserted them may have been shown to us before a replica has them: its session was ended, or
/// its wait cancelled. So this is a transaction that writes, and its commit is durable only with all before it.
async fn confirm(
    db: &mut PgConnection,
    names: &Identifiers,
    statements: &Statements,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    let mut ids: Vec<Uuid> = events.iter().map(|event| event.event_id.into()).collect();
    ids.sort_unstable();
    ids.dedup();
    let sql = Arc::clone(&statements.count_durably);
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(&ids).fetch_all(&mut *db).await.during(DOING)?;
    let there: i64 = only(rows, DOING)?.try_get(0).during(DOING)?;
    let missing = ids.len() as u64 - there.cast_unsigned().min(ids.len() as u64);
    if missing == 0 {
        return Ok(());
    }
    interfering_objects::refuse_side_effects(db, names, Durability::Required, DOING).await?;
    Err(permanent(DOING).with_hint(format!(
        "the server refused nothing and did not insert {missing} of {} events: a further unique index on the log's table \
         discards them, or a trigger or a rule that is there no more; drop it",
        ids.len()
    )))
}

fn bound<'q>(query: PgQuery<'q>, events: &'q [AuditEvent]) -> PgQuery<'q> {
    match events {
        [event] => bind_one(query, event),
        _ => ColumnArrays::of(events).bind_columns(query),
    }
}

const DOING: &str = "append";
