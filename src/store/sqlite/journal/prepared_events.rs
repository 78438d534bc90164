//! Events of the journal, bound and indexed for the segments that take them. Making them needs no connection.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe};

use super::stored_row::StoredEvent;
use crate::event::EventId;
use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, discarded};
use crate::store::sqlite::events_view;
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::sealing::position::Position;
use crate::store::sqlite::sealing::tables;
use crate::store::sqlite::segments::chunk_postings::{self, ChunkIndex, ChunkPostings};
use crate::store::sqlite::segments::segment::{self, SEGMENT_EVENTS, Segment, SegmentState};
use crate::store::sqlite::segments::terms::TermKey;
use crate::store::sqlite::writer_state::WriterState;

/// Events for the newest segment while it has room, then for new ones.
#[derive(Debug)]
pub(crate) struct PreparedEvents(Vec<Part>);

/// The events for one segment.
#[derive(Debug)]
struct Part {
    /// The segment with these events in it; without a number if it is a new one.
    filled: Segment,
    ids: Vec<EventId>,
    /// Values for the INSERT of so many rows, one of the [`SHAPES`] each.
    statements: Vec<(usize, SqliteArguments)>,
    index: ChunkIndex,
}

impl PreparedEvents {
    /// Prepares events for the segments of a file. `newest` is the newest of them.
    pub(crate) fn of(
        mut events: &[StoredEvent<'_>],
        newest: Option<Segment>,
        key: &TermKey,
    ) -> Result<Self, StoreError> {
        let mut parts = Vec::new();
        let mut segment = newest.filter(Segment::has_room);
        while !events.is_empty() {
            let before = segment.take().unwrap_or_else(|| Segment::empty(NEW));
            let room = usize::try_from(SEGMENT_EVENTS - before.events_n).unwrap_or(0);
            let (now, later) = events.split_at(room.min(events.len()));
            parts.push(Part::of(now, before, key)?);
            events = later;
        }
        Ok(Self(parts))
    }

    /// Inserts the events inside a transaction. The newest segment is the one that they were prepared for. Returns true if a segment
    /// was created.
    pub(crate) async fn insert(self, state: &mut WriterState) -> Result<bool, StoreError> {
        let mut has_created = false;
        for mut part in self.0 {
            let is_new = part.filled.n == NEW;
            if is_new {
                let db = &mut state.connection.db;
                part.filled.n = segment::next_number(db).await?.max(first_unsealed_segment(db).await?);
                segment::create(db, part.filled.n).await?;
            }
            let segment = part.insert(state).await?;
            update_segment_list(state, segment).await?;
            if is_new {
                events_view::refresh(&mut state.connection.db).await?;
                has_created = true;
            }
        }
        Ok(has_created)
    }
}

impl Part {
    fn of(events: &[StoredEvent<'_>], before: Segment, key: &TermKey) -> Result<Self, StoreError> {
        let mut filled = before;
        let mut postings = ChunkPostings::new(key);
        let mut texts = LastTexts::default();
        let mut statements = Vec::new();
        let mut left = events;
        for shape in SHAPES {
            while left.len() >= shape {
                let (now, later) = left.split_at(shape);
                let mut arguments = SqliteArguments::default();
                arguments.reserve(shape * COLUMNS, 0);
                for event in now {
                    filled.events_n += 1;
                    postings.add(&event.columns, u32::try_from(filled.events_n).unwrap_or(u32::MAX));
                    let (at, id) = (event.columns.created_at.as_micros(), event.columns.event_id.as_u128());
                    filled.first_at = filled.first_at.min(at);
                    filled.last_at = filled.last_at.max(at);
                    filled.min_id = filled.min_id.min(id);
                    filled.max_id = filled.max_id.max(id);
                    texts.bind(event, &mut arguments).map_err(sqlx::Error::Encode).during(DOING)?;
                }
                statements.push((shape, arguments));
                left = later;
            }
        }
        let index = postings.into_index();
        filled.terms_n += index.terms_n();
        let ids = events.iter().map(|event| event.columns.event_id).collect();
        Ok(Self { filled, ids, statements, index })
    }

    /// Inserts the events into the segment, and their postings into its index. Returns the segment as it is then.
    async fn insert(self, state: &mut WriterState) -> Result<Segment, StoreError> {
        let Self { mut filled, ids, statements, index } = self;
        let (events, mut inserted) = (ids.len() as u64, 0);
        for (rows, arguments) in statements {
            let query = sqlx::query_with(AssertSqlSafe(statement(filled.n, rows)), arguments);
            inserted += query.execute(&mut *state.connection.db).await.during(DOING)?.rows_affected();
        }
        if inserted == events {
            // Its rows are numbered from 1 without a gap: from an indexed segment none is ever removed.
            let first = as_number(filled.events_n - events) + 1;
            chunk_postings::insert(&mut state.connection.db, filled.n, first, index.into_blocks()).await?;
            return Ok(filled);
        }
        // An event was there already, so that the rows are not those of the index. Or the database discards rows: then they
        // must not leave the journal.
        assert_all_in(state, filled.n, &ids).await?;
        filled.events_n = filled.events_n - events + inserted;
        filled.state = SegmentState::Unindexed;
        filled.terms_n = 0;
        Ok(filled)
    }
}

/// The last text of each column that is often the same, so that it is not copied for each row.
#[derive(Debug, Default)]
struct LastTexts([Option<Arc<str>>; 5]);

impl LastTexts {
    fn bind(
        &mut self,
        StoredEvent { columns, text }: &StoredEvent<'_>,
        arguments: &mut SqliteArguments,
    ) -> Result<(), sqlx::error::BoxDynError> {
        arguments.add(id_bytes(columns.event_id.as_u128()))?;
        arguments.add(columns.created_at.as_micros())?;
        arguments.add(self.text(0, Some(&columns.event_type)))?;
        arguments.add(self.text(1, Some(columns.phase.as_str())))?;
        arguments.add(self.text(2, columns.actor.user_email.as_deref()))?;
        arguments.add(self.text(3, columns.actor.remote_addr.as_deref()))?;
        arguments.add(self.text(4, columns.resource.route.as_deref()))?;
        arguments.add(columns.outcome.map(i64::from))?;
        arguments.add(Arc::<str>::from(*text))
    }

    fn text(&mut self, column: usize, text: Option<&str>) -> Option<Arc<str>> {
        let last = &mut self.0[column];
        if last.as_deref() != text {
            *last = text.map(Into::into);
        }
        last.clone()
    }
}

fn statement(n: i64, rows: usize) -> String {
    let mut sql = format!(
        "INSERT OR IGNORE INTO audit_segment_{n}\
         (event_id, created_at, event_type, phase, user_email, remote_addr, route, outcome, event) VALUES "
    );
    for row in 0..rows {
        sql.push_str(if row == 0 { "(?,?,?,?,?,?,?,?,?)" } else { ",(?,?,?,?,?,?,?,?,?)" });
    }
    sql
}

/// Returns the number behind the segment that the newest checkpoint names; 0 in a log that is not sealed. A sealed log gives no
/// number twice, not even after a purge of every segment: a position would take the new one for sealed.
async fn first_unsealed_segment(db: &mut sqlx::sqlite::SqliteConnection) -> Result<i64, StoreError> {
    let sql = "SELECT position FROM audit_checkpoints ORDER BY size DESC LIMIT 1";
    if !tables::exist(db).await? {
        return Ok(0);
    }
    let position: Option<String> = sqlx::query_scalar(sql).fetch_optional(db).await.during(DOING)?;
    Ok(position.map_or(0, |position| Position::read(&position).segment.max(0).saturating_add(1)))
}

/// Fails if an event is not in the segment.
async fn assert_all_in(state: &mut WriterState, n: i64, ids: &[EventId]) -> Result<(), StoreError> {
    let ids: HashSet<&EventId> = ids.iter().collect();
    let listed = serde_json::to_string(&ids).during(DOING)?;
    let sql =
        format!("SELECT count(*) FROM audit_segment_{n} WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))");
    let there: i64 =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(listed).fetch_one(&mut *state.connection.db).await.during(DOING)?;
    if usize::try_from(there) == Ok(ids.len()) { Ok(()) } else { Err(discarded(DOING)) }
}

/// Updates the segment in the list, in the file and in memory.
async fn update_segment_list(state: &mut WriterState, segment: Segment) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO audit_segments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)")
        .bind(segment.n)
        .bind(segment.first_at)
        .bind(segment.last_at)
        .bind(id_bytes(segment.min_id))
        .bind(id_bytes(segment.max_id))
        .bind(as_number(segment.events_n))
        .bind(segment.state.number())
        .bind(as_number(segment.terms_n))
        .execute(&mut *state.connection.db)
        .await
        .during(DOING)?;
    match state.segments.last_mut() {
        Some(newest) if newest.n == segment.n => *newest = segment,
        _ => state.segments.push(segment),
    }
    Ok(())
}

fn as_number(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

const DOING: &str = "indexing";
/// The number of a segment that is still to be created.
const NEW: i64 = 0;
/// The columns of a row.
const COLUMNS: usize = 9;
/// The numbers of rows that an INSERT has: few shapes, so that each stays prepared; few statements, because each
/// crosses to the driver's thread.
const SHAPES: [usize; 4] = [256, 64, 8, 1];
