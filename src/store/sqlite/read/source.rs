//! Sources: the journal rows and segments that a read has to look through.

use std::collections::VecDeque;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::select::Selection;
use crate::event::Timestamp;
use crate::query::Filter;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;

/// A journal row or segment that may have selected events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) source_ref: SourceRef,
    pub(crate) events_n: i64,
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
    // Values that somebody has changed are read as numbers, and times within the years of a timestamp.
    let time = |column: &str| {
        let (min, max) = (Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
        format!("max(min(CAST({column} AS INTEGER), {max}), {min})")
    };
    let sql = format!(
        "SELECT json_group_array(json_array(kind, number, events_n, min_at, max_at, indexed)) FROM (\
         SELECT 0 AS kind, seq AS number, CAST(events_n AS INTEGER) AS events_n, {} AS min_at, {} AS max_at, \
             0 AS indexed FROM audit_journal \
         UNION ALL \
         SELECT 1, n, CAST(events_n AS INTEGER), {}, {}, state = 2 FROM audit_segments) \
         WHERE events_n > 0 AND max_at >= ?1 AND min_at < ?2",
        time("min_at"),
        time("max_at"),
        time("first_at"),
        time("last_at"),
    );
    let listed: String = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(selection.earliest())
        .bind(selection.end())
        .fetch_one(db)
        .await
        .during(DOING)?;
    let listed: Vec<(i64, i64, i64, i64, i64, i64)> = serde_json::from_str(&listed).during(DOING)?;
    let mut sources: Vec<Source> = listed
        .into_iter()
        .map(|(kind, number, events_n, min_at, max_at, indexed)| Source {
            source_ref: if kind == 0 { SourceRef::Journal(number) } else { SourceRef::Segment(number) },
            events_n,
            min_at,
            max_at,
            indexed: indexed == 1,
        })
        .collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.max_at));
    Ok(sources.into())
}

const DOING: &str = "reading";
