//! Answers to queries, by scanning the blocks that may have a part of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::ErrorKind;

use super::append_lock::Held;
use super::block_cache::{BlockCache, Events};
use super::line::{Head, WriterId};
use super::snapshot::{BlockRef, Cancelled, ScanError, Snapshot};
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery};
use crate::store::value_counts::ValueCounts;

/// A scan of a snapshot.
pub(super) struct Scan<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) cancelled: &'a Cancelled,
    pub(super) cache: &'a BlockCache,
    /// Takes the log's lock, shared.
    pub(super) hold: &'a dyn Fn() -> std::io::Result<Option<Held>>,
}

/// A filter, with what it needs to know of other events.
struct Selection<'a> {
    filter: &'a Filter,
    /// The open events, if the filter leaves out ended ones.
    open: Option<BTreeMap<EventId, Option<WriterId>>>,
    /// True if the filter has no conditions but on time: heads are enough.
    is_of_time: bool,
}

impl Scan<'_> {
    pub(super) fn page(&self, query: &PageQuery) -> Result<Vec<AuditEvent>, ScanError> {
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let mut after = query.after;
        if query.skip > 0 {
            let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
            let skipped: BTreeMap<Cursor, ()> = self.newest(&query.filter, after, skip, |_| ())?;
            if skipped.len() < skip {
                return Ok(Vec::new());
            }
            after = skipped.into_keys().next();
        }
        let found = self.newest(&query.filter, after, query.limit, AuditEvent::clone)?;
        Ok(found.into_values().rev().collect())
    }

    pub(super) fn positions(&self, query: &PageQuery) -> Result<Vec<Cursor>, ScanError> {
        let limit = usize::try_from(query.skip).unwrap_or(usize::MAX).saturating_add(query.limit);
        let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
        let found = self.newest(&query.filter, query.after, limit, |_| ())?;
        Ok(found.into_keys().rev().skip(skip).collect())
    }

    /// The newest `limit` events after a position.
    fn newest<T>(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
        make: impl Fn(&AuditEvent) -> T,
    ) -> Result<BTreeMap<Cursor, T>, ScanError> {
        let mut found = BTreeMap::new();
        if limit == 0 {
            return Ok(found);
        }
        let selection = self.select(filter);
        let blocks = self.snapshot.blocks(filter.since, filter.until);
        for block in blocks.iter().filter(|found| after.is_none_or(|after| found.block.first_at <= after.created_at)) {
            let is_full = found.len() >= limit;
            if is_full && found.first_key_value().is_some_and(|(oldest, _)| oldest.created_at > block.block.last_at) {
                break;
            }
            for (head, event) in self.events(block)?.iter() {
                let cursor = Cursor { created_at: head.created_at, event_id: head.event_id };
                let is_full = found.len() >= limit;
                let oldest = found.first_key_value().map(|(oldest, _)| *oldest);
                let is_before = after.is_none_or(|after| cursor < after);
                if is_before
                    && !(is_full && oldest.is_some_and(|oldest| cursor <= oldest))
                    && !found.contains_key(&cursor)
                    && selection.passes(head, event)
                {
                    found.insert(cursor, make(event));
                    if found.len() > limit {
                        found.pop_first();
                    }
                }
            }
        }
        Ok(found)
    }

    pub(super) fn count(&self, filter: &Filter) -> Result<u64, ScanError> {
        let selection = self.select(filter);
        let mut count = 0;
        let is_whole = |found: &BlockRef<'_>| {
            selection.is_of_time
                && selection.open.is_none()
                && found.file.is_exact
                && !found.is_contested
                && filter.since.is_none_or(|since| found.block.first_at >= since)
                && filter.until.is_none_or(|until| found.block.last_at < until)
        };
        self.each(&selection, &mut |found| is_whole(found), &mut |whole| count += whole, &mut |_| {})
            .map(|scanned| scanned + count)
    }

    /// Counts by value. All of them are read, even if there is no room for more.
    pub(super) fn value_counts(&self, filter: &Filter, by: Field) -> Result<ValueCounts, ScanError> {
        let selection = self.select(filter);
        let mut found = ValueCounts::default();
        self.each(&selection, &mut |_| false, &mut |_| {}, &mut |event| found.add(by.value_of(event).as_deref(), 1))?;
        Ok(found)
    }

    pub(super) fn histogram(&self, filter: &Filter, buckets: &Buckets) -> Result<Vec<u64>, ScanError> {
        let confined = buckets.confine(filter);
        let selection = self.select(&confined);
        let mut counts = vec![0; buckets.len()];
        self.each(&selection, &mut |_| false, &mut |_| {}, &mut |event| {
            if let Some(count) = buckets.index_of(event.created_at).and_then(|bucket| counts.get_mut(bucket)) {
                *count += 1;
            }
        })?;
        Ok(counts)
    }

    pub(super) fn get(&self, id: EventId) -> Result<Option<AuditEvent>, ScanError> {
        for (file, block) in self.snapshot.blocks_with(id) {
            let events = self.events(&BlockRef { file, block, is_contested: false })?;
            if let Some((_, event)) = events.iter().find(|(head, _)| head.event_id == id) {
                return Ok(Some(event.clone()));
            }
        }
        Ok(None)
    }

    /// Fails if nobody waits for the answer.
    pub(super) fn check(&self) -> Result<(), ScanError> {
        self.cancelled.check()
    }

    pub(super) fn events(&self, found: &BlockRef<'_>) -> Result<Events, ScanError> {
        self.cancelled.check()?;
        self.cache.get(found.file, found.block, self.hold).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ScanError::Moved,
            _ => ScanError::Io(error),
        })
    }

    /// Calls `visit` with each event that passes, each once, and returns their number. Blocks of which `is_whole` says that
    /// all their events pass are counted by `add_whole` and not read.
    fn each(
        &self,
        selection: &Selection<'_>,
        is_whole: &mut dyn FnMut(&BlockRef<'_>) -> bool,
        add_whole: &mut dyn FnMut(u64),
        visit: &mut dyn FnMut(&AuditEvent),
    ) -> Result<u64, ScanError> {
        let mut seen = HashSet::new();
        let mut passed = 0;
        for found in self.snapshot.blocks(selection.filter.since, selection.filter.until) {
            if is_whole(&found) {
                add_whole(found.block.events);
                continue;
            }
            for (head, event) in self.events(&found)?.iter() {
                if selection.passes(head, event) && (!found.is_contested || seen.insert(head.event_id)) {
                    passed += 1;
                    visit(event);
                }
            }
        }
        Ok(passed)
    }

    fn select<'f>(&self, filter: &'f Filter) -> Selection<'f> {
        let plain = Filter { since: filter.since, until: filter.until, folded: filter.folded, ..Filter::default() };
        Selection { filter, open: filter.folded.then(|| self.snapshot.open_events()), is_of_time: plain == *filter }
    }
}

impl Selection<'_> {
    fn passes(&self, head: &Head, event: &AuditEvent) -> bool {
        let filter = self.filter;
        if filter.since.is_some_and(|since| head.created_at < since)
            || filter.until.is_some_and(|until| head.created_at >= until)
        {
            return false;
        }
        let is_ended = |id| self.open.as_ref().is_some_and(|open| !open.contains_key(&id));
        if head.is_started && is_ended(head.event_id) {
            return false;
        }
        self.is_of_time || filter.matches(event)
    }
}

/// The ids of these that are open.
pub(super) fn still_open(snapshot: &Snapshot, ids: &[EventId]) -> Vec<EventId> {
    let open: BTreeSet<EventId> = snapshot.open_events().into_keys().collect();
    ids.iter().copied().filter(|id| open.contains(id)).collect()
}
