//! The hot path: one batch, one commit, one sync.
//!
//! The values of a batch are bound as lists, one for each column, and unnested into rows: DuckDB takes one row of parameters a
//! statement.

use std::collections::{HashMap, HashSet};

use super::error::{DuringOperation as _, permanent};
use super::event_columns::columns;
use super::session::Session;
use super::shared_database::Writer;
use super::value::Value;
use crate::event::{AuditEvent, EventId, Phase};
use crate::store::StoreError;
use crate::store::sql::{TEXT_COLUMNS, text};

/// Appends the events that are not there yet, for the store of a number. Returns when all are durable.
pub(super) fn append(writer: &mut Writer, store: i64, batch: &Batch) -> Result<(), StoreError> {
    let known = known_ids(writer.session(DOING)?, &batch.ids())?;
    if known.len() == batch.rows.len() && batch.ended.is_empty() {
        // A read shows commits, the durability of the last of which may not be known.
        return writer.prove(DOING);
    }
    writer.commit_if_changed(DOING, |session| Ok(((), insert(session, store, batch, &known)?)))
}

/// Inserts a batch in the transaction that the session is in. Returns true if a row was inserted or deleted.
pub(super) fn insert(
    session: &mut Session,
    store: i64,
    batch: &Batch,
    known: &HashSet<EventId>,
) -> Result<bool, StoreError> {
    let new: Vec<&EventRow> = batch.rows.iter().filter(|row| !known.contains(&row.event.event_id)).collect();
    if !new.is_empty() {
        let inserted = session.run(DOING, &insert_sql(), values(&new))?.number(DOING)?;
        if inserted != new.len() as u64 {
            return Err(permanent(DOING).with_hint(format!("DuckDB inserted {inserted} of {} events", new.len())));
        }
    }
    let mut has_changed = !new.is_empty();
    if !batch.ended.is_empty() {
        has_changed |= delete_started(session, batch.ended.iter().copied(), DOING)? > 0;
    }
    let opened: Vec<&EventRow> = new.into_iter().filter(|row| batch.opens(row)).collect();
    if !opened.is_empty() {
        let sql = "INSERT INTO audit_events_started SELECT CAST(unnest($1) AS UUID), $2, unnest($3)";
        let texts = opened.iter().map(|row| Some(row.text.clone())).collect();
        let ids = Value::ids(opened.iter().map(|row| row.event.event_id));
        session.run(DOING, sql, vec![ids, Value::Number(store), Value::Texts(texts)])?;
    }
    Ok(has_changed)
}

/// The ids among these that are stored. A range lets DuckDB skip what is older.
pub(super) fn known_ids(session: &mut Session, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
    let (Some(least), Some(greatest)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
    let sql = "SELECT event_id FROM audit_events WHERE event_id BETWEEN $1 AND $2 \
               AND event_id IN (SELECT CAST(unnest($3) AS UUID))";
    let values = vec![Value::id(*least), Value::id(*greatest), Value::ids(ids.iter().copied())];
    session.run(DOING, sql, values)?.iter().map(|row| row.id(0, DOING)).collect()
}

/// Deletes the copies of `started` events and returns their number.
pub(super) fn delete_started(
    session: &mut Session,
    ids: impl Iterator<Item = EventId>,
    doing: &'static str,
) -> Result<u64, StoreError> {
    let sql = "DELETE FROM audit_events_started WHERE event_id IN (SELECT CAST(unnest($1) AS UUID))";
    session.run(doing, sql, vec![Value::ids(ids)])?.number(doing)
}

/// A batch, ready to be bound.
pub(super) struct Batch {
    rows: Vec<EventRow>,
    /// The `started` events that events of the batch end.
    ended: HashSet<EventId>,
}

/// An event with its texts.
struct EventRow {
    event: AuditEvent,
    text: String,
    details: String,
}

impl Batch {
    /// Of events with one id, the first stays.
    pub(super) fn of(events: &[AuditEvent]) -> Result<Self, StoreError> {
        let mut places = HashMap::new();
        let mut rows: Vec<EventRow> = Vec::with_capacity(events.len());
        for event in events {
            if places.insert(event.event_id, rows.len()).is_some() {
                continue;
            }
            let text = serde_json::to_string(event).during(DOING)?;
            let details = serde_json::to_string(&event.details).during(DOING)?;
            rows.push(EventRow { event: event.clone(), text, details });
        }
        let ends = events.iter().filter(|event| event.phase != Phase::Started);
        Ok(Self { rows, ended: ends.filter_map(|event| event.request.started_event_id).collect() })
    }

    pub(super) fn ids(&self) -> Vec<EventId> {
        self.rows.iter().map(|row| row.event.event_id).collect()
    }

    fn opens(&self, row: &EventRow) -> bool {
        row.event.phase == Phase::Started && !self.ended.contains(&row.event.event_id)
    }
}

fn insert_sql() -> String {
    let names: Vec<&str> = columns().collect();
    let values: Vec<String> = (1..)
        .zip(&names)
        .map(|(number, name)| match *name {
            "event_id" => format!("CAST(unnest(${number}) AS UUID)"),
            "details" => format!("CAST(unnest(${number}) AS JSON)"),
            _ => format!("unnest(${number})"),
        })
        .collect();
    format!("INSERT INTO audit_events ({}) SELECT {}", names.join(", "), values.join(", "))
}

/// The values in the order of [`columns`].
fn values(rows: &[&EventRow]) -> Vec<Value> {
    let texts = |text: fn(&EventRow) -> String| Value::Texts(rows.iter().map(|row| Some(text(row))).collect());
    let before = [
        Value::ids(rows.iter().map(|row| row.event.event_id)),
        texts(|row| row.event.event_type.as_str().to_owned()),
        Value::Times(rows.iter().map(|row| row.event.created_at).collect()),
        texts(|row| row.event.phase.as_str().to_owned()),
    ];
    let fields = TEXT_COLUMNS.into_iter().map(|(_, field)| {
        Value::Texts(rows.iter().map(|row| text(&row.event, field).map(|text| text.into_owned())).collect())
    });
    let after = [
        Value::TextLists(rows.iter().map(|row| row.event.targets.iter().map(ToString::to_string).collect()).collect()),
        Value::Integers(rows.iter().map(|row| row.event.outcome.map(i32::from)).collect()),
        texts(|row| row.details.clone()),
        texts(|row| row.text.clone()),
    ];
    before.into_iter().chain(fields).chain(after).collect()
}

const DOING: &str = "append";
