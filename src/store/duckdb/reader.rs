//! Reads: one statement each, so one snapshot.

use super::blocking_read::read;
use super::dialect::clause;
use super::error::NAME;
use super::event_columns::text_column;
use super::row::{MICROS, columns, event_of, nearest};
use super::session::Session;
use super::store::DuckdbStore;
use super::value::{Row, Value};
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, TextPattern, ValueCount};
use crate::store::sql::TextColumn;
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for DuckdbStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(self.list(query, DOING))
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let (condition, values) = clause(filter, None);
            let sql = format!("SELECT count(*) FROM audit_events {condition}");
            read(self.engine(DOING)?, DOING, move |session| session.run(DOING, &sql, values)?.number(DOING)).await
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let TextColumn::One(column) = text_column(by) else { return Err(uncounted(by)) };
            let (condition, values) = clause(filter, None);
            let sql = format!(
                "SELECT CAST({column} AS VARCHAR) AS counted, count(*) AS events FROM audit_events {condition} \
                 GROUP BY counted ORDER BY events DESC, counted IS NULL, counted LIMIT {at_most}",
            );
            read(self.engine(DOING)?, DOING, move |session| {
                let rows = session.run(DOING, &sql, values)?;
                let value_count = |row: Row<'_>| -> Result<ValueCount, StoreError> {
                    let value = row.text(0, DOING)?.map(str::to_owned);
                    Ok(ValueCount { value, count: number(&row, 1)? })
                };
                rows.iter().map(value_count).collect()
            })
            .await
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let (condition, values) = clause(&buckets.confine(filter), None);
            // A row with a time before the first one that an event can have counts as one of that time.
            let sql = format!(
                "SELECT greatest(epoch_us(created_at) - {}, 0) // {} AS bucket, count(*) FROM audit_events {condition} GROUP BY bucket",
                buckets.start().as_micros(),
                buckets.width_micros(),
            );
            let mut counts = vec![0; buckets.len()];
            read(self.engine(DOING)?, DOING, move |session| {
                for row in session.run(DOING, &sql, values)?.iter() {
                    let bucket = usize::try_from(number(&row, 0)?).unwrap_or(usize::MAX);
                    if let Some(count) = counts.get_mut(bucket) {
                        *count += number(&row, 1)?;
                    }
                }
                Ok(counts)
            })
            .await
        })
    }

    /// A whole value, or one that begins as the pattern does, is compared in its column alone, of which DuckDB skips the parts that
    /// cannot have it. Other patterns read the text of every event, and of a detail its JSON is parsed.
    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        let is_range = |pattern: &TextPattern| {
            *pattern == TextPattern::any()
                || pattern.as_exact().is_some()
                || pattern.literals().first().is_some_and(|literal| !literal.is_empty())
        };
        let by_text = filter.texts().into_iter().filter(|(_, condition)| !condition.included().iter().all(is_range));
        let has_details = filter.details.values().any(|condition| !condition.is_empty());
        by_text.map(|(field, _)| field.as_str()).chain(has_details.then_some("detail")).collect()
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(self.find(id, None))
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(self.find(id, Some(user_email)))
    }
}

impl DuckdbStore {
    /// A page of events, or of their positions.
    pub(super) async fn list<T: Listed>(&self, query: &PageQuery, doing: &'static str) -> Result<Vec<T>, StoreError> {
        let engine = self.engine(doing)?;
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let (condition, values) = clause(&query.filter, query.after);
        let sql = format!(
            "SELECT {columns} FROM audit_events AS e {condition} \
             ORDER BY e.created_at DESC, e.event_id DESC LIMIT {limit} OFFSET {skip}",
            columns = T::columns(),
            limit = i64::try_from(query.limit).unwrap_or(i64::MAX),
            skip = i64::try_from(query.skip).unwrap_or(i64::MAX),
        );
        read(engine, doing, move |session| {
            session.run(doing, &sql, values)?.iter().map(|row| T::of_row(&row, doing)).collect()
        })
        .await
    }

    async fn find(&self, id: EventId, user_email: Option<&str>) -> Result<Option<AuditEvent>, StoreError> {
        let of_user = if user_email.is_some() { " AND e.actor_user_email = $2" } else { "" };
        let sql = format!("SELECT {} FROM audit_events AS e WHERE e.event_id = $1{of_user}", columns());
        let mut values = vec![Value::id(id)];
        values.extend(user_email.map(|user_email| Value::Text(user_email.to_owned())));
        read(self.engine(DOING)?, DOING, move |session: &mut Session| {
            let rows = session.run(DOING, &sql, values)?;
            rows.iter().next().map(|row| event_of(&row, DOING)).transpose()
        })
        .await
    }
}

/// An event of a listing, or its position.
pub(super) trait Listed: Sized + Send + 'static {
    /// The columns that it is read from, of the table `e`.
    fn columns() -> String;

    fn of_row(row: &Row<'_>, doing: &'static str) -> Result<Self, StoreError>;
}

impl Listed for AuditEvent {
    fn columns() -> String {
        columns()
    }

    fn of_row(row: &Row<'_>, doing: &'static str) -> Result<Self, StoreError> {
        event_of(row, doing)
    }
}

impl Listed for Cursor {
    fn columns() -> String {
        format!("e.event_id, {MICROS}")
    }

    fn of_row(row: &Row<'_>, doing: &'static str) -> Result<Self, StoreError> {
        let (created_at, _) = nearest(row.number(1, doing)?);
        Ok(Self { created_at, event_id: row.id(0, doing)? })
    }
}

fn number(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    Ok(row.number(column, DOING)?.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}

fn uncounted(by: Field) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, NAME, DOING).with_hint(format!("events are not counted by `{by}`"))
}

const DOING: &str = "reading";
