//! The signed removals of a log: which events may be gone, and which must be.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::erasure_check::Erasures;
use super::finding::{Damage, Report};
use super::key_chain::KeyChain;
use super::leaf_hash::surviving;
use crate::event::{AuditEvent, EventId, EventType, Phase, Timestamp};
use crate::seal::{ErasedCells, LeafRanges, RemovalKind, RemovalNote, SignedNote, VerifierKey};
use crate::store::{Sealing, StoreError, StoredLeaf, StoredRemoval, StoredSeed};

/// The removals that the retention key has signed, as far as they were read.
///
/// A purge may run meanwhile. It signs a part before it deletes its events, so after an event was found to be gone, its part is there.
pub(super) struct Removals<'v> {
    sealing: &'v dyn Sealing,
    keys: &'v [VerifierKey],
    chain: &'v KeyChain,
    /// The time of the first checkpoint. Purges before it are not signed.
    sealed_since: Timestamp,
    next: u64,
    purges: HashMap<EventId, SignedPurge>,
    runs: HashMap<EventId, SignedErasure>,
    erasures: Erasures,
    /// Leaves whose events may be gone.
    planned: LeafRanges,
    /// Leaves whose events were gone before the current page of leaves was read.
    done: LeafRanges,
    is_done_stale: bool,
    /// The events that record purges and erasures, with their digests.
    events: HashMap<EventId, [u8; 32]>,
    /// Events that record purges and erasures from before the seal.
    unsigned: HashSet<EventId>,
    /// Parts whose ids are compared, by the leaf that comes next.
    open: BTreeMap<u64, Vec<OpenPart>>,
    /// Parts that were signed after their first leaf was read.
    late: Vec<OpenPart>,
    /// The leaf that is read next.
    at: u64,
}

/// A part of a purge, as far as its leaves were read.
struct OpenPart {
    removal: u64,
    leaves: LeafRanges,
    expected: [u8; 32],
    ids: Sha256,
}

impl OpenPart {
    /// Adds a leaf. Returns the leaf that comes next; if there is none, reports ids that are not those that were signed.
    fn add(&mut self, leaf: &StoredLeaf, report: &mut Report) -> Option<u64> {
        self.ids.update(leaf.event_id.to_bytes());
        let next = leaf.index.checked_add(1).and_then(|next| self.leaves.first_from(next));
        if next.is_none() && <[u8; 32]>::from(self.ids.finalize_reset()) != self.expected {
            let text = format!(
                "the signed removal {} was made for other events than those of the leaves {}",
                self.removal,
                self.leaves.first_and_last()
            );
            report.add(Damage::PurgeForged, None, None, text);
        }
        next
    }
}

#[derive(Default)]
struct SignedPurge {
    parts: BTreeMap<u64, LeafRanges>,
    done: u64,
}

/// The parts of an erasure.
#[derive(Default)]
struct SignedErasure {
    parts: BTreeMap<u64, Vec<ErasedCells>>,
    done: u64,
}

impl<'v> Removals<'v> {
    /// Reads the removals that are there.
    pub(super) async fn read(
        sealing: &'v dyn Sealing,
        keys: &'v [VerifierKey],
        chain: &'v KeyChain,
        report: &mut Report,
    ) -> Result<Self, StoreError> {
        let first = sealing.checkpoints(0, 1).await?;
        let mut this = Self {
            sealing,
            keys,
            chain,
            sealed_since: first.first().map_or(Timestamp::MAX, |first| first.sealed_at),
            next: 0,
            purges: HashMap::new(),
            runs: HashMap::new(),
            erasures: Erasures::default(),
            planned: LeafRanges::default(),
            done: LeafRanges::default(),
            is_done_stale: false,
            events: HashMap::new(),
            unsigned: HashSet::new(),
            open: BTreeMap::new(),
            late: Vec::new(),
            at: 0,
        };
        this.read_on(report).await?;
        Ok(this)
    }

    /// Reads the removals that were added since.
    async fn read_on(&mut self, report: &mut Report) -> Result<(), StoreError> {
        loop {
            let page = self.sealing.removals(self.next, PAGE).await?;
            let is_last = page.len() < PAGE;
            for stored in page {
                if stored.number > self.next {
                    let (first, last) = (self.next, stored.number - 1);
                    report.add(
                        Damage::SealEdited,
                        None,
                        None,
                        format!("the signed removals {first} to {last} are gone"),
                    );
                }
                self.next = stored.number.saturating_add(1);
                self.take(&stored, report);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn take(&mut self, stored: &StoredRemoval, report: &mut Report) {
        if self.keys.is_empty() {
            return;
        }
        let note = stored.note.parse::<SignedNote>().map_err(|error| error.to_string());
        let note = note.and_then(|note| RemovalNote::open(&note, self.keys).map_err(|error| error.to_string()));
        let note = note.and_then(|note| match self.chain.has_origin(&note.origin) {
            false => Err(format!("it is of the log {:?}", note.origin)),
            _ if note.number != stored.number => Err(format!("it was signed as number {}", note.number)),
            _ => Ok(note),
        });
        let note = match note {
            Ok(note) => note,
            Err(reason) => {
                let text = format!("the signed removal {} cannot be trusted: {reason}", stored.number);
                return report.add(Damage::PurgeForged, None, None, text);
            }
        };
        if let Some(part) = note.part {
            let first = note.leaves.first_from(0);
            if let (Some(expected), Some(first)) = (note.ids, first) {
                let (removal, leaves) = (stored.number, note.leaves.clone());
                let part = OpenPart { removal, leaves, expected, ids: Sha256::new() };
                match first < self.at {
                    true => self.late.push(part),
                    false => self.open.entry(first).or_default().push(part),
                }
            }
            match note.kind {
                RemovalKind::Purge => {
                    self.planned.add(&note.leaves);
                    let purge = self.purges.entry(note.started).or_default();
                    purge.parts.entry(part).or_default().add(&note.leaves);
                }
                RemovalKind::Erasure => {
                    self.erasures.plan(&note, part);
                    let erasure = self.runs.entry(note.started).or_default();
                    erasure.parts.entry(part).or_default().extend(note.cells);
                }
            }
        }
        if let Some(done) = note.done {
            let of_action = match note.kind {
                RemovalKind::Purge => &mut self.purges.entry(note.started).or_default().done,
                RemovalKind::Erasure => &mut self.runs.entry(note.started).or_default().done,
            };
            *of_action = done.max(*of_action);
            self.is_done_stale = true;
        }
        self.events.extend(note.event);
    }

    /// Prepares for a page of leaves that is read after this.
    pub(super) fn begin_page(&mut self) {
        if !std::mem::take(&mut self.is_done_stale) {
            return;
        }
        self.done = LeafRanges::default();
        for purge in self.purges.values() {
            for (_, leaves) in purge.parts.range(..=purge.done) {
                self.done.add(leaves);
            }
        }
        self.erasures.clear_done();
        for (started, erasure) in &self.runs {
            for (part, cells) in erasure.parts.range(..=erasure.done) {
                self.erasures.note_done(*started, *part, cells);
            }
        }
    }

    /// Notes that the leaves before this one are not read.
    pub(super) fn skip_to(&mut self, first: u64) {
        self.at = first;
        let before: Vec<u64> = self.open.range(..first).map(|(index, _)| *index).collect();
        let parts = before.iter().filter_map(|index| self.open.remove(index)).flatten();
        self.late.extend(parts.filter(|part| part.leaves.first_from(first).is_some()));
    }

    /// Adds a leaf to the parts that list it.
    pub(super) fn note_leaf(&mut self, leaf: &StoredLeaf, report: &mut Report) {
        self.at = leaf.index.saturating_add(1);
        while let Some(entry) = self.open.first_entry()
            && *entry.key() <= leaf.index
        {
            let (index, parts) = entry.remove_entry();
            // Of leaves that are gone, nothing can be compared; they are reported.
            for mut part in parts.into_iter().filter(|_| index == leaf.index) {
                if let Some(next) = part.add(leaf, report) {
                    self.open.entry(next).or_default().push(part);
                }
            }
        }
    }

    /// Compares the ids of parts that were signed after their first leaf was read.
    pub(super) async fn finish(&mut self, report: &mut Report) -> Result<(), StoreError> {
        for mut part in std::mem::take(&mut self.late) {
            let mut next = part.leaves.first_from(0);
            while let Some(first) = next {
                for leaf in self.sealing.leaves(first, LEAVES).await? {
                    if next == Some(leaf.index) {
                        next = part.add(&leaf, report);
                    }
                }
                // A leaf that is gone is reported.
                if next.is_some_and(|next| next <= first.saturating_add(LEAVES as u64 - 1)) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Judges a leaf whose event is gone.
    pub(super) async fn judge_gone(&mut self, leaf: &StoredLeaf, report: &mut Report) -> Result<(), StoreError> {
        if !self.planned.contains(leaf.index) {
            self.read_on(report).await?;
        }
        if self.planned.contains(leaf.index) {
            report.purged += 1;
            return Ok(());
        }
        let (damage, how) = match leaf.seed {
            StoredSeed::Gone => (Damage::PurgeUnaccounted, "was purged"),
            _ => (Damage::Missing, "is gone"),
        };
        let why = match self.keys {
            [] => "no retention key was given, so no purge can account for it",
            _ => "no signed purge accounts for it",
        };
        let text = format!("the event of leaf {} {how}, and {why}", leaf.index);
        report.add(damage, Some(leaf.index), Some(leaf.event_id), text);
        Ok(())
    }

    /// Judges a leaf whose event is there. Returns false if the event is not to be compared with the leaf.
    pub(super) fn judge_present(&self, leaf: &StoredLeaf, report: &mut Report) -> bool {
        let is_gone = leaf.seed == StoredSeed::Gone;
        let (damage, text) = match (is_gone, self.planned.contains(leaf.index)) {
            (true, true) => (Damage::Reinserted, "was purged, and is there again"),
            (false, true) if self.done.contains(leaf.index) => (
                Damage::PurgeRolledBack,
                "was purged, and is there again with its seed: from an older copy of the store",
            ),
            (true, false) => (Damage::Edited, "has lost its seed, and was not purged"),
            (false, _) => return true,
        };
        report.add(damage, Some(leaf.index), Some(leaf.event_id), format!("the event of leaf {} {text}", leaf.index));
        !is_gone
    }

    /// Judges the erased cells of a leaf whose event is there. Returns false if the event is not to be counted as intact.
    pub(super) async fn judge_erased(
        &mut self,
        leaf: &StoredLeaf,
        event: &AuditEvent,
        report: &mut Report,
    ) -> Result<bool, StoreError> {
        let salts = surviving(&leaf.seed);
        if !self.erasures.judge_done(leaf, salts.as_ref(), report) {
            return Ok(false);
        }
        let Some(salts) = salts else { return Ok(true) };
        if !self.erasures.account_for(leaf, event, &salts) {
            self.read_on(report).await?;
        }
        if let Some(cell) = self.erasures.unaccounted(leaf, &salts) {
            let why = match self.keys {
                [] => "no retention key was given, so no erasure can account for it",
                _ => "no signed erasure accounts for it",
            };
            let text = format!("the cell {cell} of the event of leaf {} is erased, and {why}", leaf.index);
            report.add(Damage::ErasureForged, Some(leaf.index), Some(leaf.event_id), text);
            return Ok(false);
        }
        Ok(self.erasures.judge_values(leaf, event, &salts, report))
    }

    /// Checks that an event that records a purge or an erasure is the one that was signed.
    pub(super) async fn check_event(
        &mut self,
        leaf: &StoredLeaf,
        event: &AuditEvent,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let is_purge = event.event_type == EventType::AUDIT_PURGE;
        if self.keys.is_empty() || !(is_purge || event.event_type == EventType::AUDIT_ERASE) {
            return Ok(());
        }
        if !self.events.contains_key(&event.event_id) {
            self.read_on(report).await?;
        }
        // Of a purge that died, the recovery of a log makes the end: `unknown`, of a purge that was rightly begun.
        let begun = event.request.started_event_id.filter(|_| event.phase == Phase::Unknown);
        if begun.is_some_and(|begun| self.events.contains_key(&begun) || self.unsigned.contains(&begun)) {
            return Ok(());
        }
        let text = match self.events.get(&event.event_id) {
            Some(digest) if *digest == RemovalNote::digest_of(event) => return Ok(()),
            // The digest is over erased values too. What is left of the event is compared with its leaf.
            Some(_) if surviving(&leaf.seed).is_some() => return Ok(()),
            Some(_) => "is not the one that the retention key has signed",
            None if event.created_at < self.sealed_since => {
                self.unsigned.insert(event.event_id);
                return Ok(());
            }
            None if is_purge => "claims a purge, and the retention key has not signed it",
            None => "claims an erasure, and the retention key has not signed it",
        };
        let text = format!("the event of leaf {} {text}", leaf.index);
        let damage = if is_purge { Damage::PurgeForged } else { Damage::ErasureForged };
        report.add(damage, Some(leaf.index), Some(event.event_id), text);
        Ok(())
    }
}

/// Each has at most a mebibyte.
const PAGE: usize = 16;
const LEAVES: usize = 2048;
