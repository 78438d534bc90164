//! The knowledge of a process about the seal.

use std::collections::{HashMap, HashSet};

use super::leaf_spans::LeafSpans;

/// The knowledge of a process about the seal. All of it can be made again.
#[derive(Debug, Default)]
pub(in crate::store::jsonl) struct SealMemory {
    pub(super) spans: LeafSpans,
    /// Of the files, by their serial numbers: the length of each block, from its beginning, whose events have leaves.
    sealed: HashMap<u64, HashMap<usize, u64>>,
}

impl SealMemory {
    /// Returns the length of a block whose events have leaves.
    pub(super) fn sealed(&self, serial: u64, block: usize) -> u64 {
        self.sealed.get(&serial).and_then(|blocks| blocks.get(&block)).copied().unwrap_or(0)
    }

    /// Notes that the events of a block, up to this length, have leaves.
    pub(super) fn note_sealed(&mut self, serial: u64, block: usize, len: u64) {
        self.sealed.entry(serial).or_default().insert(block, len);
    }

    /// Forgets files that are gone.
    pub(super) fn keep(&mut self, serials: &HashSet<u64>) {
        self.sealed.retain(|serial, _| serials.contains(serial));
    }

    /// Forgets everything: the log was made anew.
    pub(in crate::store::jsonl) fn forget(&mut self) {
        self.spans.forget();
        self.sealed.clear();
    }
}
