//! Selections as SQL statements.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::open_events::OpenEvents;
use crate::event::Phase;
use crate::query::{Condition, Cursor, Field, Filter, TextPattern};
use crate::store::sql::{BindValue, Clause, Dialect};
use crate::store::sqlite::event_columns::{EventColumns, column_name, text_column};
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::segments::row_set::RowSet;
use crate::store::sqlite::segments::segment_row::COLUMNS;

/// The events of `filter` that sort after `after`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) after: Option<Cursor>,
    /// The open events, if the filter is folded.
    pub(crate) open: &'a OpenEvents,
}

pub(crate) type SqliteQuery<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// `LIKE` would not tell upper case from lower case.
const DIALECT: Dialect = Dialect {
    text: text_column,
    digest: |_| None,
    detail: None,
    numbered: false,
    text_literal: None,
    compares_rows: true,
    like: "GLOB",
    wildcard: '*',
    literal: |c, pattern| match c {
        '*' | '?' | '[' => pattern.extend(['[', c, ']']),
        plain => pattern.push(plain),
    },
};

impl Selection<'_> {
    /// The earliest time that can be selected.
    pub(crate) fn earliest(&self) -> i64 {
        self.filter.since.map_or(i64::MIN, |since| since.as_micros())
    }

    /// The time from which on no event can be selected.
    pub(crate) fn end(&self) -> i64 {
        let until = self.filter.until.map_or(i64::MAX, |until| until.as_micros());
        // An event of the cursor's own moment may still come after it, by a smaller id.
        let after =
            self.after.map_or(i64::MAX, |after| after.created_at.as_micros() + i64::from(after.event_id.as_u128() > 0));
        until.min(after)
    }

    /// Returns true if the selection has every time of this span.
    pub(crate) fn contains_span(&self, min_at: i64, max_at: i64) -> bool {
        self.earliest() <= min_at
            && self.filter.until.is_none_or(|until| max_at < until.as_micros())
            && self.after.is_none_or(|after| max_at < after.created_at.as_micros())
    }

    /// Returns true if the event is selected.
    pub(crate) fn contains(&self, event: &EventColumns<'_>) -> bool {
        self.filter.matches_values(event)
            && self.after.is_none_or(|after| event.cursor() < after)
            && !self.is_folded(event.phase, event.event_id.as_u128())
    }

    /// Returns true if the event is shown by its end alone.
    pub(crate) fn is_folded(&self, phase: Phase, id: u128) -> bool {
        self.filter.folded && phase == Phase::Started && !self.open.contains(id)
    }

    /// Returns true if the filter has conditions that the columns of a segment cannot test.
    pub(crate) fn is_beyond_columns(&self) -> bool {
        let is_beyond = |(field, condition): (Field, &Condition<TextPattern>)| {
            !condition.is_empty() && column_name(field).is_none()
        };
        self.filter.folded
            || self.filter.texts().into_iter().any(is_beyond)
            || self.filter.details.values().any(|condition| !condition.is_empty())
    }

    /// Builds the SELECT of a segment's selected events, to be continued. `rows` are the rows that the index found:
    /// fields are then not tested again.
    pub(crate) fn select(&self, what: &str, n: i64, rows: Option<&RowSet>) -> Select {
        if let Some(rows) = rows {
            let of_any_time = Filter { since: self.filter.since, until: self.filter.until, ..Filter::default() };
            let clause = Clause::new(&DIALECT, &of_any_time, self.after);
            // In this order: the rows are looked up one by one, whatever else could be gone through.
            let sql = format!(
                "SELECT {what} FROM json_each(?) AS selection CROSS JOIN audit_segment_{n} ON seq = selection.value {}",
                clause.sql()
            );
            let listed: Vec<u32> = rows.iter().collect();
            return Select { sql, rows: Some(format!("{listed:?}")), values: clause.into_values() };
        }
        let clause = Clause::new(&DIALECT, self.filter, self.after);
        let sql = format!("SELECT {what} FROM audit_segment_{n} {}", clause.sql());
        Select { sql, rows: None, values: clause.into_values() }
    }

    /// Builds the SELECT of a segment's newest selected events; the last parameter is the limit. `is_frequent`: many
    /// rows match, and the segment has its indexes.
    pub(crate) fn newest(&self, part: Projection, n: i64, rows: Option<&RowSet>, is_frequent: bool) -> Select {
        let what = match (part, rows) {
            (Projection::Cursor, _) => "CAST(created_at AS INTEGER), event_id",
            (Projection::Columns, _) => COLUMNS,
            (Projection::Event, Some(_)) => "seq",
            (Projection::Event, None) => "event, created_at, event_id",
        };
        let select = if is_frequent { self.by_time(what, n) } else { self.select(what, n, rows) };
        // Numbers and text sort before every blob; `scan_strays` reads those rows. The plus keeps the planner from the
        // index of ids.
        let mut select = select.then(" AND +event_id > x'' ORDER BY created_at DESC, event_id DESC LIMIT ?");
        if part == Projection::Event {
            let from = match rows {
                // Sorts row numbers only, and reads the events of the first.
                Some(_) => format!("audit_segment_{n} WHERE seq IN ({})", select.sql),
                None => format!("({})", select.sql),
            };
            select.sql = format!(
                "SELECT '[' || group_concat(event) || ']', group_concat(created_at), group_concat(hex(event_id), '') FROM {from}"
            );
        }
        select
    }

    /// Builds the SELECT of time and row of each event within the selection's time, newest first, as one array; the last
    /// parameters are the limit and the number of entries to skip.
    pub(crate) fn rows_by_time(&self, n: i64) -> Select {
        let of_any_value = Filter { since: self.filter.since, until: self.filter.until, ..Filter::default() };
        let clause = Clause::new(&DIALECT, &of_any_value, None);
        let sql = format!(
            "SELECT json_group_array(json_array(created_at, seq)) FROM (SELECT created_at, seq FROM audit_segment_{n} \
             INDEXED BY audit_segment_{n}_time {} AND created_at <= {} ORDER BY created_at DESC LIMIT ? OFFSET ?)",
            clause.sql(),
            self.after.map_or(i64::MAX, |after| after.created_at.as_micros())
        );
        Select { sql, rows: None, values: clause.into_values() }
    }

    /// Selects through the index of times, for values that are frequent. The planner has no statistics, takes an
    /// equality for rare, and would sort all matches for a few rows.
    fn by_time(&self, what: &str, n: i64) -> Select {
        let clause = Clause::new(&DIALECT, self.filter, self.after);
        let sql = format!("SELECT {what} FROM audit_segment_{n} INDEXED BY audit_segment_{n}_time {}", clause.sql());
        Select { sql, rows: None, values: clause.into_values() }
    }
}

/// A statement's beginning and the values that are bound to it.
#[derive(Debug)]
pub(crate) struct Select {
    sql: String,
    rows: Option<String>,
    values: Vec<BindValue>,
}

/// The part of each event that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Projection {
    /// The whole event: one row has the array of all, because each row crosses to the driver's thread, and their times
    /// and ids, by which a foreign event is detected.
    Event,
    /// The whole event, one row each: [`COLUMNS`].
    Columns,
    /// Time and id, one row each.
    Cursor,
}

impl Select {
    /// Appends the end of the statement.
    pub(crate) fn then(mut self, end: &str) -> Self {
        self.sql.push_str(end);
        self
    }

    /// The statement with its values.
    pub(crate) fn query(&self) -> SqliteQuery<'_> {
        let mut query = sqlx::query(AssertSqlSafe(self.sql.as_str()));
        if let Some(rows) = &self.rows {
            query = query.bind(rows.as_str());
        }
        for value in &self.values {
            query = match value {
                BindValue::Text(text) => query.bind(text.as_str()),
                BindValue::Integer(integer) => query.bind(i64::from(*integer)),
                BindValue::Timestamp(moment) => query.bind(moment.as_micros()),
                BindValue::Id(id) => query.bind(id_bytes(id.as_u128())),
            };
        }
        query
    }
}
