//! Scan: one page out of many sources. They are visited by their newest event, until none can have an event newer than
//! the last of a full page.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::value::RawValue;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::index_lookup::IndexLookup;
use super::prefilter::Prefilter;
use super::select::{Projection, Selection};
use super::source::{Source, SourceRef, sources};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::Cursor;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::EventColumns;
use crate::store::sqlite::journal::stored_row::{COLUMNS, StoredEvent, StoredRow};
use crate::store::sqlite::segments::row_set::RowSet;
use crate::store::sqlite::segments::segment_row::{self, COLUMNS_AFTER_CURSOR, place_of};
use crate::store::{StoreError, StoredPage};

/// Returns the newest selected events, newest first.
pub(crate) async fn events(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    limit: usize,
) -> Result<Vec<AuditEvent>, StoreError> {
    let of_journal = |columns: &EventColumns<'_>, text: &str| columns.event(text);
    let of_segment = |row: &SqliteRow| {
        // An event that its own text keeps out of the filter was selected by columns that say otherwise.
        let whole = events_of(row)?;
        Ok(whole.filter(|events| events.iter().all(|(_, event)| selection.filter.matches(event))))
    };
    let found = scan_newest(db, selection, limit, of_journal, Projection::Event, of_segment).await?;
    Ok(found.into_values().rev().collect())
}

/// Returns the texts of the newest selected events, newest first; `None` if one of them contradicts its columns.
pub(crate) async fn texts(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    limit: usize,
) -> Result<Option<StoredPage>, StoreError> {
    let is_whole = AtomicBool::new(true);
    // An event of the journal is as it is shown.
    let of_journal = |columns: &EventColumns<'_>, text: &str| {
        let shown = serde_json::to_string(&columns.event(text)).unwrap_or_default();
        shown.into_boxed_str()
    };
    let of_segment = |row: &SqliteRow| {
        let texts = texts_of(row);
        is_whole.fetch_and(texts.is_some(), Ordering::Relaxed);
        // None of them is shown.
        Ok(Some(texts.unwrap_or_default()))
    };
    let found = scan_newest(db, selection, limit, of_journal, Projection::Event, of_segment).await?;
    Ok(is_whole.into_inner().then(|| StoredPage::new(found.into_iter().rev().collect())))
}

/// Returns the position of the `nth` selected event (from 1), or `None` if there are fewer.
pub(crate) async fn nth(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    nth: usize,
) -> Result<Option<Cursor>, StoreError> {
    let found = positions(db, selection, nth).await?;
    Ok(if found.len() == nth { found.last().copied() } else { None })
}

/// Returns the positions of the newest selected events, newest first.
pub(crate) async fn positions(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    limit: usize,
) -> Result<Vec<Cursor>, StoreError> {
    let of_segment = |row: &SqliteRow| Ok(Some(vec![(place_of(row, 0, 1)?, ())]));
    let found = scan_newest(db, selection, limit, |_, _| (), Projection::Cursor, of_segment).await?;
    Ok(found.into_keys().rev().collect())
}

/// Collects the newest `limit` events by position. `of_columns` converts a journal event, `of_segment` a row of this
/// projection. If that returns `None`, an event cannot be decoded, and the events are read one by one.
async fn scan_newest<T>(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    limit: usize,
    of_columns: impl Fn(&EventColumns<'_>, &str) -> T,
    part: Projection,
    of_segment: impl Fn(&SqliteRow) -> Result<Option<Vec<(Cursor, T)>>, StoreError>,
) -> Result<BTreeMap<Cursor, T>, StoreError> {
    let mut page = NewestEvents { found: BTreeMap::new(), limit };
    let mut lookup = IndexLookup::with_row_limit(selection, MAX_POINT_READS);
    let mut sources = sources(db, selection).await?;
    // The number of journal events in one statement: it grows while the page is not full.
    let mut about = limit.min(MOST_JOURNAL_EVENTS);
    while let Some(source) = sources.pop_front() {
        if page.is_complete_before(source) {
            break;
        }
        match source.source_ref {
            SourceRef::Journal(_) => {
                scan_journal(db, selection, source, &mut sources, about, |columns, event| {
                    if page.has_room_for(columns.cursor()) {
                        page.put(columns.cursor(), of_columns(columns, event));
                    }
                })
                .await?;
                about = (about * 4).min(MOST_JOURNAL_EVENTS);
            }
            SourceRef::Segment(n) => {
                let mut rows = lookup.of(db, source, &sources).await?;
                if rows.as_ref().is_some_and(RowSet::is_empty) {
                    continue;
                }
                // Frequent values: a walk in the order of time meets enough of them soon.
                let frequent = rows.take_if(|rows| source.indexed && rows.len() > MAX_POINT_READS);
                let walked = frequent.as_ref().filter(|_| selection.is_beyond_columns());
                let narrowed = source.narrow(selection.filter);
                let (mut left, mut within) = (limit, Selection { filter: &narrowed, ..selection });
                let mut is_exhausted = false;
                while left > 0 {
                    let step = left.min(MOST_SEGMENT_EVENTS);
                    let chosen = match walked {
                        Some(rows) => Some(newest_rows(db, within, n, rows, step).await?),
                        None => None,
                    };
                    let (rows, is_frequent) =
                        (chosen.as_ref().or(rows.as_ref()), frequent.is_some() && walked.is_none());
                    let select = within.newest(part, n, rows, is_frequent);
                    let mut found = Vec::with_capacity(step);
                    let mut is_decoded = true;
                    for row in select.query().bind(as_limit(step)).fetch_all(&mut *db).await.during(DOING)? {
                        match of_segment(&row)? {
                            Some(items) => found.extend(items),
                            None => is_decoded = false,
                        }
                    }
                    // Fewer than were asked for: there are no more.
                    let mut last = found.iter().map(|(place, _)| *place).min();
                    is_exhausted = found.len() < step;
                    if !is_decoded {
                        found.clear();
                        let select = within.newest(Projection::Columns, n, rows, is_frequent);
                        let listed = select.query().bind(as_limit(step)).fetch_all(&mut *db).await.during(DOING)?;
                        is_exhausted = listed.len() < step;
                        for row in &listed {
                            segment_row::with_event(row, |columns, text| {
                                last = Some(last.map_or(columns.cursor(), |last| last.min(columns.cursor())));
                                // The text may be another than the one that was indexed.
                                if selection.filter.matches_values(columns) {
                                    found.push((columns.cursor(), of_columns(columns, text)));
                                }
                            })?;
                        }
                    }
                    left = if is_exhausted { 0 } else { left - step };
                    within.after = last;
                    found.into_iter().for_each(|(place, item)| page.put(place, item));
                }
                if is_exhausted {
                    scan_strays(db, selection, source, n, |columns, event| {
                        page.put(columns.cursor(), of_columns(columns, event));
                    })
                    .await?;
                }
            }
        }
    }
    Ok(page.found)
}

/// Gives `visit` the selected events of this journal row and of the rows after it, up to about so many events: one
/// statement for each row would cost more than events read in vain.
pub(crate) async fn scan_journal(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    first: Source,
    rest: &mut VecDeque<Source>,
    about: usize,
    mut visit: impl FnMut(&EventColumns<'_>, &str),
) -> Result<(), StoreError> {
    let about = about.min(MOST_JOURNAL_EVENTS) as u64;
    let mut seqs = Vec::new();
    let mut events_n = 0;
    let mut next = Some(first);
    while let Some(Source { source_ref: SourceRef::Journal(seq), events_n: more, .. }) = next {
        seqs.push(seq);
        events_n += more.unwrap_or(about);
        next = if events_n < about {
            rest.pop_front_if(|source| matches!(source.source_ref, SourceRef::Journal(_)))
        } else {
            None
        };
    }
    let sql =
        format!("SELECT {COLUMNS} FROM audit_journal WHERE seq IN (SELECT value FROM json_each(?1)) ORDER BY seq DESC");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&seqs).during(DOING)?)
        .fetch_all(db)
        .await
        .during(DOING)?;
    let prefilter = Prefilter::of(selection.filter);
    for row in rows {
        let (row, text) = StoredRow::read(&row).during(DOING)?;
        if !prefilter.may_match(&text) {
            continue;
        }
        // The newest are usually the last: a page that is full with them decodes no other.
        for piece in row.pieces(&text).rev().filter(|(_, event)| prefilter.may_match(event)) {
            let StoredEvent { columns, text } = row.stored(piece);
            if selection.contains(&columns) {
                visit(&columns, text);
            }
        }
    }
    Ok(())
}

/// Gives `visit` the selected rows of a segment that its listing leaves out: a time that is no integer of the segment's
/// span, or an id that is no blob. Each is listed at the segment's first moment, as a damaged event is at its row's.
pub(crate) async fn scan_strays(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    source: Source,
    n: i64,
    mut visit: impl FnMut(&EventColumns<'_>, &str),
) -> Result<(), StoreError> {
    // The listing of a segment without an end has times beyond those of a timestamp.
    let last = if source.max_at < Timestamp::MAX.as_micros() { source.max_at } else { i64::MAX };
    let rows = sqlx::query(AssertSqlSafe(strays(n)))
        .bind(source.min_at)
        .bind(last)
        .bind(None::<i64>)
        .fetch_all(db)
        .await
        .during(DOING)?;
    for row in &rows {
        segment_row::with_event(row, |columns, text| {
            if selection.contains(columns) {
                visit(columns, text);
            }
        })?;
    }
    Ok(())
}

/// Selects the strays of a segment: with times before ?1 or after ?2, or without a time or an id; ?3 is NULL. Each range has a statement of its own;
/// of conditions with OR between them, SQLite makes a scan of every row.
fn strays(n: i64) -> String {
    let columns = COLUMNS_AFTER_CURSOR;
    format!(
        "SELECT ?1, CASE WHEN typeof(event_id) = 'blob' AND length(event_id) = 16 THEN event_id \
         ELSE unhex(printf('%016x%016x', {n}, seq)) END, {columns} \
         FROM audit_segment_{n} WHERE seq IN (\
         SELECT seq FROM audit_segment_{n} WHERE created_at < ?1 UNION ALL \
         SELECT seq FROM audit_segment_{n} WHERE created_at > ?2 UNION ALL \
         SELECT seq FROM audit_segment_{n} WHERE created_at IS ?3 UNION ALL \
         SELECT seq FROM audit_segment_{n} WHERE event_id <= x'' UNION ALL \
         SELECT seq FROM audit_segment_{n} WHERE event_id IS ?3)"
    )
}

/// Returns at least the `limit` newest of these rows that are within the selection's time, or all of them. Walks the index
/// of times, which has no other columns.
async fn newest_rows(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    n: i64,
    rows: &RowSet,
    limit: usize,
) -> Result<RowSet, StoreError> {
    let mut newest = RowSet::default();
    // Events of the cursor's own moment may be before it, and do not count.
    let after = selection.after.map(|after| after.created_at.as_micros());
    let (mut count, mut last_at, mut offset) = (0, None, 0);
    let mut step = WALKED_AT_ONCE;
    loop {
        let walked =
            selection.rows_by_time(n).query().bind(step).bind(offset).fetch_one(&mut *db).await.during(DOING)?;
        let walked: String = walked.try_get(0).during(DOING)?;
        let walked: Vec<(i64, i64)> = serde_json::from_str(&walked).during(DOING)?;
        for (at, row) in &walked {
            // All events of one moment, because their ids decide.
            if count >= limit && last_at != Some(*at) {
                return Ok(newest);
            }
            if let Some(row) = u32::try_from(*row).ok().filter(|row| rows.contains(*row)) {
                newest.insert(row);
                if after != Some(*at) {
                    count += 1;
                    last_at = Some(*at);
                }
            }
        }
        if (walked.len() as i64) < step {
            return Ok(newest);
        }
        offset += step;
        step *= 4;
    }
}

/// Returns the rows of a segment within the selection's time.
pub(crate) async fn rows_within(
    db: &mut SqliteConnection,
    selection: Selection<'_>,
    n: i64,
) -> Result<RowSet, StoreError> {
    let walked = selection.rows_by_time(n).query().bind(-1_i64).bind(0_i64).fetch_one(db).await.during(DOING)?;
    let walked: String = walked.try_get(0).during(DOING)?;
    let walked: Vec<(i64, i64)> = serde_json::from_str(&walked).during(DOING)?;
    let mut rows = RowSet::default();
    walked.into_iter().filter_map(|(_, row)| u32::try_from(row).ok()).for_each(|row| rows.insert(row));
    Ok(rows)
}

/// The number of entries of the index of times that are read first.
const WALKED_AT_ONCE: i64 = 512;

/// Returns the events of a row that has a whole page; `None` if one contradicts its columns.
fn events_of(row: &SqliteRow) -> Result<Option<Vec<(Cursor, AuditEvent)>>, StoreError> {
    let (Ok(array), Ok(moments), Ok(ids)) =
        (row.try_get::<Option<&str>, _>(0), row.try_get::<Option<&str>, _>(1), row.try_get::<Option<&str>, _>(2))
    else {
        return Ok(None);
    };
    let (Some(array), Some(moments), Some(ids)) = (array, moments, ids) else { return Ok(Some(Vec::new())) };
    let Ok(events) = serde_json::from_str::<Vec<AuditEvent>>(array) else { return Ok(None) };
    let places = moments.split(',').zip(ids.as_bytes().chunks(HEX_ID));
    let is_at = |event: &AuditEvent, (moment, id): (&str, &[u8])| {
        moment.parse() == Ok(event.created_at.as_micros())
            && event.event_id.to_hex().as_str().as_bytes().eq_ignore_ascii_case(id)
    };
    let are_whole =
        ids.len() == events.len() * HEX_ID && events.iter().zip(places).all(|(event, place)| is_at(event, place));
    Ok(are_whole.then(|| events.into_iter().map(|event| (Cursor::of(&event), event)).collect()))
}

/// Returns the texts of a row that has a whole page, each with the position that its columns say; `None` if they are not one each.
fn texts_of(row: &SqliteRow) -> Option<Vec<(Cursor, Box<str>)>> {
    let text = |column: usize| row.try_get::<Option<&str>, _>(column).ok();
    let (array, moments, ids) = (text(0)?, text(1)?, text(2)?);
    let (Some(array), Some(moments), Some(ids)) = (array, moments, ids) else { return Some(Vec::new()) };
    let texts: Vec<&RawValue> = serde_json::from_str(array).ok()?;
    let (mut moments, mut ids) = (moments.split(','), ids.as_bytes().chunks(HEX_ID));
    let places = texts.iter().map(|text| {
        let created_at = Timestamp::from_micros(moments.next()?.parse().ok()?)?;
        let id = u128::from_str_radix(std::str::from_utf8(ids.next()?).ok()?, 16).ok()?;
        Some((Cursor { created_at, event_id: EventId::from_u128(id) }, Box::from(text.get())))
    });
    let found: Vec<_> = places.collect::<Option<_>>()?;
    (moments.next().is_none() && ids.next().is_none()).then_some(found)
}

/// The newest of the items added.
struct NewestEvents<T> {
    found: BTreeMap<Cursor, T>,
    limit: usize,
}

impl<T> NewestEvents<T> {
    fn put(&mut self, place: Cursor, item: T) {
        self.found.insert(place, item);
        if self.found.len() > self.limit {
            self.found.pop_first();
        }
    }

    /// Returns true if an item at this position would stay.
    fn has_room_for(&self, place: Cursor) -> bool {
        self.found.len() < self.limit || self.found.first_key_value().is_some_and(|(last, _)| place > *last)
    }

    /// Returns true if no event of the source can enter the page.
    fn is_complete_before(&self, source: Source) -> bool {
        self.found.len() >= self.limit
            && self.found.first_key_value().is_none_or(|(last, _)| source.max_at < last.created_at.as_micros())
    }
}

pub(crate) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

const DOING: &str = "reading";
/// The digits of an id.
const HEX_ID: usize = 32;
/// The number of a segment's events in one statement: 64 MiB at the most, where SQLite rejects a text of 1 GB.
const MOST_SEGMENT_EVENTS: usize = 1024;
/// The number of journal events decoded at once.
const MOST_JOURNAL_EVENTS: usize = 2048;
/// The largest number of rows that are looked up one by one.
pub(crate) const MAX_POINT_READS: u64 = 1024;

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, SqliteConnection};

    use super::*;
    use crate::store::sqlite::segments::segment;

    /// A page of a rare value asks every segment for its strays.
    #[tokio::test]
    async fn strays_are_found_without_a_scan() {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        segment::create(&mut db, 1).await.unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {}", strays(1));
        let steps = sqlx::query(AssertSqlSafe(plan))
            .bind(1_i64)
            .bind(2_i64)
            .bind(None::<i64>)
            .fetch_all(&mut db)
            .await
            .unwrap();
        let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
        assert!(steps.iter().filter(|step| step.starts_with("SEARCH")).count() == 6, "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
    }
}
