//! Sources: the journal rows and segments that a read has to look through.

use std::collections::VecDeque;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::select::Selection;
use crate::event::Timestamp;
use crate::query::Filter;
use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, permanent};
use crate::store::sqlite::journal::stored_row::{EVENTS_N, HAS_EVENTS, MAX_AT, MIN_AT};
use crate::store::sqlite::segments::segment::{self, FIRST_AT, LAST_AT};

/// A journal row or segment that may have selected events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) source_ref: SourceRef,
    /// The number of events; `None` if the row does not say.
    pub(crate) events_n: Option<u64>,
    pub(crate) min_at: i64,
    pub(crate) max_at: i64,
    /// True for a segment with an exact index.
    pub(crate) indexed: bool,
}

impl Source {
    /// Narrows a filter to the source's span. Rows with text for a time would be in every span without an end.
    pub(crate) fn narrow(&self, filter: &Filter) -> Filter {
        let first = Timestamp::from_micros_clamped(self.min_at);
        let end = Timestamp::from_micros(self.max_at.saturating_add(1));
        Filter {
            since: Some(filter.since.map_or(first, |since| since.max(first))),
            until: filter.until.into_iter().chain(end).min(),
            ..filter.clone()
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceRef {
    /// The row of the journal with this number.
    Journal(i64),
    /// The segment with this number.
    Segment(i64),
}

/// Lists the sources that may have selected events, the one with the newest event first. SQLite returns them as one
/// row, because each row crosses to the driver's thread.
pub(crate) async fn sources(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
) -> Result<VecDeque<Source>, StoreError> {
    list(db, selection, EVENTS_N).await
}

/// Lists the sources as [`sources`] does, for counts. The number of a journal row's events is that of its text.
pub(crate) async fn counted_sources(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
) -> Result<VecDeque<Source>, StoreError> {
    let counted = format!(
        "CASE WHEN json_valid(events) AND json_type(events) = 'array' \
         THEN max(({EVENTS_N}), json_array_length(events)) ELSE -1 END"
    );
    list(db, selection, &counted).await
}

async fn list(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    events_n: &str,
) -> Result<VecDeque<Source>, StoreError> {
    let sql = format!(
        "SELECT json_group_array(json_array(kind, number, events_n, min_at, max_at, indexed)) FROM (\
         SELECT 0 AS kind, seq AS number, {events_n} AS events_n, {MIN_AT} AS min_at, {MAX_AT} AS max_at, 0 AS indexed \
             FROM audit_journal WHERE {HAS_EVENTS} AND {MAX_AT} >= ?1 AND {MIN_AT} < ?2 \
         UNION ALL \
         SELECT 1, n, {}, {FIRST_AT} AS min_at, {LAST_AT} AS max_at, state = 2 \
             FROM audit_segments WHERE {LAST_AT} >= ?1 AND {FIRST_AT} < ?2)",
        segment::EVENTS_N,
    );
    let listed: String = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(selection.earliest())
        .bind(selection.end())
        .fetch_one(db)
        .await
        .during(DOING)?;
    let listed: Vec<(i64, i64, i64, i64, i64, Option<i64>)> = serde_json::from_str(&listed).during(DOING)?;
    if listed.iter().any(|(kind, number, ..)| *kind == 1 && *number < 1) {
        return Err(permanent(DOING).with_hint(
            "the list of segments names one that cannot be: `tower-audit migrate` makes the list anew from the segments",
        ));
    }
    let mut sources: Vec<Source> = listed
        .into_iter()
        .map(|(kind, number, events_n, min_at, max_at, indexed)| Source {
            source_ref: if kind == 0 { SourceRef::Journal(number) } else { SourceRef::Segment(number) },
            events_n: u64::try_from(events_n).ok(),
            min_at,
            max_at,
            indexed: indexed == Some(1),
        })
        .collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.max_at));
    Ok(sources.into())
}

const DOING: &str = "reading";
