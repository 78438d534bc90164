//! A cache of the journal's ids, held by the writing connection.
//!
//! The journal has no index of the ids. This copy in memory finds repeated events; it is bounded as the journal is. It is
//! exact until another process appends, which the guard of the next append detects. [`WriterState::refresh`] then reads
//! the new rows.
//!
//! It has the texts of the newest rows of this process too, so that compaction need not read them. They are those of the file as
//! long as no other connection commits ([`PlannedMove`]).
//!
//! [`PlannedMove`]: super::planned_move::PlannedMove
//! [`WriterState::refresh`]: crate::store::sqlite::writer_state::WriterState::refresh

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::journal_row::JournalRow;
use super::stored_row::StoredRow;

/// The ids of the events in the journal.
#[derive(Debug, Default)]
pub(crate) struct JournalCache {
    /// The number of the last row that is known.
    pub(crate) last_seq: i64,
    rows: VecDeque<CachedRow>,
    ids: HashSet<u128>,
    bytes: usize,
    /// The bytes of the texts that are kept.
    text_bytes: usize,
    /// The number of events below which the cache does not count as full: set after a failed compaction.
    not_before: usize,
}

#[derive(Debug)]
struct CachedRow {
    seq: i64,
    ids: Vec<u128>,
    bytes: usize,
    appended: Option<AppendedRow>,
}

/// A row as this process has appended it.
#[derive(Debug, Clone)]
pub(crate) struct AppendedRow {
    pub(crate) row: StoredRow,
    pub(crate) text: Arc<str>,
    /// The place behind each event in the text.
    ends: Arc<[u32]>,
}

impl AppendedRow {
    /// The texts of its events, with their numbers in the row.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, &str)> {
        // An array: each event has one character before it.
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let places = begins.zip(self.ends.iter()).map(|(begin, end)| (begin as usize + 1, *end as usize));
        places.map(|(begin, end)| self.text.get(begin..end).unwrap_or_default()).enumerate()
    }
}

impl JournalCache {
    /// The number of events in the journal.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if an append has to make room first.
    pub(crate) fn is_full(&self) -> bool {
        (self.ids.len() > MAX_EVENTS || self.bytes > MAX_BYTES) && self.ids.len() >= self.not_before
    }

    /// Starts over with an empty row of this number.
    pub(crate) fn restart(&mut self, first: i64) {
        *self = Self { last_seq: first, ..self.emptied() };
        self.push_empty(first);
    }

    /// Adds a row of this process without an event.
    pub(crate) fn push_empty(&mut self, seq: i64) {
        self.push_row(seq, Vec::new(), 0);
        let row = StoredRow { seq, events_n: 0, min_at: 0, max_at: 0 };
        if let Some(last) = self.rows.back_mut() {
            last.appended = Some(AppendedRow { row, text: "".into(), ends: Arc::new([]) });
        }
    }

    /// An empty cache, to be filled from the file.
    pub(crate) fn emptied(&self) -> Self {
        Self { not_before: self.not_before, ..Self::default() }
    }

    /// An empty cache that counts as full only after more events have come.
    pub(crate) fn emptied_after_failure(&self) -> Self {
        Self { not_before: self.len() + MAX_EVENTS / 4, ..Self::default() }
    }

    /// The number of bytes in the journal.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an id; returns false if it was there. The id belongs to no row before [`push_row`](Self::push_row).
    pub(crate) fn insert_id(&mut self, id: u128) -> bool {
        self.ids.insert(id)
    }

    /// Undoes [`insert_id`](Self::insert_id).
    pub(crate) fn remove_ids(&mut self, ids: &[u128]) {
        for id in ids {
            self.ids.remove(id);
        }
    }

    /// Adds a row whose ids have been added already.
    pub(crate) fn push_row(&mut self, seq: i64, ids: Vec<u128>, bytes: usize) {
        self.last_seq = seq;
        self.bytes += bytes;
        self.rows.push_back(CachedRow { seq, ids, bytes, appended: None });
    }

    /// Adds a row of this process, whose ids have been added already.
    pub(crate) fn push_appended(&mut self, seq: i64, batch: JournalRow) {
        let JournalRow { ids, min_at, max_at, events: text, ends, .. } = batch;
        let events_n = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let bytes = text.len();
        self.push_row(seq, ids, bytes);
        if self.text_bytes + bytes <= MAX_TEXT_BYTES
            && let Some(last) = self.rows.back_mut()
        {
            self.text_bytes += bytes;
            last.appended = Some(AppendedRow { row: StoredRow { seq, events_n, min_at, max_at }, text, ends });
        }
    }

    /// Forgets the texts: another connection may have changed those of the file.
    pub(crate) fn forget_texts(&mut self) {
        self.text_bytes = 0;
        for row in &mut self.rows {
            row.appended = None;
        }
    }

    /// Returns the rows of the [oldest chunk](Self::oldest_chunk), if the texts of all are kept.
    pub(crate) fn oldest_appended(&self, events: usize) -> Option<Vec<AppendedRow>> {
        let last = self.oldest_chunk(events)?;
        self.rows.iter().take_while(|row| row.seq <= last).map(|row| row.appended.clone()).collect()
    }

    /// Returns true if the oldest rows are these, with the texts that this cache has kept since: those of another connection are others.
    pub(crate) fn begins_with(&self, rows: &[AppendedRow]) -> bool {
        let is_kept = |known: &CachedRow, row: &AppendedRow| {
            known.appended.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.text, &row.text))
        };
        self.rows.len() > rows.len() && self.rows.iter().zip(rows).all(|(known, row)| is_kept(known, row))
    }

    /// Removes the rows up to this one.
    pub(crate) fn remove_rows_through(&mut self, seq: i64) {
        while let Some(row) = self.rows.pop_front_if(|row| row.seq <= seq) {
            for id in &row.ids {
                self.ids.remove(id);
            }
            self.bytes -= row.bytes;
            self.text_bytes -= row.appended.map_or(0, |row| row.text.len());
        }
    }

    /// Returns the last row with one of these ids.
    pub(crate) fn last_row_with(&self, ids: &HashSet<u128>) -> Option<i64> {
        let has_one = |row: &&CachedRow| row.ids.iter().any(|id| ids.contains(id));
        if self.ids.is_disjoint(ids) { None } else { self.rows.iter().rev().find(has_one).map(|row| row.seq) }
    }

    /// Returns the last of the oldest rows that together hold `events` events, but no more than a chunk's bytes; one row at
    /// the least. The journal's last row stays, so that numbers never go back.
    pub(crate) fn oldest_chunk(&self, events: usize) -> Option<i64> {
        let mut found = None;
        let (mut sum, mut bytes) = (0, 0);
        for row in self.rows.iter().take_while(|row| row.seq < self.last_seq) {
            sum += row.ids.len();
            bytes += row.bytes;
            if found.is_some() && bytes > CHUNK_BYTES {
                break;
            }
            found = Some(row.seq);
            if sum >= events {
                break;
            }
        }
        found
    }
}

/// The bound of the journal. It limits the events that a reader scans and the memory for ids.
pub(crate) const MAX_EVENTS: usize = 64 * 1024;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The largest number of bytes of the texts that are kept. Under load the journal is a fraction of it.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// The largest number of bytes that a transaction moves in several rows. One row is one batch: 8 MiB at most.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of another connection's last commit says nothing about the texts of this one.
    #[test]
    fn rows_of_another_connection_are_others() {
        let filled = || {
            let mut cache = JournalCache::default();
            (1..=3).for_each(|seq| cache.push_empty(seq));
            cache
        };
        let mut cache = filled();
        let rows = cache.oldest_appended(1).expect("the texts are kept");
        assert_eq!(rows.len(), 2);
        assert!(cache.begins_with(&rows));
        assert!(!filled().begins_with(&rows));
        cache.forget_texts();
        assert!(!cache.begins_with(&rows));
    }

    #[test]
    fn it_is_full_by_its_events_or_by_their_bytes() {
        let mut cache = JournalCache::default();
        for seq in 1..=33 {
            assert!(!cache.is_full(), "{seq}");
            assert!(cache.insert_id(seq as u128));
            cache.push_row(seq, vec![seq as u128], 2 * 1024 * 1024);
        }
        assert!(cache.is_full());
        assert_eq!(cache.oldest_chunk(1000), Some(1));
        let mut cache_of_two = JournalCache::default();
        cache_of_two.push_row(1, vec![1], 1024);
        cache_of_two.push_row(2, vec![2], 8 * 1024 * 1024);
        cache_of_two.push_row(3, vec![3], 1024);
        assert_eq!(cache_of_two.oldest_chunk(1000), Some(1));
        cache.remove_rows_through(1);
        assert!(!cache.is_full());
        cache.remove_rows_through(33);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        let ids: Vec<u128> = (0..=MAX_EVENTS as u128).collect();
        assert!(ids.iter().all(|id| cache.insert_id(*id)));
        cache.push_row(34, ids, 100);
        assert!(cache.is_full());
    }
}
