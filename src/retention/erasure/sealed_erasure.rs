//! An erasure of a sealed log: each part is signed before its cells are blanked.
//!
//! ```text
//! t0  `started` is signed and appended
//! t1  the cells of part 1 are signed, by their numbers and leaves: they may be blank from now on
//! t2  they are blanked; of each event, the salts that are left take the place of the seed
//! t3  `completed` is signed and appended, with the number of finished parts: their cells must be blank
//! ```
//!
//! A process that dies between t1 and t3 leaves a part of which some cells are blank. The next erasure finds the others again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::data_subject::DataSubject;
use super::erasable_cell::ErasableCell;
use crate::event::{AuditEvent, ERASED_MEMBER, EventId};
use crate::retention::removal_signer::RemovalSigner;
use crate::seal::{Cell, ErasedCells, Leaf, RemovalNote, Seed, SurvivingSalts};
use crate::store::{ErasedEvent, StoreError, StoredSeed};

/// The signed erasure of cells in a sealed log.
pub(super) struct SealedErasure<'a> {
    pub(super) signer: RemovalSigner<'a>,
    parts: u64,
    pub(super) done: u64,
}

/// The leaves of the events of a part, and the cells that are signed.
#[derive(Default)]
pub(super) struct SignedPart {
    by_event: HashMap<EventId, SignedLeaf>,
    pub(super) unsealed: u64,
    pub(super) damaged: u64,
}

struct SignedLeaf {
    index: u64,
    hash: [u8; 32],
    cells: Vec<u16>,
}

impl<'a> SealedErasure<'a> {
    pub(super) fn new(signer: RemovalSigner<'a>) -> Self {
        Self { signer, parts: 0, done: 0 }
    }

    /// Signs the cells of these events, as far as the events have leaves and are those that were sealed.
    pub(super) async fn sign_part(
        &mut self,
        person: &DataSubject,
        events: &[(AuditEvent, BTreeSet<ErasableCell>)],
    ) -> Result<SignedPart, StoreError> {
        let ids: Vec<EventId> = events.iter().map(|(event, _)| event.event_id).collect();
        let indexes = self.signer.leaves_of(&ids).await?;
        let mut part = SignedPart::default();
        for (event, cells) in events {
            let id = event.event_id;
            let leaf = match indexes.contains_key(&id) {
                true => self.signer.sealing.leaf_of(id).await?,
                false => None,
            };
            let Some(leaf) = leaf else {
                part.unsealed += 1;
                continue;
            };
            match erased(person, event, cells, &leaf.seed, &leaf.hash) {
                Some((_, cells)) => {
                    part.by_event.insert(id, SignedLeaf { index: leaf.index, hash: leaf.hash, cells });
                }
                None => part.damaged += 1,
            }
        }
        if !part.by_event.is_empty() {
            self.parts += 1;
            let note = part.note(self.signer.note(), self.parts, person.pseudonym.clone());
            self.signer.store_note(note).await?;
        }
        Ok(part)
    }

    /// Notes that so many events of the last part were blanked. A part that lacks one stays open, and so do those after it: another erasure or purge
    /// has come to the event first, or the answer of the store was lost.
    pub(super) fn note_erased(&mut self, part: &SignedPart, erased: u64) {
        let is_whole = !part.by_event.is_empty() && erased == part.by_event.len() as u64;
        if is_whole && self.done + 1 == self.parts {
            self.done = self.parts;
        }
    }
}

impl SignedPart {
    pub(super) fn ids(&self) -> Vec<EventId> {
        self.by_event.keys().copied().collect()
    }

    /// Returns the event that takes the place of another: with no more blank cells than were signed, and none if it is not the sealed one.
    pub(super) fn replace(
        &self,
        person: &DataSubject,
        event: &AuditEvent,
        seed: Option<&StoredSeed>,
    ) -> Option<ErasedEvent> {
        let signed = self.by_event.get(&event.event_id)?;
        let cells = person.cells_of(event);
        let (erased, numbers) = erased(person, event, &cells, seed?, &signed.hash)?;
        let is_signed = numbers.iter().all(|number| signed.cells.contains(number));
        (is_signed && !numbers.is_empty()).then_some(erased)
    }

    fn note(&self, mut note: RemovalNote, part: u64, pseudonym: Option<String>) -> RemovalNote {
        let mut leaves: Vec<(u64, EventId)> = self.by_event.iter().map(|(id, leaf)| (leaf.index, *id)).collect();
        leaves.sort_unstable();
        let mut by_cells: BTreeMap<&[u16], Vec<u64>> = BTreeMap::new();
        for leaf in self.by_event.values() {
            by_cells.entry(&leaf.cells).or_default().push(leaf.index);
        }
        note.part = Some(part);
        note.pseudonym = pseudonym;
        note.ids = Some(RemovalNote::digest_of_ids(leaves.iter().map(|(_, id)| *id)));
        note.leaves = leaves.iter().map(|(index, _)| *index).collect();
        note.cells = by_cells
            .into_iter()
            .map(|(cells, leaves)| ErasedCells { cells: cells.to_vec(), leaves: leaves.into_iter().collect() })
            .collect();
        note
    }
}

/// Returns the event without the values of these cells, with the salts that are left, and the numbers of the cells that this blanks. A pseudonym of an
/// earlier erasure is a value like others. None if the event is not the one that was sealed.
fn erased(
    person: &DataSubject,
    event: &AuditEvent,
    cells: &BTreeSet<ErasableCell>,
    seed: &StoredSeed,
    hash: &[u8; 32],
) -> Option<(ErasedEvent, Vec<u16>)> {
    let mut cells = cells.clone();
    let mut event = event.clone();
    let mut salts = match seed {
        StoredSeed::Whole(seed) => {
            let seed = Seed::from_bytes(*seed);
            if Leaf::of(&event, &seed).hash().as_bytes() != hash {
                return None;
            }
            let salts = SurvivingSalts::of(&event, &seed);
            if !event.extra.contains_key(ERASED_MEMBER) {
                salts
            } else {
                // The mark was sealed with the event: of an erasure before the seal, or of the app. It is a member like others.
                let mut salts = salts;
                cells.insert(ErasableCell::Other);
                salts.erase_marked(&event);
                event.extra.remove(ERASED_MEMBER);
                salts
            }
        }
        StoredSeed::Other(bytes) => {
            let salts = SurvivingSalts::from_bytes(bytes).ok()?;
            let leaf = Leaf::with_surviving(&event, &salts).ok()?;
            if leaf.hash().as_bytes() != hash {
                return None;
            }
            salts
        }
        StoredSeed::Gone => return None,
    };
    let before: BTreeSet<u16> = match seed {
        StoredSeed::Other(_) => salts.erased().collect(),
        _ => BTreeSet::new(),
    };
    salts.erase(&event, |cell| is_among(&cells, cell)).ok()?;
    let is_blanked_again = |number: u16| SurvivingSalts::fixed_cell(number).is_some_and(|cell| is_among(&cells, cell));
    let numbers = salts.erased().filter(|number| !before.contains(number) || is_blanked_again(*number)).collect();
    let mut event = person.erase(&event, &cells);
    event.mark_erased(salts.names_of_erased());
    Some((ErasedEvent { event, seed: Some(salts.to_bytes()) }, numbers))
}

fn is_among(cells: &BTreeSet<ErasableCell>, cell: Cell<'_>) -> bool {
    cells.iter().any(|erased| match (erased, cell) {
        (ErasableCell::UserEmail, Cell::UserEmail)
        | (ErasableCell::ActingFor, Cell::ActingFor)
        | (ErasableCell::ApiKeyHash, Cell::ApiKeyHash)
        | (ErasableCell::Origin, Cell::Origin)
        | (ErasableCell::RequestUri, Cell::RequestUri)
        | (ErasableCell::Ids, Cell::Ids)
        | (ErasableCell::Targets, Cell::Targets)
        | (ErasableCell::Other, Cell::Other) => true,
        (ErasableCell::Detail(name), Cell::Detail(other)) => name == other,
        _ => false,
    })
}
