//! The decoded events of the blocks that were read last: a page of the viewer asks several questions about the same ones.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::append_lock::Held;
use super::file_index::Block;
use super::line::{self, Head};
use super::log_file::LogFile;
use crate::event::AuditEvent;

/// The events of a block, in the order of its lines.
pub(super) type Events = Arc<Vec<(Head, AuditEvent)>>;

/// A block as it was at some time.
type Key = (u64, u64, u64);

/// The events of some blocks.
#[derive(Default)]
pub(super) struct BlockCache(Mutex<Blocks>);

#[derive(Default)]
struct Blocks {
    events: HashMap<Key, Events>,
    /// The blocks, in the order in which they were read.
    order: VecDeque<Key>,
    /// The length of their lines.
    bytes: u64,
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache").finish_non_exhaustive()
    }
}

impl BlockCache {
    /// Returns the events of a block. `hold` takes the log's lock: a line that is overwritten at this moment may be read half
    /// old, half new, and is read again under the lock.
    pub(super) fn get(
        &self,
        file: &LogFile,
        block: &Block,
        hold: &dyn Fn() -> io::Result<Option<Held>>,
    ) -> io::Result<Events> {
        let key = (file.serial, block.start, block.len);
        if let Some(events) = self.lock().events.get(&key) {
            return Ok(events.clone());
        }
        let (mut events, mut is_whole) = read(file, block)?;
        if file.is_plain() && events.iter().any(|(head, _)| !head.is_readable) {
            let held = hold()?;
            (events, is_whole) = read(file, block)?;
            drop(held);
        }
        let events = Arc::new(events);
        if !is_whole {
            // It may be read another time.
            return Ok(events);
        }
        let mut blocks = self.lock();
        if blocks.events.insert(key, events.clone()).is_none() {
            blocks.order.push_back(key);
            blocks.bytes += block.len;
        }
        while blocks.bytes > MAX_BYTES
            && let Some(oldest) = blocks.order.pop_front()
        {
            blocks.bytes -= oldest.2;
            blocks.events.remove(&oldest);
        }
        Ok(events)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the events, and true unless some of them cannot be read.
fn read(file: &LogFile, block: &Block) -> io::Result<(Vec<(Head, AuditEvent)>, bool)> {
    let (mut events, mut is_whole) = (Vec::new(), true);
    let done = file.visit_block(block, &mut |raw, head| {
        is_whole &= raw.len > 0;
        events.push((*head, line::decode(raw.bytes, head)));
        ControlFlow::Continue(())
    })?;
    debug_assert!(done.is_continue());
    Ok((events, is_whole))
}

/// Some 15,000 events, which take some ten megabytes more.
const MAX_BYTES: u64 = 6 << 20;
