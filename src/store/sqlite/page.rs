//! One page out of many tables: the sources are taken by their newest event, and as soon as the page is full, those
//! that cannot have anything newer than its last event are left alone.

use std::collections::{BTreeMap, VecDeque};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::error::Doing as _;
use super::segment::id_of;
use super::wanted::{Wanted, bind};
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The row of the journal with this number.
    Journal(i64),
    /// The segment with this number.
    Segment(i64),
}

/// The sources that may have wanted events, the one with the newest event first.
pub(super) async fn sources(db: &mut SqliteConnection, wanted: Wanted<'_>) -> Result<VecDeque<Source>, StoreError> {
    let rows = sqlx::query(
        "SELECT 0, seq, events_n, min_at, max_at FROM audit_journal WHERE events_n > 0 AND max_at >= ?1 AND min_at < ?2 \
         UNION ALL \
         SELECT 1, n, events_n, first_at, last_at FROM audit_segments WHERE events_n > 0 AND last_at >= ?1 AND first_at < ?2 \
         ORDER BY 5 DESC",
    )
    .bind(wanted.earliest())
    .bind(wanted.end())
    .fetch_all(db)
    .await
    .doing(DOING)?;
    let source = |row: &sqlx::sqlite::SqliteRow| {
        let number = row.try_get(1)?;
        Ok(Source {
            place: if row.try_get::<i64, _>(0)? == 0 { Place::Journal(number) } else { Place::Segment(number) },
            events_n: row.try_get(2)?,
            min_at: row.try_get(3)?,
            max_at: row.try_get(4)?,
        })
    };
    rows.iter().map(source).collect::<Result<_, sqlx::Error>>().doing(DOING)
}

/// The first events that are wanted, newest first.
pub(super) async fn events(
    db: &mut SqliteConnection,
    wanted: Wanted<'_>,
    limit: usize,
) -> Result<Vec<AuditEvent>, StoreError> {
    let mut page = Page { found: BTreeMap::new(), limit };
    let mut sources = sources(db, wanted).await?;
    while let Some(source) = sources.pop_front() {
        if page.is_complete_before(source) {
            break;
        }
        match source.place {
            Place::Journal(_) => {
                for event in journal(db, source, &mut sources, limit).await? {
                    let place = Cursor::of(&event);
                    if wanted.filter.matches(&event) && wanted.after.is_none_or(|after| place < after) {
                        page.put(place, event);
                    }
                }
            }
            Place::Segment(n) => {
                let clause = wanted.clause();
                let sql = format!(
                    "SELECT event FROM audit_segment_{n} {} ORDER BY created_at DESC, event_id DESC LIMIT ?",
                    clause.sql()
                );
                let query = bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(as_limit(limit));
                for row in query.fetch_all(&mut *db).await.doing(DOING)? {
                    let event: AuditEvent = serde_json::from_str(row.try_get(0).doing(DOING)?).doing(DOING)?;
                    page.put(Cursor::of(&event), event);
                }
            }
        }
    }
    Ok(page.found.into_values().rev().collect())
}

/// The place of the `nth` event (from 1) that is wanted, or none if there are fewer.
pub(super) async fn nth(
    db: &mut SqliteConnection,
    wanted: Wanted<'_>,
    nth: usize,
) -> Result<Option<Cursor>, StoreError> {
    let mut page = Page { found: BTreeMap::new(), limit: nth };
    let mut sources = sources(db, wanted).await?;
    while let Some(source) = sources.pop_front() {
        if page.is_complete_before(source) {
            break;
        }
        match source.place {
            Place::Journal(_) => {
                for event in journal(db, source, &mut sources, nth).await? {
                    let place = Cursor::of(&event);
                    if wanted.filter.matches(&event) && wanted.after.is_none_or(|after| place < after) {
                        page.put(place, ());
                    }
                }
            }
            Place::Segment(n) => {
                let clause = wanted.clause();
                let sql = format!(
                    "SELECT created_at, event_id FROM audit_segment_{n} {} ORDER BY created_at DESC, event_id DESC LIMIT ?",
                    clause.sql()
                );
                let query = bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(as_limit(nth));
                for row in query.fetch_all(&mut *db).await.doing(DOING)? {
                    let created_at = Timestamp::from_micros_clamped(row.try_get(0).doing(DOING)?);
                    let event_id = EventId::from_u128(id_of(row.try_get(1).doing(DOING)?).doing(DOING)?);
                    page.put(Cursor { created_at, event_id }, ());
                }
            }
        }
    }
    Ok(if page.found.len() == nth { page.found.into_keys().next() } else { None })
}

/// The events of this row of the journal, and of as many rows after it as make the page likely full: a statement for
/// each row would cost more than the events that are read in vain.
pub(super) async fn journal(
    db: &mut SqliteConnection,
    first: Source,
    rest: &mut VecDeque<Source>,
    about: usize,
) -> Result<Vec<AuditEvent>, StoreError> {
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
    let rows = sqlx::query("SELECT events FROM audit_journal WHERE seq IN (SELECT value FROM json_each(?1))")
        .bind(serde_json::to_string(&seqs).doing(DOING)?)
        .fetch_all(db)
        .await
        .doing(DOING)?;
    let mut events = Vec::new();
    for row in rows {
        let more: Vec<AuditEvent> = serde_json::from_str(row.try_get(0).doing(DOING)?).doing(DOING)?;
        events.extend(more);
    }
    Ok(events)
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
/// How many events of the journal are decoded at once.
const MOST_JOURNAL_EVENTS: usize = 2048;
