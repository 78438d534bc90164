//! The ids of the newest blocks, in memory; those of older ones are read when an append may repeat one of them.
//!
//! Ids sort by time, so nearly every new id is greater than all before it, and no block is asked. An old id is looked for in
//! the blocks whose span of ids has it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, ErrorKind};

use super::catalogue::Catalogue;
use super::file_index::FileIndex;
use super::log_file::LogFile;
use crate::event::EventId;

/// The serial number of a file, and the number of a block.
type BlockKey = (u64, usize);

/// The ids of some blocks.
#[derive(Debug, Default)]
pub(super) struct KnownIds {
    sets: HashMap<BlockKey, HashSet<EventId>>,
    /// The blocks, in the order in which they came.
    order: VecDeque<BlockKey>,
}

impl KnownIds {
    /// Adds the id of an event that was added to this block.
    pub(super) fn add(&mut self, file: u64, index: &FileIndex, block: usize, id: EventId) {
        let is_first = index.blocks.get(block).is_some_and(|block| block.events == 1);
        let key = (file, block);
        match self.sets.get_mut(&key) {
            Some(ids) => drop(ids.insert(id)),
            None if is_first => self.insert(key, HashSet::from([id])),
            // The set would lack the ids before: it is read when it is needed.
            None => {}
        }
    }

    /// Returns true if the log has an event with this id. `read` has the blocks that were read for this batch: others may
    /// have lost events to a removal by another process.
    pub(super) fn contains(
        &mut self,
        catalogue: &Catalogue,
        id: EventId,
        read: &mut HashSet<BlockKey>,
    ) -> io::Result<bool> {
        for file in catalogue.files() {
            for block in file.index.blocks_with(id) {
                let key = (file.serial, block);
                if !self.sets.contains_key(&key) {
                    self.read(file, block, read)?;
                }
                let mut is_there = self.sets.get(&key).is_some_and(|ids| ids.contains(&id));
                if is_there && !read.contains(&key) {
                    self.read(file, block, read)?;
                    is_there = self.sets.get(&key).is_some_and(|ids| ids.contains(&id));
                }
                if is_there {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn read(&mut self, file: &LogFile, block: usize, read: &mut HashSet<BlockKey>) -> io::Result<()> {
        let key = (file.serial, block);
        let heads = match file.heads(&file.index.blocks[block]) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            heads => heads?,
        };
        let ids = heads.iter().filter(|head| head.is_readable).map(|head| head.event_id).collect();
        read.insert(key);
        match self.sets.get_mut(&key) {
            Some(known) => *known = ids,
            None => self.insert(key, ids),
        }
        Ok(())
    }

    fn insert(&mut self, key: BlockKey, ids: HashSet<EventId>) {
        if self.order.len() >= MAX_BLOCKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.sets.remove(&oldest);
        }
        self.order.push_back(key);
        self.sets.insert(key, ids);
    }
}

/// With some 300 ids each, three megabytes.
const MAX_BLOCKS: usize = 256;
