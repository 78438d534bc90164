//! The signed erasures of a log: which cells may be blank, and which must be.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Damage, Report};
use crate::event::AuditEvent;
use crate::seal::{Cell, ErasedCells, LeafRanges, SurvivingSalts};
use crate::store::StoredLeaf;

/// The cells that the retention key has signed, by their numbers, with the leaves whose events have them.
#[derive(Default)]
pub(super) struct Erasures {
    /// The cells that may be blank.
    planned: BTreeMap<u16, LeafRanges>,
    /// The cells that were blank before the current page of leaves was read.
    done: BTreeMap<u16, LeafRanges>,
    /// The leaves of `done`.
    done_leaves: LeafRanges,
    /// The texts that may stand in place of a name.
    pseudonyms: BTreeMap<String, LeafRanges>,
}

impl Erasures {
    pub(super) fn plan(&mut self, cells: &[ErasedCells], leaves: &LeafRanges, pseudonym: Option<&str>) {
        add_to(&mut self.planned, cells);
        if let Some(pseudonym) = pseudonym {
            self.pseudonyms.entry(pseudonym.to_owned()).or_default().add(leaves);
        }
    }

    /// Begins anew with the cells that are done.
    pub(super) fn clear_done(&mut self) {
        self.done.clear();
        self.done_leaves = LeafRanges::default();
    }

    pub(super) fn note_done(&mut self, cells: &[ErasedCells]) {
        add_to(&mut self.done, cells);
        cells.iter().for_each(|cells| self.done_leaves.add(&cells.leaves));
    }

    /// Returns the first erased cell that no signed erasure lists.
    pub(super) fn unaccounted(&self, leaf: &StoredLeaf, salts: &SurvivingSalts) -> Option<u16> {
        let is_planned = |cell: &u16| self.planned.get(cell).is_some_and(|leaves| leaves.contains(leaf.index));
        salts.erased().find(|cell| !is_planned(cell))
    }

    /// Reports a leaf whose cells a finished erasure has blanked, and that has its salts again. Returns true if there is none.
    pub(super) fn judge_done(&self, leaf: &StoredLeaf, salts: Option<&SurvivingSalts>, report: &mut Report) -> bool {
        if !self.done_leaves.contains(leaf.index) {
            return true;
        }
        let erased: Vec<u16> = salts.into_iter().flat_map(SurvivingSalts::erased).collect();
        let is_back = |(cell, leaves): &(&u16, &LeafRanges)| leaves.contains(leaf.index) && !erased.contains(cell);
        let Some((cell, _)) = self.done.iter().find(is_back) else { return true };
        let text = format!(
            "the cell {cell} of the event of leaf {} was erased, and is there again with its salt: from an older copy of the store",
            leaf.index
        );
        report.add(Damage::ErasureRolledBack, Some(leaf.index), Some(leaf.event_id), text);
        false
    }

    /// Reports values that no erasure has put into erased cells. Returns true if there is none.
    pub(super) fn judge_values(
        &self,
        leaf: &StoredLeaf,
        event: &AuditEvent,
        salts: &SurvivingSalts,
        report: &mut Report,
    ) -> bool {
        for (cell, value) in salts.values_of_erased(event) {
            if value == "null" || self.is_pseudonym(cell, event, leaf.index) {
                continue;
            }
            let text = format!(
                "the erased cell `{}` of the event of leaf {} has a value that no signed erasure has put there",
                cell.name(),
                leaf.index
            );
            report.add(Damage::ErasureForged, Some(leaf.index), Some(leaf.event_id), text);
            return false;
        }
        let erased = salts.values_of_erased(event).into_iter().map(|(cell, _)| cell.name()).collect::<BTreeSet<_>>();
        let marked = event.erased_cells().into_iter().filter(|name| !name.starts_with("details"));
        if !marked.map(str::to_owned).collect::<BTreeSet<_>>().eq(&erased) {
            let text =
                format!("the event of leaf {} is marked as one that has lost other cells than it has", leaf.index);
            report.add(Damage::ErasureForged, Some(leaf.index), Some(leaf.event_id), text);
            return false;
        }
        true
    }

    fn is_pseudonym(&self, cell: Cell<'_>, event: &AuditEvent, index: u64) -> bool {
        let text = match cell {
            Cell::UserEmail => event.actor.user_email.as_deref(),
            Cell::ActingFor => event.actor.acting_for.as_deref(),
            _ => None,
        };
        text.and_then(|text| self.pseudonyms.get(text)).is_some_and(|leaves| leaves.contains(index))
    }
}

fn add_to(sets: &mut BTreeMap<u16, LeafRanges>, cells: &[ErasedCells]) {
    for ErasedCells { cells, leaves } in cells {
        cells.iter().for_each(|cell| sets.entry(*cell).or_default().add(leaves));
    }
}
