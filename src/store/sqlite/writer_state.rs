//! The writer's state: its connection, and a copy in memory of the journal's ids and of the list of segments.

use std::fmt;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;

use super::config::Config;
use super::error::DuringOperation as _;
use super::journal::journal_cache::JournalCache;
use super::journal::stored_row::{COLUMNS, StoredRow};
use super::parked_connections::ParkedConnections;
use super::schema;
use super::segments::absent_id_ranges::AbsentIdRanges;
use super::segments::segment::{self, Segment};
use super::transaction::WriteTransaction;
use super::write_connection::WriteConnection;
use crate::store::StoreError;

/// A connection that writes, and the store's knowledge of the file behind it.
///
/// An error drops all of it: the next connection reads the file again, so that nothing doubtful is remembered.
pub(super) struct WriterState {
    pub(super) connection: WriteConnection,
    pub(super) journal: JournalCache,
    pub(super) segments: Vec<Segment>,
    pub(super) id_gaps: AbsentIdRanges,
    /// SQLite's number of the schema in which nothing discards rows of the log. Every change of a schema counts it up.
    pub(super) checked_schema: i64,
    /// SQLite's number of the last commit of another connection, from which on the texts in `journal` are those of the file.
    pub(super) data_version: i64,
    /// True if the last step of maintenance moved a chunk.
    pub(super) has_moved: bool,
    /// The number of frames that the log had at the last checkpoint, whether it copied all, some or none of them.
    pub(super) frames_at_checkpoint: u64,
}

/// A write transaction in which journal and segments change.
pub(super) type StateTransaction<'a> = WriteTransaction<'a, WriterState>;

impl WriterState {
    /// Opens the file as [`WriteConnection::open`] does, and reads its journal.
    pub(super) async fn open(
        config: &Config,
        parking: &Arc<ParkedConnections>,
        is_first: bool,
    ) -> Result<Self, StoreError> {
        let connection = WriteConnection::open(config, parking, is_first).await?;
        let mut state = Self {
            connection,
            journal: JournalCache::default(),
            segments: Vec::new(),
            id_gaps: AbsentIdRanges::default(),
            checked_schema: UNCHECKED,
            data_version: UNCHECKED,
            has_moved: false,
            frames_at_checkpoint: 0,
        };
        match state.load().await {
            Ok(()) => Ok(state),
            Err(error) => {
                state.connection.close_unused(&error).await;
                Err(error)
            }
        }
    }

    /// Reads journal and segments in one snapshot.
    async fn load(&mut self) -> Result<(), StoreError> {
        // Before the rows: of a commit in between, the texts of later rows are forgotten in vain.
        let sql = "SELECT data_version FROM pragma_data_version";
        self.data_version = sqlx::query_scalar(sql).fetch_one(&mut *self.connection.db).await.during(DOING)?;
        sqlx::query("BEGIN").execute(&mut *self.connection.db).await.during(DOING)?;
        self.refresh().await?;
        sqlx::query("COMMIT").execute(&mut *self.connection.db).await.during(DOING)?;
        Ok(())
    }

    /// Rolls back a compaction that failed, and reads the journal again. The journal then counts as full only after a
    /// quarter of its bound has come to it.
    pub(super) async fn reload_after_failure(&mut self) -> Result<(), StoreError> {
        self.connection.roll_back().await;
        self.journal = self.journal.emptied_after_failure();
        self.load().await
    }

    /// Reads the journal rows and the list of segments that other writers have changed. Fails if somebody has put an
    /// obstacle in their way. Call it inside a transaction.
    pub(super) async fn refresh(&mut self) -> Result<(), StoreError> {
        let db = &mut *self.connection.db;
        let (first, last, schema): (Option<i64>, Option<i64>, i64) = sqlx::query_as(
            "SELECT (SELECT min(seq) FROM audit_journal), (SELECT max(seq) FROM audit_journal), \
             (SELECT schema_version FROM pragma_schema_version)",
        )
        .fetch_one(&mut *db)
        .await
        .during(DOING)?;
        if schema != self.checked_schema {
            schema::check_no_obstacles(&mut *db).await?;
            self.checked_schema = schema;
        }
        let (Some(first), Some(last)) = (first, last) else {
            // Another process has deleted every row; the next append inserts a first one.
            self.journal = self.journal.emptied();
            self.segments = segment::load(db).await?;
            return Ok(());
        };
        if last < self.journal.last_seq {
            // Numbers never go back: rows that were committed are gone.
            self.journal = self.journal.emptied();
        }
        self.journal.remove_rows_through(first.saturating_sub(1));
        if last > self.journal.last_seq {
            // Rows with a number below 1 too, which somebody has changed.
            let known = if self.journal.last_seq > 0 { self.journal.last_seq } else { i64::MIN };
            let sql = format!("SELECT {COLUMNS} FROM audit_journal WHERE seq > ?1 ORDER BY seq");
            let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(known).fetch(&mut *db);
            while let Some(row) = rows.try_next().await.during(DOING)? {
                let (row, text) = StoredRow::read(&row).during(DOING)?;
                let ids = row.ids(&text);
                for id in &ids {
                    self.journal.insert_id(*id);
                }
                self.journal.push_row(row.seq, ids, text.len());
            }
        }
        self.segments = segment::load(&mut self.connection.db).await?;
        Ok(())
    }

    /// Reads the number of the schema after a change of our own, inside the transaction of [`refresh`](Self::refresh), in
    /// which no other connection can create a trigger.
    pub(super) async fn refresh_schema(&mut self) -> Result<(), StoreError> {
        self.checked_schema = sqlx::query_scalar("SELECT schema_version FROM pragma_schema_version")
            .fetch_one(&mut *self.connection.db)
            .await
            .during(DOING)?;
        Ok(())
    }
}

impl AsMut<WriteConnection> for WriterState {
    fn as_mut(&mut self) -> &mut WriteConnection {
        &mut self.connection
    }
}

impl fmt::Debug for WriterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterState").field("journal", &self.journal.len()).finish_non_exhaustive()
    }
}

const DOING: &str = "reading the journal";
/// No file has this number: they begin with 0 and count up.
pub(super) const UNCHECKED: i64 = -1;
