//! The salts of an event of which cells were erased: the seed, from which all of them followed, is gone.

use std::fmt;

use sha2::Digest as _;

use super::commitment::{begin_fields, commitment};
use super::{Cell, Seed, cells};
use crate::event::{AuditEvent, ERASED_MEMBER};
use crate::seal::SealError;

/// The salts of the cells that are left of an event, and the commitments of those that were erased.
///
/// With them the leaf of the event is computed as before. Nothing tells the erased values: each commitment had a salt of 128 bits, and that is
/// gone with the seed.
///
/// ```text
/// "tower-audit/surviving-salts/v1\n" ‖ for each cell of the sealed event: 0x00 ‖ salt[16], or 0x01 ‖ commitment[32]
/// ```
///
/// `Debug` does not show the salts.
#[derive(Clone, PartialEq, Eq)]
pub struct SurvivingSalts(Vec<CellSalt>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum CellSalt {
    Kept([u8; 16]),
    /// The commitment of a cell whose salt is gone.
    Erased([u8; 32]),
}

/// Facts, and route and method: the first of the cells.
const NEVER_ERASED: usize = 2;

impl SurvivingSalts {
    /// The salts of a whole event.
    pub fn of(event: &AuditEvent, seed: &Seed) -> Self {
        Self(seed.salts(cells(event).len()).iter().map(|salt| CellSalt::Kept(*salt)).collect())
    }

    /// Replaces the salts of cells by their commitments. `event` still has the values.
    ///
    /// # Errors
    /// The event has more or fewer cells than these salts are for.
    pub fn erase(&mut self, event: &AuditEvent, is_erased: impl Fn(Cell<'_>) -> bool) -> Result<(), SealError> {
        let event = unmarked(event);
        let cells = self.cells_of(&event)?;
        let cells: Vec<(usize, [u8; 32])> = cells
            .into_iter()
            .filter_map(|(index, cell)| match (self.0.get(index)?, cell) {
                (CellSalt::Kept(salt), Some(cell)) if is_erased(cell) => Some((index, commitment(&event, cell, salt))),
                _ => None,
            })
            .collect();
        for (index, commitment) in cells {
            self.0[index] = CellSalt::Erased(commitment);
        }
        Ok(())
    }

    /// Replaces the salt of the unknown members, among which the mark of an erasure was sealed, by their commitment.
    pub(crate) fn erase_marked(&mut self, event: &AuditEvent) {
        let other = Cell::FIXED.iter().position(|cell| *cell == Cell::Other);
        if let Some(CellSalt::Kept(salt)) = other.and_then(|other| self.0.get(other)) {
            let commitment = commitment(event, Cell::Other, salt);
            other.into_iter().for_each(|other| self.0[other] = CellSalt::Erased(commitment));
        }
    }

    /// Returns the numbers of the erased cells, from 0, in the order of the sealed event.
    pub fn erased(&self) -> impl Iterator<Item = u16> {
        let erased = self.0.iter().enumerate().filter(|(_, salt)| matches!(salt, CellSalt::Erased(_)));
        erased.filter_map(|(index, _)| u16::try_from(index).ok())
    }

    /// Returns the cell with this number, if it is one that every event has.
    pub(crate) fn fixed_cell(number: u16) -> Option<Cell<'static>> {
        Cell::FIXED.get(usize::from(number)).copied()
    }

    /// Returns the names of the erased cells, for the mark of the event: `details` for each of its members, whose names are gone.
    pub(crate) fn names_of_erased(&self) -> impl Iterator<Item = String> {
        self.erased().map(|number| Self::fixed_cell(number).map_or_else(|| "details".to_owned(), Cell::name))
    }

    /// Returns the number of erased members of `details`.
    pub(crate) fn erased_details(&self) -> usize {
        self.erased().filter(|number| Self::fixed_cell(*number).is_none()).count()
    }

    /// Returns the erased cells with their numbers and the canonical JSON of the values that stand in them now. Erased members of `details` have none: they are removed.
    pub(crate) fn values_of_erased<'e>(&self, event: &'e AuditEvent) -> Vec<(u16, Cell<'e>, String)> {
        let unmarked = unmarked(event);
        self.erased()
            .filter_map(|number| Some((number, Self::fixed_cell(number)?)))
            .map(|(number, cell)| {
                let mut value = Vec::new();
                cell.write_value(&unmarked, &mut value);
                (number, cell, String::from_utf8_lossy(&value).into_owned())
            })
            .collect()
    }

    /// Returns the bytes that stand in place of the seed, and in the extra data of a proof.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = LABEL.to_vec();
        for salt in &self.0 {
            match salt {
                CellSalt::Kept(salt) => {
                    bytes.push(0);
                    bytes.extend_from_slice(salt);
                }
                CellSalt::Erased(commitment) => {
                    bytes.push(1);
                    bytes.extend_from_slice(commitment);
                }
            }
        }
        bytes
    }

    /// Reads the bytes of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// The label is another, a cell is incomplete or of no known kind, or a fixed cell is missing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let malformed = || {
            SealError::new(
                "no surviving salts: expected the line `tower-audit/surviving-salts/v1`, and 0 and 16 bytes or 1 and 32 bytes for each cell",
            )
        };
        let mut rest = bytes.strip_prefix(LABEL).ok_or_else(malformed)?;
        let mut salts = Vec::new();
        while let Some((kind, after)) = rest.split_first() {
            let (salt, after) = match kind {
                0 => after.split_first_chunk::<16>().map(|(salt, after)| (CellSalt::Kept(*salt), after)),
                1 => after.split_first_chunk::<32>().map(|(hash, after)| (CellSalt::Erased(*hash), after)),
                _ => None,
            }
            .ok_or_else(malformed)?;
            salts.push(salt);
            rest = after;
        }
        if salts.len() < Cell::FIXED.len() || u16::try_from(salts.len()).is_err() {
            return Err(malformed());
        }
        // The time and what happened are never erased: their commitments would let them be edited unseen.
        if salts[..NEVER_ERASED].iter().any(|salt| matches!(salt, CellSalt::Erased(_))) {
            return Err(SealError::new("surviving salts of an event whose facts are blank: no erasure blanks them"));
        }
        Ok(Self(salts))
    }

    /// Returns the digest over the commitments of the cells.
    pub(super) fn fields_of(&self, event: &AuditEvent) -> Result<[u8; 32], SealError> {
        let event = unmarked(event);
        let cells = self.cells_of(&event)?;
        let mut fields = begin_fields(cells.len());
        for ((_, cell), salt) in cells.iter().zip(&self.0) {
            match (salt, cell) {
                (CellSalt::Kept(salt), Some(cell)) => fields.update(commitment(&event, *cell, salt)),
                (CellSalt::Erased(commitment), _) => fields.update(commitment),
                // `cells_of` gives each kept salt a cell.
                (CellSalt::Kept(_), None) => {}
            }
        }
        Ok(fields.finalize().into())
    }

    /// Returns the cells of the sealed event in their order. An erased member of `details` is not in the event any more.
    fn cells_of<'e>(&self, event: &'e AuditEvent) -> Result<Vec<(usize, Option<Cell<'e>>)>, SealError> {
        let count = || SealError::new("the event has more or fewer members of `details` than salts are left");
        let mut there = cells(event);
        let mut cells = Vec::with_capacity(self.0.len());
        for (index, salt) in self.0.iter().enumerate() {
            let is_there = index < Cell::FIXED.len() || matches!(salt, CellSalt::Kept(_));
            let cell = if is_there { Some(there.next().ok_or_else(count)?) } else { None };
            cells.push((index, cell));
        }
        if there.next().is_some() { Err(count()) } else { Ok(cells) }
    }
}

impl fmt::Debug for SurvivingSalts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SurvivingSalts({} of {})", self.0.len() - self.erased().count(), self.0.len())
    }
}

/// The event without the mark of the erasure, which was not sealed.
fn unmarked(event: &AuditEvent) -> AuditEvent {
    let mut event = event.clone();
    event.extra.remove(ERASED_MEMBER);
    event
}

const LABEL: &[u8] = b"tower-audit/surviving-salts/v1\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventType, Target};
    use crate::seal::Leaf;

    fn event() -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.actor = Actor::user("alice@example.org");
        event.actor.remote_addr = Some("192.0.2.7".into());
        event.targets.insert(Target::new("order", 7));
        event.details = ["c", "a", "b"].into_iter().map(|name| (name.to_owned(), name.into())).collect();
        event.extra.insert("later".into(), 1.into());
        event
    }

    /// The leaf of the event stays what it was, whatever goes and in whatever order.
    #[test]
    fn the_leaf_outlives_its_values() {
        let seed = Seed::from_bytes([7; 32]);
        let mut event = event();
        let leaf = Leaf::of(&event, &seed);
        let mut salts = SurvivingSalts::of(&event, &seed);
        assert_eq!(Leaf::with_surviving(&event, &salts).unwrap(), leaf);

        salts.erase(&event, |cell| matches!(cell, Cell::UserEmail | Cell::Origin | Cell::Detail("b"))).unwrap();
        event.actor.user_email = None;
        event.actor.remote_addr = None;
        event.details.remove("b");
        event.mark_erased(salts.names_of_erased());
        assert_eq!(event.erased_cells(), ["actor.user_email", "details", "origin"]);
        assert_eq!(salts.erased_details(), 1);
        assert_eq!(Leaf::with_surviving(&event, &salts).unwrap(), leaf);
        assert_eq!(salts.erased().collect::<Vec<_>>(), [2, 5, 11]);

        salts.erase(&event, |cell| matches!(cell, Cell::Targets | Cell::Detail("a"))).unwrap();
        event.targets = crate::event::Targets::new();
        event.details.remove("a");
        let read = SurvivingSalts::from_bytes(&salts.to_bytes()).unwrap();
        assert_eq!(read, salts);
        assert_eq!(Leaf::with_surviving(&event, &read).unwrap(), leaf);
        assert_eq!(salts.erased().collect::<Vec<_>>(), [2, 5, 8, 10, 11]);

        event.details.insert("c".into(), "d".into());
        assert_ne!(Leaf::with_surviving(&event, &salts).unwrap(), leaf, "a kept value that was edited");
        event.details.insert("d".into(), "d".into());
        assert!(Leaf::with_surviving(&event, &salts).is_err(), "a member more");
        event.details.clear();
        assert!(Leaf::with_surviving(&event, &salts).is_err(), "a member less");
    }

    #[test]
    fn nothing_of_an_erased_cell_is_left_in_the_bytes() {
        let (event, seed) = (event(), Seed::from_bytes([7; 32]));
        let mut salts = SurvivingSalts::of(&event, &seed);
        let erased = *seed.salts(13).iter().nth(2).unwrap();
        let holds =
            |salts: &SurvivingSalts, part: &[u8]| salts.to_bytes().windows(part.len()).any(|bytes| bytes == part);
        assert!(holds(&salts, &erased));
        salts.erase(&event, |cell| matches!(cell, Cell::UserEmail)).unwrap();
        assert!(!holds(&salts, &erased) && !holds(&salts, seed.as_bytes()));
    }

    /// With their commitments in place of their salts, the time and the type of an event could be edited unseen.
    #[test]
    fn the_facts_are_never_erased() {
        let (mut event, seed) = (event(), Seed::from_bytes([7; 32]));
        for never in [Cell::Facts, Cell::Resource] {
            let mut salts = SurvivingSalts::of(&event, &seed);
            salts.erase(&event, |cell| cell == never).unwrap();
            let error = SurvivingSalts::from_bytes(&salts.to_bytes()).unwrap_err();
            assert!(error.to_string().contains("facts are blank"), "{never:?}: {error}");
        }
        let mut salts = SurvivingSalts::of(&event, &seed);
        salts.erase(&event, |cell| !matches!(cell, Cell::Facts | Cell::Resource)).unwrap();
        let erased = SurvivingSalts::from_bytes(&salts.to_bytes()).unwrap();
        assert_eq!(erased.erased().count(), 11);
        event.details.clear();
        event.outcome = Some(500);
        assert_ne!(Leaf::with_surviving(&event, &erased).unwrap(), Leaf::of(&self::event(), &seed));
    }

    #[test]
    fn other_bytes_are_no_salts() {
        let bytes = SurvivingSalts::of(&event(), &Seed::from_bytes([7; 32])).to_bytes();
        assert!(SurvivingSalts::from_bytes(&bytes).is_ok());
        for (what, bytes) in [
            ("nothing", Vec::new()),
            ("a label alone", LABEL.to_vec()),
            ("a byte less", bytes[..bytes.len() - 1].to_vec()),
            ("a byte more", [&bytes[..], &[0]].concat()),
            ("another kind", [&bytes[..], &[2; 17]].concat()),
            ("too few cells", bytes[..LABEL.len() + 9 * 17].to_vec()),
        ] {
            assert!(SurvivingSalts::from_bytes(&bytes).is_err(), "{what}");
        }
    }
}
