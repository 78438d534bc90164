//! The signed erasures of a log: which cells may be blank, which must be, and what stands in them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::finding::{Damage, Report};
use super::signed_pseudonyms::{SignedName, SignedNames};
use crate::event::{AuditEvent, EventId};
use crate::seal::{Cell, ErasedCells, LeafRanges, RemovalNote, SurvivingSalts};
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
    /// The number of finished parts of each erasure, before the current page of leaves was read.
    finished: HashMap<EventId, u64>,
    /// The texts in place of names, by the numbers of cells.
    names: BTreeMap<u16, SignedNames>,
}

/// The judgement of the text that stands in place of a name.
enum NameState {
    Signed,
    /// It was signed, and a later erasure has replaced it.
    Replaced,
    Unsigned,
}

impl Erasures {
    /// Adds a signed part. Its cells may be blank from then on.
    pub(super) fn plan(&mut self, note: &RemovalNote, part: u64) {
        add_to(&mut self.planned, &note.cells);
        let text = note.pseudonym.as_deref().map(Arc::from);
        let name = Arc::new(SignedName { erasure: note.started, part, text });
        for ErasedCells { cells, leaves } in &note.cells {
            let names = cells.iter().filter(|number| SurvivingSalts::fixed_cell(**number).is_some_and(is_name));
            names.for_each(|number| self.names.entry(*number).or_default().add(leaves, &name));
        }
    }

    /// Begins anew with the cells that are done.
    pub(super) fn clear_done(&mut self) {
        self.done.clear();
        self.done_leaves = LeafRanges::default();
        self.finished.clear();
    }

    /// Adds the cells of a finished part.
    pub(super) fn note_done(&mut self, erasure: EventId, part: u64, cells: &[ErasedCells]) {
        add_to(&mut self.done, cells);
        cells.iter().for_each(|cells| self.done_leaves.add(&cells.leaves));
        let finished = self.finished.entry(erasure).or_default();
        *finished = part.max(*finished);
    }

    /// Returns true if the signed erasures that were read account for each erased cell and for what stands in it.
    pub(super) fn account_for(&self, leaf: &StoredLeaf, event: &AuditEvent, salts: &SurvivingSalts) -> bool {
        self.unaccounted(leaf, salts).is_none() && self.wrong_value(leaf, event, salts).is_none()
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

    /// Reports values that no erasure has put into erased cells, and a mark that is not the erasure's. Returns true if there is none.
    pub(super) fn judge_values(
        &self,
        leaf: &StoredLeaf,
        event: &AuditEvent,
        salts: &SurvivingSalts,
        report: &mut Report,
    ) -> bool {
        let mut found = |damage, text: String| {
            report.add(damage, Some(leaf.index), Some(leaf.event_id), text);
            false
        };
        match self.wrong_value(leaf, event, salts) {
            Some((cell, NameState::Replaced)) => {
                return found(
                    Damage::ErasureRolledBack,
                    format!(
                        "the erased cell `{}` of the event of leaf {} has a text that a later erasure has replaced: from an older copy of the store",
                        cell.name(),
                        leaf.index
                    ),
                );
            }
            Some((cell, _)) => {
                return found(
                    Damage::ErasureForged,
                    format!(
                        "the erased cell `{}` of the event of leaf {} has a value that no signed erasure has put there",
                        cell.name(),
                        leaf.index
                    ),
                );
            }
            None => {}
        }
        let mut marked = event.clone();
        marked.mark_erased(salts.names_of_erased());
        if marked.extra != event.extra {
            return found(
                Damage::ErasureForged,
                format!(
                    "the mark `erased` of the event of leaf {} does not name the cells that were erased",
                    leaf.index
                ),
            );
        }
        true
    }

    /// Returns the first erased cell with a value that is not there by the newest signed erasure.
    fn wrong_value<'e>(
        &self,
        leaf: &StoredLeaf,
        event: &'e AuditEvent,
        salts: &SurvivingSalts,
    ) -> Option<(Cell<'e>, NameState)> {
        salts.values_of_erased(event).into_iter().find_map(|(number, cell, value)| {
            let state = match cell {
                Cell::UserEmail => self.judge_name(number, leaf, event.actor.user_email.as_deref()),
                Cell::ActingFor => self.judge_name(number, leaf, event.actor.acting_for.as_deref()),
                _ if value == "null" => NameState::Signed,
                _ => NameState::Unsigned,
            };
            (!matches!(state, NameState::Signed)).then_some((cell, state))
        })
    }

    /// Judges the text in place of a name, null included.
    ///
    /// The newest finished part has put it there, or a later one that may be at it.
    fn judge_name(&self, number: u16, leaf: &StoredLeaf, text: Option<&str>) -> NameState {
        let mut is_replaced = false;
        for name in self.names.get(&number).into_iter().flat_map(|names| names.of(leaf.index)) {
            if name.text.as_deref() == text {
                return if is_replaced { NameState::Replaced } else { NameState::Signed };
            }
            is_replaced |= self.finished.get(&name.erasure).is_some_and(|finished| name.part <= *finished);
        }
        NameState::Unsigned
    }
}

/// Returns true for the cells in which a pseudonym may stand.
fn is_name(cell: Cell<'_>) -> bool {
    matches!(cell, Cell::UserEmail | Cell::ActingFor)
}

fn add_to(sets: &mut BTreeMap<u16, LeafRanges>, cells: &[ErasedCells]) {
    for ErasedCells { cells, leaves } in cells {
        cells.iter().for_each(|cell| sets.entry(*cell).or_default().add(leaves));
    }
}
