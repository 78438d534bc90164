//! The statements of the hot path, built once for a log.

use std::sync::Arc;

use super::event_columns::{COLUMN_COUNT, ERASABLE, columns, stored};
use super::identifiers::{Identifiers, STARTED, quote_literal};
use crate::store::Durability;

/// The statements that insert events.
///
/// Told to be durable, they insert nothing while a table of the log has a trigger or a rule: it could delete an event in the
/// transaction that acknowledges it. The server looks for one in its catalog, once a statement, after it has locked the table
/// against changes of that kind.
#[derive(Debug, Clone)]
pub(super) struct Statements {
    /// Inserts a batch that starts and ends no request.
    pub(super) insert_batch: Arc<str>,
    /// Inserts one event that starts and ends no request.
    pub(super) insert_one: Arc<str>,
    /// Inserts a batch and keeps the list of open events.
    pub(super) insert_batch_and_started: Arc<str>,
    /// Inserts one event in a transaction of the app's.
    pub(super) insert_in_transaction: Arc<str>,
    /// Counts the events of some ids, in a transaction that writes.
    pub(super) count_durably: Arc<str>,
}

impl Statements {
    pub(super) fn new(names: &Identifiers, durability: Durability) -> Self {
        let guard = |tables: &[&str]| match durability {
            Durability::Required => no_side_effects(names, tables),
            Durability::Warn => "true".to_owned(),
        };
        let (of_events, of_both) = (guard(&[""]), guard(&["", STARTED]));
        Self {
            insert_batch: insert_batch(names, &of_events).into(),
            insert_one: insert_one(names, &of_events).into(),
            insert_batch_and_started: insert_batch_and_started(names, &of_both).into(),
            insert_in_transaction: insert_in_transaction(names, &of_both).into(),
            count_durably: count_durably(names).into(),
        }
    }
}

/// True if none of these tables, nor a partition of the first, has an enabled trigger or rule that is not the log's own. It
/// depends on no row, so the server evaluates it once a statement, by indexes of its catalog.
fn no_side_effects(names: &Identifiers, tables: &[&str]) -> String {
    let oid =
        |suffix: &&str| format!("{}::pg_catalog.regclass::pg_catalog.oid", quote_literal(&names.side_table(suffix)));
    let oids: Vec<_> = tables.iter().map(oid).collect();
    let rows: Vec<_> = oids.iter().map(|oid| format!("({oid})")).collect();
    let (events, oids, rows) = (&oids[0], oids.join(", "), rows.join(", "));
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (ARRAY(SELECT i.inhrelid \
            FROM pg_catalog.pg_inherits i WHERE i.inhparent = {events} UNION ALL VALUES {rows})) \
            AND NOT t.tgisinternal AND t.tgenabled <> 'D') \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY (ARRAY[{oids}]) AND r.ev_enabled <> 'D')"
    )
}

/// Has no `ON CONFLICT`: nearly always none of the ids is there yet.
fn insert_batch(names: &Identifiers, guard: &str) -> String {
    format!("INSERT INTO {} ({}) {} WHERE {guard}", names.table(), column_list(), rows())
}

fn insert_one(names: &Identifiers, guard: &str) -> String {
    let values = (1..).zip(columns()).map(|(n, (column, kind))| stored(column, &format!("${n}::pg_catalog.{kind}")));
    let values = values.collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {} ({}) SELECT {values} WHERE {guard}", names.table(), column_list())
}

/// Every part of the statement sees the tables as they were before it. So a `started` event becomes an open one only if it
/// is new and no event of the batch ends it. The row of the answer is the number of new events.
fn insert_batch_and_started(names: &Identifiers, guard: &str) -> String {
    let (given, columns, started) = (rows(), column_list(), names.side_table(STARTED));
    let (ended, writer) = (COLUMN_COUNT + 1, COLUMN_COUNT + 2);
    format!(
        "WITH given AS MATERIALIZED ({given} WHERE {guard}), \
         kept AS (INSERT INTO {} ({columns}) SELECT {columns} FROM given ON CONFLICT DO NOTHING RETURNING event_id), \
         opened AS (INSERT INTO {started} (event_id, writer, event) \
            SELECT g.event_id, ${writer}::int8, g.event FROM given g JOIN kept USING (event_id) \
            WHERE g.phase = 'started' AND g.event_id <> ALL (${ended}::uuid[]) ON CONFLICT DO NOTHING), \
         closed AS (DELETE FROM {started} WHERE event_id = ANY (${ended}::uuid[]) AND EXISTS (SELECT FROM given)) \
         SELECT pg_catalog.count(*) FROM kept",
        names.table()
    )
}

/// Replaces the values of events that an erasure may blank, and no others. The parameters are those of a batch.
pub(super) fn erase_batch(names: &Identifiers) -> String {
    let set: Vec<String> = ERASABLE.iter().map(|column| format!("{column} = g.{column}")).collect();
    format!("UPDATE {} AS e SET {} FROM ({}) AS g WHERE e.event_id = g.event_id", names.table(), set.join(", "), rows())
}

/// The row of the answer is 1 if the event is new. Needs no more rights than an append.
fn insert_in_transaction(names: &Identifiers, guard: &str) -> String {
    format!(
        "WITH kept AS ({} ON CONFLICT DO NOTHING RETURNING 1), ended AS (DELETE FROM {} WHERE event_id = ${}::pg_catalog.uuid) \
         SELECT pg_catalog.count(*) FROM kept",
        insert_one(names, guard),
        names.side_table(STARTED),
        COLUMN_COUNT + 1
    )
}

fn count_durably(names: &Identifiers) -> String {
    format!("SELECT pg_catalog.count(*), {COMMIT_MARK} FROM {} WHERE event_id = ANY ($1)", names.table())
}

fn column_list() -> String {
    columns().map(|(column, _)| column).collect::<Vec<_>>().join(", ")
}

/// The parameters as rows. `unnest` calls beside each other in the select list step through their arrays together; in
/// `FROM`, each would first materialize its rows, a tenth of the server's work.
fn rows() -> String {
    let selected = columns().map(|(column, _)| format!("{} AS {column}", stored(column, &format!("g.{column}"))));
    let arrays = (1..)
        .zip(columns())
        .map(|(n, (column, kind))| format!("pg_catalog.unnest(${n}::pg_catalog.{kind}[]) AS {column}"));
    format!(
        "SELECT {} FROM (SELECT {}) AS g",
        selected.collect::<Vec<_>>().join(", "),
        arrays.collect::<Vec<_>>().join(", ")
    )
}

/// Makes a transaction write: an empty message in the server's write-ahead log, and no row.
pub(super) const COMMIT_MARK: &str = "pg_catalog.pg_logical_emit_message(true, 'tower-audit', '')::pg_catalog.text";
