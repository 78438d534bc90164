//! The index of one file: its blocks, and which `started` events are open in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::line::{Head, Line, WriterId};
use crate::event::{EventId, Timestamp};

/// The index of one file. It can be made again from the lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FileIndex {
    pub(super) blocks: Vec<Block>,
    /// The number of uncompressed bytes that are indexed. Whole lines.
    pub(super) len: u64,
    /// The `started` events whose end is not in the file, with their writers.
    pub(super) open: BTreeMap<EventId, Option<WriterId>>,
    /// The `started` events of other files that end in this one.
    pub(super) ended: BTreeSet<EventId>,
    /// The number of lines that are no events.
    pub(super) unreadable: u64,
    /// The number of bytes in blank lines.
    pub(super) blank_bytes: u64,
    /// The time for lines at the beginning of the file that have none.
    base: Timestamp,
    /// True if `base` is the time of the first event.
    is_dated: bool,
}

/// Some hundred consecutive lines of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    /// The place of its first byte, in the uncompressed file.
    pub(super) start: u64,
    pub(super) len: u64,
    /// Its gzip member: place and length in the file.
    pub(super) member: Option<(u64, u64)>,
    pub(super) events: u64,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) first_id: EventId,
    pub(super) last_id: EventId,
    /// The greatest id of the file up to here.
    pub(super) greatest_id: EventId,
    /// The time for a line at its beginning that has none.
    pub(super) otherwise: Timestamp,
}

impl Default for FileIndex {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            len: 0,
            open: BTreeMap::new(),
            ended: BTreeSet::new(),
            unreadable: 0,
            blank_bytes: 0,
            base: Timestamp::MIN,
            is_dated: false,
        }
    }
}

impl FileIndex {
    /// The empty index of a copy of the file, with the same times for lines that have none.
    pub(super) fn for_copy(&self) -> Self {
        Self { base: self.base, is_dated: true, ..Self::default() }
    }

    /// The time for the next line if it has none.
    pub(super) fn otherwise(&self) -> Timestamp {
        self.blocks.last().map_or(self.base, |block| block.otherwise.max(block.last_at))
    }

    /// Gives this time to lines at the beginning that have none, unless an event behind them has given them its own. It is
    /// not before they were written: a purge by age takes no line for older than it is.
    pub(super) fn date_beginning(&mut self, at: Timestamp) {
        if self.is_dated {
            return;
        }
        let base = std::mem::replace(&mut self.base, at);
        for block in &mut self.blocks {
            let dated = |time: Timestamp| if time == base { at } else { time };
            block.otherwise = dated(block.otherwise);
            if block.events > 0 {
                block.last_at = dated(block.last_at);
                block.first_at = dated(block.first_at).min(block.last_at);
            }
        }
    }

    /// Adds the next line. Returns the number of its block.
    pub(super) fn push(&mut self, len: u64, line: &Line) -> usize {
        if self.blocks.last().is_none_or(|block| block.len >= BLOCK_BYTES) {
            self.begin_block();
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        block.len += len;
        self.len += len;
        match line {
            Line::Blank => self.blank_bytes += len,
            Line::Ended(id) => {
                self.blank_bytes += len;
                self.end(*id);
            }
            Line::Event(head) => {
                if head.is_readable && !self.is_dated {
                    self.date_beginning(head.created_at);
                    self.is_dated = true;
                }
                let block = &mut self.blocks[number];
                block.add(head);
                self.unreadable += u64::from(!head.is_readable);
                if let Some(id) = head.ended {
                    self.end(id);
                }
                if head.is_started && !self.ended.remove(&head.event_id) {
                    self.open.insert(head.event_id, head.writer);
                }
            }
        }
        number
    }

    /// Begins a block, even if the last one is small.
    pub(super) fn begin_block(&mut self) {
        let greatest_id = self.blocks.last().map_or(EventId::from_u128(0), |block| block.greatest_id);
        self.blocks.push(Block {
            start: self.len,
            len: 0,
            member: None,
            events: 0,
            first_at: Timestamp::MAX,
            last_at: Timestamp::MIN,
            first_id: EventId::from_u128(u128::MAX),
            last_id: EventId::from_u128(0),
            greatest_id,
            otherwise: self.otherwise(),
        });
    }

    fn end(&mut self, id: EventId) {
        if self.open.remove(&id).is_none() {
            self.ended.insert(id);
        }
    }

    /// The numbers of the blocks that may have this id.
    pub(super) fn blocks_with(&self, id: EventId) -> impl Iterator<Item = usize> {
        let first = self.blocks.partition_point(|block| block.greatest_id < id);
        self.blocks[first..]
            .iter()
            .zip(first..)
            .filter(move |(block, _)| block.events > 0 && (block.first_id..=block.last_id).contains(&id))
            .map(|(_, number)| number)
    }

    pub(super) fn events(&self) -> u64 {
        self.blocks.iter().map(|block| block.events).sum()
    }

    /// The least and the greatest id.
    pub(super) fn least_id(&self) -> Option<EventId> {
        self.blocks.iter().filter(|block| block.events > 0).map(|block| block.first_id).min()
    }

    pub(super) fn greatest_id(&self) -> Option<EventId> {
        self.blocks.iter().filter(|block| block.events > 0).map(|block| block.last_id).max()
    }

    /// The time of the newest event, if there is an event.
    pub(super) fn last_at(&self) -> Option<Timestamp> {
        self.blocks.iter().filter(|block| block.events > 0).map(|block| block.last_at).max()
    }
}

impl Block {
    fn add(&mut self, head: &Head) {
        self.events += 1;
        self.first_at = self.first_at.min(head.created_at);
        self.last_at = self.last_at.max(head.created_at);
        self.first_id = self.first_id.min(head.event_id);
        self.last_id = self.last_id.max(head.event_id);
        self.greatest_id = self.greatest_id.max(head.event_id);
    }

    /// Adds the next block of the file.
    pub(super) fn join(&mut self, next: &Self) {
        self.len += next.len;
        self.events += next.events;
        self.first_at = self.first_at.min(next.first_at);
        self.last_at = self.last_at.max(next.last_at);
        self.first_id = self.first_id.min(next.first_id);
        self.last_id = self.last_id.max(next.last_id);
        self.greatest_id = next.greatest_id;
    }

    /// Sets what its lines are now that some were removed.
    pub(super) fn recount(&mut self, heads: &[Head]) {
        (self.events, self.first_at, self.last_at) = (0, Timestamp::MAX, Timestamp::MIN);
        (self.first_id, self.last_id) = (EventId::from_u128(u128::MAX), EventId::from_u128(0));
        heads.iter().for_each(|head| self.add(head));
    }
}

/// Some 300 events.
pub(super) const BLOCK_BYTES: u64 = 128 << 10;
