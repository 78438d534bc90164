//! A cache of the journal's ids, held by the writing connection.
//!
//! The journal has no index on the ids in it. This mirror of them, in memory, is what a repeated append is noticed
//! by; it is bounded as the journal is. It is right as long as nobody else has appended since, which the guard of
//! each append finds out; then it is [synchronised](sync).

use std::collections::{HashSet, VecDeque};

use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;

use super::stored_row::{COLUMNS, StoredRow};
use crate::store::StoreError;
use crate::store::sqlite::connection::WriteConnection;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::segments::segment;

/// The ids of the events in the journal.
#[derive(Debug, Default)]
pub(crate) struct JournalCache {
    /// The number of the last row that is known.
    pub(crate) last_seq: i64,
    rows: VecDeque<CachedRow>,
    ids: HashSet<u128>,
    bytes: usize,
    /// It is not full with fewer events: what it has could not be moved.
    not_before: usize,
}

#[derive(Debug)]
struct CachedRow {
    seq: i64,
    ids: Vec<u128>,
    bytes: usize,
}

impl JournalCache {
    /// How many events wait in the journal.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether an append should move a chunk first.
    pub(crate) fn is_full(&self) -> bool {
        (self.ids.len() > MAX_EVENTS || self.bytes > MAX_BYTES) && self.ids.len() >= self.not_before
    }

    /// The journal begins again with an empty row of this number.
    pub(crate) fn restart(&mut self, first: i64) {
        *self = Self { last_seq: first, not_before: self.not_before, ..Self::default() };
        self.push_row(first, Vec::new(), 0);
    }

    /// How many bytes they have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an id in, unless it is there. Belongs to no row before [`push_row`](Self::push_row).
    pub(crate) fn insert_id(&mut self, id: u128) -> bool {
        self.ids.insert(id)
    }

    /// Undoes [`insert_id`](Self::insert_id).
    pub(crate) fn remove_ids(&mut self, ids: &[u128]) {
        for id in ids {
            self.ids.remove(id);
        }
    }

    /// A row of so many bytes came to the journal; its ids are taken already.
    pub(crate) fn push_row(&mut self, seq: i64, ids: Vec<u128>, bytes: usize) {
        self.last_seq = seq;
        self.bytes += bytes;
        self.rows.push_back(CachedRow { seq, ids, bytes });
    }

    /// The rows up to this one have left the journal.
    pub(crate) fn remove_rows_through(&mut self, seq: i64) {
        while let Some(row) = self.rows.pop_front_if(|row| row.seq <= seq) {
            for id in &row.ids {
                self.ids.remove(id);
            }
            self.bytes -= row.bytes;
        }
    }

    /// The last of the oldest rows that hold `events` together, or a chunk's bytes, without the last row of the journal:
    /// it stays, so that the numbers never go back.
    pub(crate) fn oldest_chunk(&self, events: usize) -> Option<i64> {
        let mut found = None;
        let (mut sum, mut bytes) = (0, 0);
        for row in self.rows.iter().take_while(|row| row.seq < self.last_seq) {
            found = Some(row.seq);
            sum += row.ids.len();
            bytes += row.bytes;
            if sum >= events || bytes >= CHUNK_BYTES {
                break;
            }
        }
        found
    }
}

/// When the journal holds more events or bytes than this, an append moves a chunk of them first. It bounds what a reader
/// scans and what the ids take in memory.
pub(crate) const MAX_EVENTS: usize = 64 * 1024;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How many bytes one transaction moves at the most, as nearly as whole rows allow. Events of a usual size are fewer
/// than that by their number.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// Reads the journal anew after a failure, and leaves it alone until more has come to it.
pub(crate) async fn renew(connection: &mut WriteConnection) -> Result<(), StoreError> {
    const DOING: &str = "reading the journal";
    let not_before = connection.journal_cache.len() + MAX_EVENTS / 4;
    connection.journal_cache = JournalCache { not_before, ..JournalCache::default() };
    sqlx::query("BEGIN").execute(&mut *connection.db).await.during(DOING)?;
    sync(connection).await?;
    sqlx::query("COMMIT").execute(&mut *connection.db).await.during(DOING)?;
    Ok(())
}

/// Brings what is known of the journal and of the segments up to date, inside of a transaction.
pub(crate) async fn sync(connection: &mut WriteConnection) -> Result<(), StoreError> {
    const DOING: &str = "reading the journal";
    let (first, last): (Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT (SELECT min(seq) FROM audit_journal), (SELECT max(seq) FROM audit_journal)")
            .fetch_one(&mut *connection.db)
            .await
            .during(DOING)?;
    let backlog = &mut connection.journal_cache;
    let (Some(first), Some(last)) = (first, last) else {
        // Somebody has emptied the journal; an append makes its first row again.
        *backlog = JournalCache { not_before: backlog.not_before, ..JournalCache::default() };
        connection.segments = segment::load(&mut connection.db).await?;
        return Ok(());
    };
    if last < backlog.last_seq {
        *backlog = JournalCache { not_before: backlog.not_before, ..JournalCache::default() };
    }
    backlog.remove_rows_through(first.saturating_sub(1));
    if last > backlog.last_seq {
        let sql = format!("SELECT {COLUMNS} FROM audit_journal WHERE seq > ?1 ORDER BY seq");
        let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(backlog.last_seq).fetch(&mut *connection.db);
        while let Some(row) = rows.try_next().await.during(DOING)? {
            let (row, text) = StoredRow::read(&row).during(DOING)?;
            let ids = row.ids(&text);
            backlog.ids.extend(&ids);
            backlog.push_row(row.seq, ids, text.len());
        }
    }
    connection.segments = segment::load(&mut connection.db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_by_its_events_or_by_their_bytes() {
        let mut backlog = JournalCache::default();
        for seq in 1..=33 {
            assert!(!backlog.is_full(), "{seq}");
            assert!(backlog.insert_id(seq as u128));
            backlog.push_row(seq, vec![seq as u128], 2 * 1024 * 1024);
        }
        assert!(backlog.is_full());
        assert_eq!(backlog.oldest_chunk(1000), Some(1));
        backlog.remove_rows_through(1);
        assert!(!backlog.is_full());
        backlog.remove_rows_through(33);
        assert_eq!((backlog.len(), backlog.bytes()), (0, 0));
        let ids: Vec<u128> = (0..=MAX_EVENTS as u128).collect();
        assert!(ids.iter().all(|id| backlog.insert_id(*id)));
        backlog.push_row(34, ids, 100);
        assert!(backlog.is_full());
    }
}
