//! Finding leaves by their events: the span of ids of each 1,024 leaves, in memory.
//!
//! Ids sort by time, and leaves nearly do. So an id leads to a block or two; a random id (UUID version 4) leads to all of them.

use std::collections::HashMap;
use std::io;

use super::seal_files::{SPAN_LEAVES, SealFiles, span_of};
use crate::event::EventId;

/// The spans of the full blocks of leaves.
#[derive(Debug, Default)]
pub(super) struct LeafSpans {
    spans: Vec<(EventId, EventId)>,
}

impl LeafSpans {
    /// Returns the numbers of the leaves of these events. Events without a leaf are left out.
    pub(super) fn find(&mut self, files: &SealFiles, ids: &[EventId]) -> io::Result<HashMap<EventId, u64>> {
        let mut found = HashMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let size = files.size()?;
        self.catch_up(files, size)?;
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        let full = self.spans.len() as u64;
        for (block, (least, greatest)) in (0..).zip(&self.spans) {
            let next = wanted.partition_point(|id| id < least);
            if wanted.get(next).is_some_and(|id| id <= greatest) {
                look(files, block * SPAN_LEAVES, SPAN_LEAVES, &wanted, &mut found)?;
            }
        }
        look(files, full * SPAN_LEAVES, size - full * SPAN_LEAVES, &wanted, &mut found)?;
        Ok(found)
    }

    fn catch_up(&mut self, files: &SealFiles, size: u64) -> io::Result<()> {
        let full = size / SPAN_LEAVES;
        if self.spans.len() as u64 > full {
            // The log was made anew.
            self.spans.clear();
        }
        if self.spans.is_empty() && full > 0 {
            self.spans = files.spans()?;
            self.spans.truncate(usize::try_from(full).unwrap_or(usize::MAX));
        }
        for block in self.spans.len() as u64..full {
            self.spans.push(span_of(&files.heads(block * SPAN_LEAVES, SPAN_LEAVES)?));
        }
        Ok(())
    }

    pub(super) fn forget(&mut self) {
        self.spans.clear();
    }
}

fn look(
    files: &SealFiles,
    first: u64,
    count: u64,
    wanted: &[EventId],
    found: &mut HashMap<EventId, u64>,
) -> io::Result<()> {
    for ((id, _), index) in files.heads(first, count)?.into_iter().zip(first..) {
        if wanted.binary_search(&id).is_ok() {
            // Of two leaves of one event, the first counts.
            found.entry(id).or_insert(index);
        }
    }
    Ok(())
}
