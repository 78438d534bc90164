//! The read part: each call reads one snapshot.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::aggregate;
use super::index_lookup::IndexLookup;
use super::open_events::OpenEvents;
use super::scan::{self, as_limit};
use super::select::Selection;
use super::source::{Source, SourceRef, counted_sources, sources};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::EventColumns;
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::journal::row_salvage::events_with;
use crate::store::sqlite::journal::stored_row::{COLUMNS, HAS_EVENTS, MIN_AT, StoredEvent, StoredRow};
use crate::store::sqlite::segments::segment_row;
use crate::store::sqlite::store::SqliteStore;
use crate::store::sqlite::untrusted_columns::may_have_id;
use crate::store::{Reader, StoreError, StoreFuture, StoredPage};

impl Reader for SqliteStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.take(&self.config).await?;
            let result = list(lease.db(), query).await;
            self.readers.finish(lease, result).await
        })
    }

    fn query_stored<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Option<StoredPage>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = list_texts(lease.db(), query).await;
            self.readers.finish(lease, result).await
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = count_all(lease.db(), filter).await;
            self.readers.finish(lease, result).await
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = aggregate::top_values(lease.db(), filter, by, at_most).await;
            self.readers.finish(lease, result).await
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = aggregate::histogram(lease.db(), filter, buckets).await;
            self.readers.finish(lease, result).await
        })
    }

    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        IndexLookup::unindexed(filter)
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = get(lease.db(), id).await;
            self.readers.finish(lease, result).await
        })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = get_of(lease.db(), id, Some(user_email)).await;
            self.readers.finish(lease, result).await
        })
    }
}

async fn list(db: &mut SqliteConnection, query: &PageQuery) -> Result<Vec<AuditEvent>, StoreError> {
    let open = OpenEvents::of(db, &query.filter).await?;
    let selection = Selection { filter: &query.filter, after: query.after, open: &open };
    match skip(db, selection, query.skip).await? {
        Some(selection) => scan::events(db, selection, query.limit).await,
        None => Ok(Vec::new()),
    }
}

async fn list_texts(db: &mut SqliteConnection, query: &PageQuery) -> Result<Option<StoredPage>, StoreError> {
    let open = OpenEvents::of(db, &query.filter).await?;
    let selection = Selection { filter: &query.filter, after: query.after, open: &open };
    match skip(db, selection, query.skip).await? {
        Some(selection) if query.limit > 0 => scan::texts(db, selection, query.limit).await,
        _ => Ok(None),
    }
}

/// Returns the positions of a page.
pub(crate) async fn positions(db: &mut SqliteConnection, query: &PageQuery) -> Result<Vec<Cursor>, StoreError> {
    let open = OpenEvents::of(db, &query.filter).await?;
    let selection = Selection { filter: &query.filter, after: query.after, open: &open };
    match skip(db, selection, query.skip).await? {
        Some(selection) if query.limit > 0 => scan::positions(db, selection, query.limit).await,
        _ => Ok(Vec::new()),
    }
}

/// Skips the first `left` events; `None` if there are fewer.
///
/// Whole stretches of time are counted over the indexes; only within the last of them are the events gone through, a
/// bounded number at once.
async fn skip<'a>(
    db: &mut SqliteConnection,
    mut selection: Selection<'a>,
    mut left: u64,
) -> Result<Option<Selection<'a>>, StoreError> {
    // Number of sources in the next stretch; it doubles as long as the stretch does not reach too far.
    let mut stretch = 1;
    while left > COUNT_FROM {
        let end = selection.end();
        // Where sources begin that begin before the end, the newest first.
        let sources = sources(db, selection).await?;
        let mut begins: Vec<i64> =
            sources.iter().map(|source| source.min_at).filter(|at| at.saturating_add(1) < end).collect();
        begins.sort_unstable_by(|a, b| b.cmp(a));
        let Some(begin) = begins.get(stretch - 1).or(begins.last()) else { break };
        let counted = count(db, selection, begin + 1).await?;
        if counted <= left {
            left -= counted;
            let created_at = Timestamp::from_micros_clamped(begin + 1);
            selection.after = Some(Cursor { created_at, event_id: EventId::from_u128(0) });
            stretch *= 2;
        } else if stretch > 1 {
            stretch = (stretch.min(begins.len()) / 2).max(1);
        } else {
            break;
        }
    }
    while left > 0 {
        let step = usize::try_from(left.min(SKIP_STEP)).unwrap_or(usize::MAX);
        let Some(last) = scan::nth(db, selection, step).await? else { return Ok(None) };
        selection.after = Some(last);
        left -= step as u64;
    }
    Ok(Some(selection))
}

async fn count_all(db: &mut SqliteConnection, filter: &Filter) -> Result<u64, StoreError> {
    let open = OpenEvents::of(db, filter).await?;
    count(db, Selection { filter, after: None, open: &open }, i64::MIN).await
}

/// Counts the selected events at or after `from`.
async fn count(db: &mut SqliteConnection, selection: Selection<'_>, from: i64) -> Result<u64, StoreError> {
    let since = selection.filter.since.map_or(from, |since| since.as_micros().max(from));
    let filter = Filter {
        since: if since == i64::MIN { None } else { Some(Timestamp::from_micros_clamped(since)) },
        ..selection.filter.clone()
    };
    let selection = Selection { filter: &filter, ..selection };
    let mut lookup = IndexLookup::new(selection);
    let mut sources =
        if lookup.is_unconstrained() { counted_sources(db, selection).await? } else { sources(db, selection).await? };
    let mut total = 0;
    while let Some(source) = sources.pop_front() {
        let Source { source_ref: place, events_n, min_at, max_at, .. } = source;
        let is_within = selection.contains_span(min_at, max_at);
        if let Some(events) = events_n.filter(|_| is_within && lookup.is_unconstrained()) {
            total += events;
            continue;
        }
        match place {
            SourceRef::Journal(_) => {
                scan::scan_journal(db, selection, source, &mut sources, usize::MAX, |_, _| {
                    total += 1;
                })
                .await?;
            }
            SourceRef::Segment(n) => {
                let rows = lookup.of(db, source, &sources).await?;
                if let Some(rows) = rows.as_ref().filter(|rows| is_within || rows.is_empty()) {
                    total += rows.len();
                    continue;
                }
                let narrowed = source.narrow(selection.filter);
                let select = Selection { filter: &narrowed, ..selection }.select("count(*)", n, rows.as_ref());
                // Rows with an id that is none are counted with the strays.
                let select = select.then(" AND +event_id > x''");
                let row = select.query().fetch_one(&mut *db).await.during(DOING)?;
                total += u64::try_from(row.try_get::<i64, _>(0).during(DOING)?).unwrap_or(0);
                scan::scan_strays(db, selection, source, n, |_, _| total += 1).await?;
            }
        }
    }
    Ok(total)
}

/// The event with this id.
pub(crate) async fn get(db: &mut SqliteConnection, id: EventId) -> Result<Option<AuditEvent>, StoreError> {
    get_of(db, id, None).await
}

/// Returns the event with this id; with a user, only if it is that user's. One of another user is looked for in all places,
/// as one that is missing is.
async fn get_of(
    db: &mut SqliteConnection,
    id: EventId,
    user_email: Option<&str>,
) -> Result<Option<AuditEvent>, StoreError> {
    let is_theirs = |event: &AuditEvent| user_email.is_none_or(|user| event.actor.user_email.as_deref() == Some(user));
    let bytes = id_bytes(id.as_u128());
    let digits = id.to_string();
    // As the store writes it.
    let owner = user_email.and_then(|user| Some(format!("\"user_email\":{}", serde_json::to_string(user).ok()?)));
    // For a user, each row that may have the id is read, whether the id is in it or not: the time tells nothing.
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_journal WHERE {HAS_EVENTS} AND {} AND (?3 OR instr(events, ?2) > 0)",
        may_have_id!()
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql))
        .bind(bytes.as_slice())
        .bind(digits.as_str())
        .bind(owner.is_some())
        .fetch(&mut *db);
    while let Some(row) = rows.try_next().await.during(DOING)? {
        let (row, text) = StoredRow::read(&row).during(DOING)?;
        let is_owner = |event: &str| owner.as_ref().is_none_or(|owner| event.contains(owner));
        // A row in which it is another user's event is not decoded.
        if events_with(&text, &digits).any(is_owner)
            && let Some(event) = in_row(row, &text, id).filter(is_theirs)
        {
            return Ok(Some(event));
        }
    }
    drop(rows);
    let segments: Vec<i64> =
        sqlx::query_scalar(concat!("SELECT n FROM audit_segments WHERE ", may_have_id!(), " ORDER BY n DESC"))
            .bind(bytes.as_slice())
            .fetch_all(&mut *db)
            .await
            .during(DOING)?;
    for n in segments {
        let sql = format!(
            "SELECT {} FROM audit_segment_{n} WHERE event_id = ?1 AND (?3 IS NULL OR user_email = ?3) LIMIT ?2",
            segment_row::COLUMNS
        );
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(bytes.as_slice())
            .bind(as_limit(1))
            .bind(user_email)
            .fetch_optional(&mut *db)
            .await
            .during(DOING)?;
        let found = found.map(|row| segment_row::with_event(&row, |columns, text| shown(columns, text, is_theirs)));
        if let Some(event) = found.transpose()?.flatten() {
            return Ok(Some(event));
        }
    }
    // An event whose text has no id has one that is made of its time: it is in none of these columns.
    let milli = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX).saturating_mul(1000);
    let sql =
        format!("SELECT {COLUMNS} FROM audit_journal WHERE {HAS_EVENTS} AND max({MIN_AT}, 0) BETWEEN ?1 AND ?1 + 999");
    let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(milli).fetch(&mut *db);
    while let Some(row) = rows.try_next().await.during(DOING)? {
        let (row, text) = StoredRow::read(&row).during(DOING)?;
        if let Some(event) = in_row(row, &text, id).filter(is_theirs) {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// Returns the event of a segment's row as a listing shows it: the text, where it is at the row's place and may be shown;
/// otherwise what the columns say.
fn shown(columns: &EventColumns<'_>, text: &str, is_theirs: impl Fn(&AuditEvent) -> bool) -> Option<AuditEvent> {
    let whole = serde_json::from_str::<AuditEvent>(text).ok();
    let whole = whole.filter(|event| Cursor::of(event) == columns.cursor() && is_theirs(event));
    whole.or_else(|| Some(columns.event(text)).filter(is_theirs))
}

/// The event with this id in this row of the journal. The id may also stand in an event that names another.
fn in_row(row: StoredRow, text: &str, id: EventId) -> Option<AuditEvent> {
    let stored = row.pieces(text).map(|piece| row.stored(piece));
    let mut found = stored.filter(|StoredEvent { columns, .. }| columns.event_id == id);
    found.next().map(|StoredEvent { columns, text }| columns.event(text))
}

const DOING: &str = "reading";
/// The number of events from which counting by the segment pays.
const COUNT_FROM: u64 = 4096;
/// The number of positions in memory while events are skipped.
const SKIP_STEP: u64 = 4096;
