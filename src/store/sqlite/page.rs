//! One page out of many tables: the sources are taken by their newest event, and as soon as the page is full, those
//! that cannot have anything newer than its last event are left alone.

use std::collections::{BTreeMap, VecDeque};

use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::candidates::Candidates;
use super::columns::Columns;
use super::error::Doing as _;
use super::rows::Rows;
use super::segment::id_of;
use super::traces::Traces;
use super::wanted::{Part, Wanted};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::Cursor;
use crate::store::StoreError;

/// A part of the log that may have wanted events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) place: Place,
    pub(super) events_n: i64,
    pub(super) min_at: i64,
    pub(super) max_at: i64,
    /// Whether it is a segment whose index is exact.
    pub(super) indexed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The row of the journal with this number.
    Journal(i64),
    /// The segment with this number.
    Segment(i64),
}

/// The sources that may have wanted events, the one with the newest event first: as one row, because each row is a
/// crossing of threads.
pub(super) async fn sources(db: &mut SqliteConnection, wanted: Wanted<'_>) -> Result<VecDeque<Source>, StoreError> {
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
    .doing(DOING)?;
    let listed: Vec<(i64, i64, i64, i64, i64, i64)> = serde_json::from_str(&listed).doing(DOING)?;
    let mut sources: Vec<Source> = listed
        .into_iter()
        .map(|(kind, number, events_n, min_at, max_at, indexed)| Source {
            place: if kind == 0 { Place::Journal(number) } else { Place::Segment(number) },
            events_n,
            min_at,
            max_at,
            indexed: indexed == 1,
        })
        .collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.max_at));
    Ok(sources.into())
}

/// The first events that are wanted, newest first.
pub(super) async fn events(
    db: &mut SqliteConnection,
    wanted: Wanted<'_>,
    limit: usize,
) -> Result<Vec<AuditEvent>, StoreError> {
    let of_journal = |_: &Columns<'_>, event: &RawValue| serde_json::from_str(event.get()).doing(DOING);
    let of_segment = |row: &SqliteRow| {
        let array: Option<&str> = row.try_get(0).doing(DOING)?;
        let events: Vec<AuditEvent> = serde_json::from_str(array.unwrap_or("[]")).doing(DOING)?;
        Ok(events.into_iter().map(|event| (Cursor::of(&event), event)).collect())
    };
    let found = newest(db, wanted, limit, of_journal, Part::Event, of_segment).await?;
    Ok(found.into_values().rev().collect())
}

/// The place of the `nth` event (from 1) that is wanted, or none if there are fewer.
pub(super) async fn nth(
    db: &mut SqliteConnection,
    wanted: Wanted<'_>,
    nth: usize,
) -> Result<Option<Cursor>, StoreError> {
    let of_segment = |row: &SqliteRow| {
        let created_at = Timestamp::from_micros_clamped(row.try_get(0).doing(DOING)?);
        let event_id = EventId::from_u128(id_of(row.try_get(1).doing(DOING)?).doing(DOING)?);
        Ok(vec![(Cursor { created_at, event_id }, ())])
    };
    let found = newest(db, wanted, nth, |_, _| Ok(()), Part::Place, of_segment).await?;
    Ok(if found.len() == nth { found.into_keys().next() } else { None })
}

/// The newest `limit` of what is wanted, by its place: what `of_journal` makes of an event in the journal, and
/// `of_segment` of a row that has this part of the events of a segment.
async fn newest<T>(
    db: &mut SqliteConnection,
    wanted: Wanted<'_>,
    limit: usize,
    of_journal: impl Fn(&Columns<'_>, &RawValue) -> Result<T, StoreError>,
    part: Part,
    of_segment: impl Fn(&SqliteRow) -> Result<Vec<(Cursor, T)>, StoreError>,
) -> Result<BTreeMap<Cursor, T>, StoreError> {
    let mut page = Page { found: BTreeMap::new(), limit };
    let mut candidates = Candidates::unless_many(wanted.filter, FEW_ROWS);
    let mut sources = sources(db, wanted).await?;
    // How many events of the journal are looked at in one statement: more, as long as the page does not fill.
    let mut about = limit.min(MOST_JOURNAL_EVENTS);
    while let Some(source) = sources.pop_front() {
        if page.is_complete_before(source) {
            break;
        }
        match source.place {
            Place::Journal(_) => {
                journal(db, wanted, source, &mut sources, about, |columns, event| {
                    if page.has_room_for(columns.place()) {
                        page.put(columns.place(), of_journal(columns, event)?);
                    }
                    Ok(())
                })
                .await?;
                about = (about * 4).min(MOST_JOURNAL_EVENTS);
            }
            Place::Segment(n) => {
                let mut rows = candidates.of(db, source, &sources).await?;
                if rows.as_ref().is_some_and(Rows::is_empty) {
                    continue;
                }
                // What is frequent is met soon by going through the segment in the order of time.
                let is_frequent = rows.take_if(|rows| rows.len() > FEW_ROWS).is_some();
                let (mut left, mut wanted) = (limit, wanted);
                while left > 0 {
                    let step = left.min(MOST_SEGMENT_EVENTS);
                    let select = wanted.newest(part, n, rows.as_ref(), is_frequent);
                    let mut found = Vec::with_capacity(step);
                    for row in select.query().bind(as_limit(step)).fetch_all(&mut *db).await.doing(DOING)? {
                        found.extend(of_segment(&row)?);
                    }
                    // Fewer than were asked for: there are no more.
                    left = if found.len() == step { left - step } else { 0 };
                    wanted.after = found.iter().map(|(place, _)| *place).min();
                    found.into_iter().for_each(|(place, item)| page.put(place, item));
                }
            }
        }
    }
    Ok(page.found)
}

/// Gives `visit` the wanted events of this row of the journal, and of as many rows after it as have about so many
/// events: a statement for each row would cost more than the events that are read in vain.
pub(super) async fn journal(
    db: &mut SqliteConnection,
    wanted: Wanted<'_>,
    first: Source,
    rest: &mut VecDeque<Source>,
    about: usize,
    mut visit: impl FnMut(&Columns<'_>, &RawValue) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let about = i64::try_from(about.min(MOST_JOURNAL_EVENTS)).unwrap_or(0);
    let mut seqs = Vec::new();
    let mut events_n = 0;
    let mut next = Some(first);
    while let Some(Source { place: Place::Journal(seq), events_n: more, .. }) = next {
        seqs.push(seq);
        events_n += more;
        next =
            if events_n < about { rest.pop_front_if(|source| matches!(source.place, Place::Journal(_))) } else { None };
    }
    let rows = sqlx::query(
        "SELECT events FROM audit_journal WHERE seq IN (SELECT value FROM json_each(?1)) ORDER BY seq DESC",
    )
    .bind(serde_json::to_string(&seqs).doing(DOING)?)
    .fetch_all(db)
    .await
    .doing(DOING)?;
    let traces = Traces::of(wanted.filter);
    for row in rows {
        let text: &str = row.try_get(0).doing(DOING)?;
        if !traces.are_in(text) {
            continue;
        }
        let events: Vec<&RawValue> = serde_json::from_str(text).doing(DOING)?;
        // The newest are usually the last: a page that is full with them decodes no other.
        for event in events.into_iter().rev().filter(|event| traces.are_in(event.get())) {
            let columns: Columns<'_> = serde_json::from_str(event.get()).doing(DOING)?;
            if wanted.takes(&columns) {
                visit(&columns, event)?;
            }
        }
    }
    Ok(())
}

/// The newest of what was put into it.
struct Page<T> {
    found: BTreeMap<Cursor, T>,
    limit: usize,
}

impl<T> Page<T> {
    fn put(&mut self, place: Cursor, item: T) {
        self.found.insert(place, item);
        if self.found.len() > self.limit {
            self.found.pop_first();
        }
    }

    /// Whether something at this place would stay.
    fn has_room_for(&self, place: Cursor) -> bool {
        self.found.len() < self.limit || self.found.first_key_value().is_some_and(|(last, _)| place > *last)
    }

    /// Whether nothing in the source could still come in.
    fn is_complete_before(&self, source: Source) -> bool {
        self.found.len() >= self.limit
            && self.found.first_key_value().is_none_or(|(last, _)| source.max_at < last.created_at.as_micros())
    }
}

pub(super) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

const DOING: &str = "reading";
/// How many events of a segment are read by one statement: 64 MiB at the most, where SQLite takes no text of 1 GB.
const MOST_SEGMENT_EVENTS: usize = 1024;
/// How many events of the journal are decoded at once.
const MOST_JOURNAL_EVENTS: usize = 2048;
/// Up to how many rows of a segment are looked up one by one.
pub(super) const FEW_ROWS: u64 = 1024;
