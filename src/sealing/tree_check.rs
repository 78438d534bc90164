//! The tree of a log, made again leaf by leaf and compared with what was signed.

use super::finding::{Damage, Report};
use crate::event::EventId;
use crate::seal::{Checkpoint, Hash, Node, TreeEdge};
use crate::store::StoredLeaf;

/// The tree as far as its leaves were read.
#[derive(Debug, Default)]
pub(super) struct TreeCheck {
    edge: TreeEdge,
    /// The number of leaves, those that are gone included.
    size: u64,
    /// The edge at the last checkpoint that fits.
    good: TreeEdge,
    /// The leaves since then. None: they are too many to be kept.
    window: Option<Vec<WindowLeaf>>,
    state: TreeState,
}

#[derive(Debug, Default)]
enum TreeState {
    #[default]
    Sound,
    /// The checkpoint of this size does not fit. The next one tells whether it or a leaf is the odd one.
    Doubtful(u64),
    /// A leaf is missing or was changed: no later root can fit.
    Broken,
}

/// A leaf whose place in the tree is not confirmed yet.
#[derive(Debug, Clone, Copy)]
struct WindowLeaf {
    index: u64,
    event_id: EventId,
    stored: Hash,
    /// The hash that follows from the event, if that is another.
    computed: Option<Hash>,
}

impl TreeCheck {
    /// A tree that grows from one that is known to be right.
    pub(super) fn from(edge: TreeEdge) -> Self {
        Self { good: edge.clone(), size: edge.size(), edge, window: Some(Vec::new()), state: TreeState::Sound }
    }

    /// Returns the number of leaves.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root, if every leaf so far may be right.
    pub(super) fn root(&self) -> Option<Hash> {
        matches!(self.state, TreeState::Sound).then(|| self.edge.root())
    }

    /// Appends a leaf. `computed` is the hash that follows from its event; none if the event is gone.
    pub(super) fn push(&mut self, leaf: &StoredLeaf, computed: Option<Hash>, report: &mut Report) {
        let stored = Hash::from_bytes(leaf.hash);
        self.size = leaf.index.saturating_add(1);
        if !matches!(self.state, TreeState::Broken) {
            self.edge.push(stored);
        }
        let leaf = WindowLeaf {
            index: leaf.index,
            event_id: leaf.event_id,
            stored,
            computed: computed.filter(|computed| *computed != stored),
        };
        match &mut self.window {
            _ if matches!(self.state, TreeState::Broken) => report_edited(&leaf, report),
            Some(window) if window.len() < MAX_WINDOW => window.push(leaf),
            Some(window) => {
                window.drain(..).for_each(|leaf| report_edited(&leaf, report));
                report_edited(&leaf, report);
                self.window = None;
            }
            None => report_edited(&leaf, report),
        }
    }

    /// Notes that leaves are missing before the next one.
    pub(super) fn note_gap(&mut self, next: u64, report: &mut Report) {
        let missing = self.size;
        report.add(
            Damage::Missing,
            Some(missing),
            None,
            format!("the leaves {missing} to {} are gone, and their events cannot be told", next - 1),
        );
        self.break_off(report);
        // Later leaves keep their numbers. There may be more numbers between than anyone can count.
        self.size = next;
    }

    /// Compares the tree with a checkpoint of its size, whose signature is right.
    pub(super) fn compare(&mut self, checkpoint: &Checkpoint, report: &mut Report) {
        if matches!(self.state, TreeState::Broken) {
            return;
        }
        if self.edge.root() == checkpoint.root {
            if let TreeState::Doubtful(size) = self.state {
                let text = format!("the checkpoint of {size} leaves is rightly signed, and of another history");
                report.add(Damage::Fork, None, None, text);
            }
            self.state = TreeState::Sound;
            if let Some(window) = self.window.replace(Vec::new()) {
                window.iter().for_each(|leaf| report_edited(leaf, report));
            }
            self.edge.take_tiles();
            self.good = self.edge.clone();
        } else if matches!(self.state, TreeState::Sound) {
            if self.explain(checkpoint, report) {
                self.state = TreeState::Broken;
            } else {
                self.state = TreeState::Doubtful(checkpoint.size);
            }
        }
    }

    /// Ends the tree.
    pub(super) fn finish(&mut self, report: &mut Report) {
        if let TreeState::Doubtful(size) = self.state {
            let first = self.window.as_ref().and_then(|window| window.first());
            let good = self.good.size();
            report.add(
                Damage::SealEdited,
                Some(good),
                first.map(|leaf| leaf.event_id),
                format!(
                    "the leaves {good} to {} are not those that were signed: one of them was changed together with its event, \
                     left out or put in",
                    size - 1
                ),
            );
        }
        self.break_off(report);
    }

    /// Takes the roots of tiles that became full, for a comparison with the stored ones.
    pub(super) fn take_nodes(&mut self) -> Vec<(Node, Hash)> {
        self.edge.take_tiles();
        let nodes = self.edge.take_nodes();
        if matches!(self.state, TreeState::Sound) { nodes } else { Vec::new() }
    }

    /// Looks for the one change that explains the root of the checkpoint.
    fn explain(&mut self, checkpoint: &Checkpoint, report: &mut Report) -> bool {
        let Some(window) = &self.window else { return false };
        let hashes: Vec<Hash> = window.iter().map(|leaf| leaf.stored).collect();
        let fits = |hashes: &[Hash]| {
            let mut edge = self.good.clone();
            hashes.iter().for_each(|hash| edge.push(*hash));
            edge.root() == checkpoint.root
        };
        let by_events: Vec<Hash> = window.iter().map(|leaf| leaf.computed.unwrap_or(leaf.stored)).collect();
        if by_events != hashes && fits(&by_events) {
            for leaf in window.iter().filter(|leaf| leaf.computed.is_some()) {
                let text = format!("the hash of leaf {} was changed; its event was not", leaf.index);
                report.add(Damage::SealEdited, Some(leaf.index), Some(leaf.event_id), text);
            }
            // The events are not to be reported as well.
            self.window = Some(Vec::new());
            return true;
        }
        if hashes.len() > MAX_SWAPPED {
            return false;
        }
        for first in 0..hashes.len() {
            for second in first + 1..hashes.len() {
                let mut swapped = hashes.clone();
                swapped.swap(first, second);
                if fits(&swapped) {
                    let (first, second) = (window[first], window[second]);
                    let text = format!("the leaves {} and {} have changed their places", first.index, second.index);
                    report.add(Damage::Reordered, Some(first.index), Some(first.event_id), text);
                    return true;
                }
            }
        }
        false
    }

    /// No later root can fit; events are still compared with their leaves.
    fn break_off(&mut self, report: &mut Report) {
        if let Some(window) = self.window.replace(Vec::new()) {
            window.iter().for_each(|leaf| report_edited(leaf, report));
        }
        self.state = TreeState::Broken;
    }
}

fn report_edited(leaf: &WindowLeaf, report: &mut Report) {
    if leaf.computed.is_some() {
        let text = format!("the event of leaf {} is not the one that was sealed, or its seed is not", leaf.index);
        report.add(Damage::Edited, Some(leaf.index), Some(leaf.event_id), text);
    }
}

/// The leaves between two checkpoints; a sealer makes no more than 4,096.
const MAX_WINDOW: usize = 65_536;
/// Two leaves that were swapped are looked for among so many.
const MAX_SWAPPED: usize = 64;
