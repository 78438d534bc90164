//! Counts by value and by time: the sums over all sources.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::index_lookup::IndexLookup;
use super::open_events::OpenEvents;
use super::scan;
use super::select::Selection;
use super::source::{SourceRef, counted_sources, sources};
use crate::event::Timestamp;
use crate::query::{Buckets, Field, Filter, ValueCount};
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::IndexPart;
use crate::store::sqlite::segments::postings;
use crate::store::sqlite::segments::row_set::RowSet;
use crate::store::sqlite::segments::segment_row;
use crate::store::value_counts::ValueCounts;
use crate::store::{StoreError, StoreErrorKind};

pub(crate) async fn top_values(
    db: &mut SqliteConnection,
    filter: &Filter,
    by: Field,
    at_most: usize,
) -> Result<Vec<ValueCount>, StoreError> {
    if !Field::COUNTED.contains(&by) {
        return Err(StoreError::new(StoreErrorKind::Unsupported, "sqlite", DOING)
            .with_hint(format!("events are not counted by {by}")));
    }
    let open = OpenEvents::of(db, filter).await?;
    let selection = Selection { filter, after: None, open: &open };
    let mut found = ValueCounts::default();
    let mut lookup = IndexLookup::new(selection);
    let mut sources = sources(db, selection).await?;
    while let Some(source) = sources.pop_front() {
        match source.source_ref {
            SourceRef::Journal(_) => {
                scan::scan_journal(db, selection, source, &mut sources, usize::MAX, |event, _| {
                    found.add(event.value(by).as_deref(), 1);
                })
                .await?;
            }
            SourceRef::Segment(n) => {
                let rows = lookup.of(db, source, &sources).await?;
                if rows.as_ref().is_some_and(RowSet::is_empty) {
                    continue;
                }
                if !source.indexed {
                    segment_row::scan(db, n, "true", |row, event, _| {
                        if rows.as_ref().map_or_else(|| selection.contains(event), |rows| rows.contains(row)) {
                            found.add(event.value(by).as_deref(), 1);
                        }
                    })
                    .await?;
                    continue;
                }
                let rows = match rows {
                    rows if selection.contains_span(source.min_at, source.max_at) => rows,
                    rows => {
                        let mut within = scan::rows_within(db, selection, n).await?;
                        if let Some(rows) = rows {
                            within.intersect(&rows);
                        }
                        Some(within)
                    }
                };
                of_index(db, n, by, rows.as_ref(), &mut found).await?;
            }
        }
        if found.is_full() {
            break;
        }
    }
    found.top("sqlite", by, at_most)
}

/// Adds the counts of a segment's index, of these rows or of all.
async fn of_index(
    db: &mut SqliteConnection,
    n: i64,
    by: Field,
    rows: Option<&RowSet>,
    found: &mut ValueCounts,
) -> Result<(), StoreError> {
    let blocks: Vec<Vec<u8>> = sqlx::query_scalar("SELECT body FROM audit_postings WHERE n = ?1 AND field = ?2")
        .bind(n)
        .bind(IndexPart::Values(by).number())
        .fetch_all(db)
        .await
        .during(DOING)?;
    for block in blocks {
        postings::read(&block, |value, kept| {
            let events = rows.map_or(kept.len(), |rows| {
                let mut events = 0;
                kept.each(|row| events += u64::from(rows.contains(row)));
                events
            });
            if events > 0 {
                found.add(value, events);
            }
        })
        .during(DOING)?;
    }
    Ok(())
}

pub(crate) async fn histogram(
    db: &mut SqliteConnection,
    filter: &Filter,
    buckets: &Buckets,
) -> Result<Vec<u64>, StoreError> {
    let filter = buckets.confine(filter);
    let open = OpenEvents::of(db, &filter).await?;
    let selection = Selection { filter: &filter, after: None, open: &open };
    let mut counts = vec![0; buckets.len()];
    let mut put = |bucket: Option<usize>, events: u64| {
        if let Some(count) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
            *count += events;
        }
    };
    let mut lookup = IndexLookup::new(selection);
    let mut sources =
        if lookup.is_unconstrained() { counted_sources(db, selection).await? } else { sources(db, selection).await? };
    while let Some(source) = sources.pop_front() {
        let bucket_of = |micros| buckets.index_of(Timestamp::from_micros_clamped(micros));
        let (first, last) = (bucket_of(source.min_at), bucket_of(source.max_at));
        let is_one = first.is_some() && first == last && selection.contains_span(source.min_at, source.max_at);
        if let Some(events) = source.events_n.filter(|_| is_one && lookup.is_unconstrained()) {
            put(first, events);
            continue;
        }
        match source.source_ref {
            SourceRef::Journal(_) => {
                scan::scan_journal(db, selection, source, &mut sources, usize::MAX, |event, _| {
                    put(buckets.index_of(event.created_at), 1);
                })
                .await?;
            }
            SourceRef::Segment(n) => {
                let rows = lookup.of(db, source, &sources).await?;
                if let Some(rows) = rows.as_ref().filter(|rows| is_one || rows.is_empty()) {
                    put(first, rows.len());
                    continue;
                }
                let (start, width) = (buckets.start().as_micros(), buckets.width_micros());
                let select = selection.select(
                    &format!("CAST((created_at - {start}) / {width} AS INTEGER), count(*)"),
                    n,
                    rows.as_ref(),
                );
                let select = select.then(" GROUP BY 1");
                for row in select.query().fetch_all(&mut *db).await.during(DOING)? {
                    let (bucket, events): (i64, i64) = (row.try_get(0).during(DOING)?, row.try_get(1).during(DOING)?);
                    put(usize::try_from(bucket).ok(), u64::try_from(events).unwrap_or(0));
                }
            }
        }
    }
    Ok(counts)
}

const DOING: &str = "reading";
