//! Sources: the journal rows and segments that a read has to look through.

use std::collections::VecDeque;

use sqlx::sqlite::SqliteConnection;

use super::select::Selection;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;

/// A part of the log that may have wanted events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) source_ref: SourceRef,
    pub(crate) events_n: i64,
    pub(crate) min_at: i64,
    pub(crate) max_at: i64,
    /// Whether it is a segment whose index is exact.
    pub(crate) indexed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceRef {
    /// The row of the journal with this number.
    Journal(i64),
    /// The segment with this number.
    Segment(i64),
}

/// The sources that may have wanted events, the one with the newest event first: as one row, because each row is a
/// crossing of threads.
pub(crate) async fn sources(db: &mut SqliteConnection, wanted: Selection<'_>) -> Result<VecDeque<Source>, StoreError> {
    let listed: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(kind, number, events_n, min_at, max_at, indexed)) FROM (\
         SELECT 0 AS kind, seq AS number, events_n, min_at, max_at, 0 AS indexed FROM audit_journal \
             WHERE events_n > 0 AND max_at >= ?1 AND min_at < ?2 \
         UNION ALL \
         SELECT 1, n, events_n, first_at, last_at, state = 2 FROM audit_segments \
             WHERE events_n > 0 AND last_at >= ?1 AND first_at < ?2)",
    )
    .bind(wanted.earliest())
    .bind(wanted.end())
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
