//! Compaction beside the appends: the chunk is decoded, indexed and bound while they go on, and inserted under the write lock.
//!
//! - t0: The texts of the oldest rows are taken from memory, with SQLite's number of the last commit of another connection.
//! - t1: They are prepared on another thread. Appends of this process go on behind them.
//! - t2: With the write lock, the number is compared again, and the texts are those that are kept: a connection that was opened since
//!   counts commits anew, and has other texts. No other connection has changed a row or a segment since t0: the chunk is
//!   inserted, and its rows are deleted, in one transaction.
//!
//! If another connection has committed, the texts in memory may be old. They are forgotten, and the chunk is read from the file
//! ([`compaction`](super::compaction)).

use sqlx::AssertSqlSafe;

use super::deletion::delete_rows;
use super::journal_cache::AppendedRow;
use super::prepared_events::PreparedEvents;
use super::stored_row::StoredEvent;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::segments::segment::{self, Segment};
use crate::store::sqlite::segments::segment_list_check;
use crate::store::sqlite::segments::terms::TermKey;
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// A chunk of the journal that is to be moved.
#[derive(Debug)]
pub(crate) struct PlannedMove {
    rows: Vec<AppendedRow>,
    newest: Option<Segment>,
    key: TermKey,
    data_version: i64,
}

/// A chunk that is ready to be inserted.
#[derive(Debug)]
pub(crate) struct PreparedMove {
    rows: Vec<AppendedRow>,
    newest: Option<Segment>,
    data_version: i64,
    events: PreparedEvents,
}

impl PlannedMove {
    /// Takes about so many of the oldest events; `None` if they are to be read from the file.
    pub(crate) async fn of(state: &mut WriterState, events: usize) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {DATA_VERSION}, (SELECT schema_version FROM pragma_schema_version)");
        let (data_version, schema): (i64, i64) =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *state.connection.db).await.during(DOING)?;
        if data_version != state.data_version || schema != state.checked_schema {
            // The next rows are of this number. What has changed is found by the one who reads the file.
            state.journal.forget_texts();
            state.data_version = data_version;
            return Ok(None);
        }
        let Some(rows) = state.journal.oldest_appended(events) else { return Ok(None) };
        let newest = segment::newest(&mut state.connection.db).await?;
        if newest != state.segments.last().copied() {
            state.segments = segment::load(&mut state.connection.db).await?;
        }
        let key = TermKey::load(&mut state.connection.db).await?;
        Ok(Some(Self { rows, newest, key, data_version }))
    }

    /// Decodes and indexes the events: some milliseconds of work.
    pub(crate) fn prepare(self) -> Result<PreparedMove, StoreError> {
        let Self { rows, newest, key, data_version } = self;
        let events: Vec<StoredEvent<'_>> =
            rows.iter().flat_map(|row| row.pieces().map(|piece| row.row.moved(piece))).collect();
        let events = PreparedEvents::of(&events, newest, &key)?;
        Ok(PreparedMove { rows, newest, data_version, events })
    }
}

impl PreparedMove {
    /// Inserts the events into segments and deletes them from the journal. Returns false if the file has changed since they were
    /// taken; then nothing is changed.
    pub(crate) async fn apply(self, state: &mut WriterState) -> Result<bool, StoreError> {
        let Self { rows, newest, data_version, events } = self;
        let Some(last) = rows.last().map(|row| row.row.seq) else { return Ok(false) };
        let mut transaction = StateTransaction::begin(state).await?;
        let sql = format!("SELECT {DATA_VERSION}");
        let now: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *transaction.connection.db).await.during(DOING)?;
        let is_unchanged = now == data_version
            && transaction.journal.begins_with(&rows)
            && segment::newest(&mut transaction.connection.db).await? == newest
            && is_numbered(&mut transaction).await?;
        if !is_unchanged {
            transaction.roll_back().await?;
            state.journal.forget_texts();
            return Ok(false);
        }
        let has_created = events.insert(&mut transaction).await?;
        delete_rows(&mut transaction, last, rows.len()).await?;
        if has_created {
            // The number before was that of a schema without a trigger, and no other connection has changed it.
            transaction.refresh_schema().await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// Returns true if the newest segment, where it has room, has the rows that its entry counts.
async fn is_numbered(state: &mut WriterState) -> Result<bool, StoreError> {
    match state.segments.last().filter(|newest| newest.has_room()) {
        Some(newest) => segment_list_check::is_numbered(&mut state.connection.db, newest.n, newest.events_n).await,
        None => Ok(true),
    }
}

/// A number that changes when another connection has committed.
const DATA_VERSION: &str = "(SELECT data_version FROM pragma_data_version)";
const DOING: &str = "indexing";
