//! The text that a retention key signs.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{ErasedCells, LeafRanges};
use crate::event::{AuditEvent, EventId};
use crate::seal::error::decimal;
use crate::seal::{Leaf, NoteError, SealError, Seed, SignatureType, SignedNote, VerifierKey};

/// The end of the name of a retention key: its beginning is the origin of the log.
pub const RETENTION_SUFFIX: &str = "/retention";

/// The action that a removal is a step of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemovalKind {
    /// Whole events are deleted.
    Purge,
    /// Cells of events are blanked.
    Erasure,
}

impl RemovalKind {
    /// Returns the name, as in the note.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purge => "purge",
            Self::Erasure => "erasure",
        }
    }
}

/// One step of a purge or an erasure, in a note that the retention key of the log signs.
///
/// ```text
/// tower-audit/removal/v1
/// example.com/audit                          the origin
/// number 17                                  its number among the removals of the log
/// purge 0199a7b0000070008000000000000001     the id of its `started` event; of an erasure, `erasure` and the id
/// event 0199a7b0… FZzBd1…=                   an event that records it, and its digest
/// part 3                                     the number of a part; its leaves follow
/// done 3                                     the parts up to this one are deleted
/// ids mX2V…=                                 the digest of the ids of the part's events
/// pseudonym former-user-17                   the text that an erasure puts in place of names
/// leaves 0-999 1005
/// cells 2,5,6 0-999                          the cells that an erasure blanks, by their numbers, of which leaves
/// cells 2 1005
/// ```
///
/// The lines from `event` on are there as needed. A part is signed before its events are deleted or its cells blanked: they may be gone from
/// then on. Once it is done, they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a text of its lines")]
pub struct RemovalNote {
    /// The origin of the log.
    pub origin: String,
    /// The number, from 0. A removal that is left out leaves a gap.
    pub number: u64,
    /// The action.
    pub kind: RemovalKind,
    /// The id of the action's `started` event.
    pub started: EventId,
    /// An event that records the action, with its [digest](Self::digest_of).
    pub event: Option<(EventId, [u8; 32])>,
    /// The number of the part whose leaves are listed, from 1.
    pub part: Option<u64>,
    /// The number of parts whose events are deleted, or whose cells are blanked.
    pub done: Option<u64>,
    /// The [digest](Self::digest_of_ids) of the ids of the part's events.
    pub ids: Option<[u8; 32]>,
    /// The text that stands in place of erased names, of a part of an erasure.
    pub pseudonym: Option<String>,
    /// The leaves of the part.
    pub leaves: LeafRanges,
    /// The erased cells of the leaves, of a part of an erasure: each leaf is in one of them.
    pub cells: Vec<ErasedCells>,
}

impl RemovalNote {
    /// A note of this action that lists nothing.
    pub fn new(origin: impl Into<String>, kind: RemovalKind, started: EventId) -> Self {
        Self {
            origin: origin.into(),
            number: 0,
            kind,
            started,
            event: None,
            part: None,
            done: None,
            ids: None,
            pseudonym: None,
            leaves: LeafRanges::default(),
            cells: Vec::new(),
        }
    }

    /// Returns the SHA-256 of ids, in the order of their leaves. So the numbers of leaves are of no use for other events.
    pub fn digest_of_ids(ids: impl IntoIterator<Item = EventId>) -> [u8; 32] {
        let mut digest = Sha256::new();
        ids.into_iter().for_each(|id| digest.update(id.to_bytes()));
        digest.finalize().into()
    }

    /// Returns the digest of an event that records a purge or an erasure: `fields` of its [`Leaf`], with a seed of zeros. It is over every value, in
    /// canonical form.
    pub fn digest_of(event: &AuditEvent) -> [u8; 32] {
        *Leaf::of(event, &Seed::from_bytes([0; 32])).fields()
    }

    /// Returns the text of a note that the retention key of its log has signed: an Ed25519 key with the name `ORIGIN/retention`.
    ///
    /// # Errors
    /// No such key has signed it, a signature of one of the keys is wrong, or the text is no removal.
    pub fn open(note: &SignedNote, keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let verified = note.verify(keys)?;
        let removal: Self = note.text().parse()?;
        let is_of_log = |key: &VerifierKey| {
            key.signature_type() == SignatureType::Ed25519
                && key.name().strip_suffix(RETENTION_SUFFIX) == Some(&*removal.origin)
        };
        if !verified.iter().any(|verified| is_of_log(verified.key)) {
            return Err(NoteError::Malformed(SealError::new(format!(
                "no key with the name `{}{RETENTION_SUFFIX}` has signed the removal",
                removal.origin
            ))));
        }
        Ok(removal)
    }
}

impl fmt::Display for RemovalNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}\n{}\nnumber {}\n{} {}\n", self.origin, self.number, self.kind.as_str(), self.started)?;
        if let Some((id, digest)) = &self.event {
            writeln!(f, "event {id} {}", STANDARD.encode(digest))?;
        }
        if let Some(part) = self.part {
            writeln!(f, "part {part}")?;
        }
        if let Some(done) = self.done {
            writeln!(f, "done {done}")?;
        }
        if let Some(ids) = &self.ids {
            writeln!(f, "ids {}", STANDARD.encode(ids))?;
        }
        if let Some(pseudonym) = &self.pseudonym {
            writeln!(f, "pseudonym {pseudonym}")?;
        }
        if !self.leaves.is_empty() {
            writeln!(f, "leaves {}", self.leaves)?;
        }
        self.cells.iter().try_for_each(|cells| writeln!(f, "cells {cells}"))
    }
}

impl FromStr for RemovalNote {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(SealError::at_line(1, format!("expected `{HEADER}`")));
        }
        let origin = lines.next().unwrap_or_default();
        let number = lines.next().and_then(|line| decimal(line.strip_prefix("number ")?));
        let number = number.ok_or_else(|| SealError::at_line(3, "expected `number NUMBER`"))?;
        let kind = lines.next().and_then(|line| {
            let (kind, id) = line.split_once(' ')?;
            let kind = [RemovalKind::Purge, RemovalKind::Erasure].into_iter().find(|known| known.as_str() == kind)?;
            Some((kind, id.parse().ok()?))
        });
        let (kind, started) =
            kind.ok_or_else(|| SealError::at_line(4, "expected `purge EVENT_ID` or `erasure EVENT_ID`"))?;
        let mut removal = Self { number, ..Self::new(origin, kind, started) };
        for (number, line) in lines.enumerate() {
            removal.read_line(line).ok_or_else(|| {
                let expected = "`event ID DIGEST`, `part NUMBER`, `done NUMBER`, `ids DIGEST`, `pseudonym TEXT`, `leaves RANGES` \
                                or `cells NUMBERS RANGES`";
                SealError::at_line(number + 5, SealError::text("line of a removal", line, expected))
            })?;
        }
        // One text for one removal: the lines in their order, each once, numbers and ids in their usual form.
        let is_part = removal.part.is_some();
        let is_whole =
            is_part != removal.leaves.is_empty() && is_part == removal.ids.is_some() && removal.has_cells_of_its_kind();
        if origin.is_empty() || removal.to_string() != text || !is_whole {
            return Err(SealError::new(
                "lines of a removal that are repeated, out of order, or not as they are written",
            ));
        }
        Ok(removal)
    }
}

impl RemovalNote {
    /// Returns true if each leaf of an erasure has erased cells, and no other leaf, and no leaf of a purge.
    fn has_cells_of_its_kind(&self) -> bool {
        match self.kind {
            RemovalKind::Purge => self.cells.is_empty() && self.pseudonym.is_none(),
            RemovalKind::Erasure => {
                let mut all = LeafRanges::default();
                self.cells.iter().for_each(|cells| all.add(&cells.leaves));
                let listed = self.cells.iter().fold(0_u64, |count, cells| count.saturating_add(cells.leaves.count()));
                all == self.leaves && listed == all.count() && (self.pseudonym.is_none() || self.part.is_some())
            }
        }
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(' ')?;
        match name {
            "event" => {
                let (id, digest) = value.split_once(' ')?;
                self.event = Some((id.parse().ok()?, STANDARD.decode(digest).ok()?.try_into().ok()?));
            }
            "part" => self.part = Some(decimal(value)?),
            "done" => self.done = Some(decimal(value)?),
            "ids" => self.ids = Some(STANDARD.decode(value).ok()?.try_into().ok()?),
            "pseudonym" => self.pseudonym = Some(value.to_owned()),
            "leaves" => self.leaves = value.parse().ok()?,
            "cells" => self.cells.push(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

const HEADER: &str = "tower-audit/removal/v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::seal::Signer;

    fn removal() -> RemovalNote {
        let mut removal =
            RemovalNote::new("example.com/audit", RemovalKind::Purge, EventId::from_u128(0x0199_a7b0 << 96));
        removal.part = Some(2);
        removal.ids = Some(RemovalNote::digest_of_ids([EventId::from_u128(7)]));
        removal.leaves = "0-999 1005".parse().unwrap();
        removal
    }

    #[test]
    fn a_removal_is_what_the_retention_key_of_its_log_signed() {
        let key = Signer::from_seed("example.com/audit/retention", [3; 32]).unwrap();
        let note = SignedNote::sign(removal().to_string(), &[&key]).unwrap();
        assert_eq!(RemovalNote::open(&note, &[key.verifier_key()]).unwrap(), removal());
        for name in ["example.com/audit", "example.com/other/retention", "example.com/audit/retention/retention"] {
            let other = Signer::from_seed(name, [3; 32]).unwrap();
            let note = SignedNote::sign(removal().to_string(), &[&other]).unwrap();
            let error = RemovalNote::open(&note, &[other.verifier_key()]).unwrap_err().to_string();
            assert!(error.contains("no key with the name `example.com/audit/retention`"), "{name}: {error}");
        }
    }

    #[test]
    fn each_leaf_of_an_erasure_has_its_cells() {
        let mut erasure = removal();
        erasure.kind = RemovalKind::Erasure;
        erasure.pseudonym = Some("former user".into());
        erasure.cells = vec!["2,5,6 0-999".parse().unwrap(), "2 1005".parse().unwrap()];
        let text = erasure.to_string();
        assert_eq!(text.parse::<RemovalNote>().unwrap(), erasure);
        for (from, to) in [
            ("erasure 0199", "purge 0199"),
            ("erasure 0199", "deletion 0199"),
            ("cells 2 1005\n", ""),
            ("cells 2 1005\n", "cells 2 1005\ncells 3 1005\n"),
            ("cells 2 1005\n", "cells 2 1006\n"),
            ("2,5,6", "5,2,6"),
            ("2,5,6", "2,2,6"),
            ("2,5,6", "2,5,65536"),
            ("2,5,6", "2,5,06"),
            ("leaves 0-999 1005\n", "leaves 0-999\n"),
        ] {
            let changed = text.replace(from, to);
            assert!(changed != text && changed.parse::<RemovalNote>().is_err(), "{changed}");
        }
    }

    #[test]
    fn each_line_is_read_and_written_again() {
        let mut full = removal();
        full.event = Some((EventId::from_u128(7), RemovalNote::digest_of(&AuditEvent::new(EventType::AUDIT_PURGE))));
        full.done = Some(2);
        for removal in
            [removal(), full.clone(), RemovalNote { part: None, ids: None, leaves: LeafRanges::default(), ..full }]
        {
            assert_eq!(removal.to_string().parse::<RemovalNote>().unwrap(), removal);
        }
        let text = removal().to_string();
        let ids = format!("ids {}\n", STANDARD.encode(removal().ids.unwrap()));
        for (from, to) in [
            ("removal/v1", "removal/v2"),
            ("example.com/audit\n", "\n"),
            ("purge 0199a7b0", "purge {0199a7b0"),
            ("part 2", "part 02"),
            ("part 2\n", "part 2\npart 2\n"),
            ("part 2\n", ""),
            ("part 2\n", "part 2\nother 1\n"),
            ("number 0", "number 00"),
            ("number 0\n", ""),
            ("ids ", "ids ="),
            (&ids, ""),
            ("leaves 0-999 1005\n", ""),
            ("leaves 0-999 1005\n", "leaves 0-999 1005"),
            (&format!("{ids}leaves 0-999 1005\n"), &format!("leaves 0-999 1005\n{ids}")),
        ] {
            let changed = text.replace(from, to);
            assert!(changed != text && changed.parse::<RemovalNote>().is_err(), "{changed}");
        }
    }
}
