//! The text that a retention key signs.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::LeafRanges;
use crate::event::{AuditEvent, EventId};
use crate::seal::error::decimal;
use crate::seal::{Leaf, NoteError, SealError, Seed, SignatureType, SignedNote, VerifierKey};

/// The end of the name of a retention key: its beginning is the origin of the log.
pub const RETENTION_SUFFIX: &str = "/retention";

/// One step of a purge, in a note that the retention key of the log signs.
///
/// ```text
/// tower-audit/removal/v1
/// example.com/audit                          the origin
/// number 17                                  its number among the removals of the log
/// purge 0199a7b0000070008000000000000001     the id of the purge's `started` event
/// event 0199a7b0… FZzBd1…=                   an event that records the purge, and its digest
/// part 3                                     the number of a part; its leaves follow
/// done 3                                     the parts up to this one are deleted
/// ids mX2V…=                                 the digest of the ids of the part's events
/// leaves 0-999 1005
/// ```
///
/// The last five lines are there as needed. A part is signed before its events are deleted: they may be gone from then on. Once it is
/// done, they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a text of its lines")]
pub struct RemovalNote {
    /// The origin of the log.
    pub origin: String,
    /// The number, from 0. A removal that is left out leaves a gap.
    pub number: u64,
    /// The id of the `started` event of the purge.
    pub purge: EventId,
    /// An event that records the purge, with its [digest](Self::digest_of).
    pub event: Option<(EventId, [u8; 32])>,
    /// The number of the part whose leaves are listed, from 1.
    pub part: Option<u64>,
    /// The number of parts whose events are deleted.
    pub done: Option<u64>,
    /// The [digest](Self::digest_of_ids) of the ids of the part's events.
    pub ids: Option<[u8; 32]>,
    /// The leaves of the part.
    pub leaves: LeafRanges,
}

impl RemovalNote {
    /// A note of this purge that lists nothing.
    pub fn new(origin: impl Into<String>, purge: EventId) -> Self {
        Self {
            origin: origin.into(),
            number: 0,
            purge,
            event: None,
            part: None,
            done: None,
            ids: None,
            leaves: LeafRanges::default(),
        }
    }

    /// Returns the SHA-256 of ids, in the order of their leaves. So the numbers of leaves are of no use for other events.
    pub fn digest_of_ids(ids: impl IntoIterator<Item = EventId>) -> [u8; 32] {
        let mut digest = Sha256::new();
        ids.into_iter().for_each(|id| digest.update(id.to_bytes()));
        digest.finalize().into()
    }

    /// Returns the digest of an event that records a purge: `fields` of its [`Leaf`], with a seed of zeros. It is over every value, in
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
        write!(f, "{HEADER}\n{}\nnumber {}\npurge {}\n", self.origin, self.number, self.purge)?;
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
        if !self.leaves.is_empty() {
            writeln!(f, "leaves {}", self.leaves)?;
        }
        Ok(())
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
        let purge = lines.next().and_then(|line| line.strip_prefix("purge ")?.parse().ok());
        let purge = purge.ok_or_else(|| SealError::at_line(4, "expected `purge EVENT_ID`"))?;
        let mut removal = Self { number, ..Self::new(origin, purge) };
        for (number, line) in lines.enumerate() {
            removal.read_line(line).ok_or_else(|| {
                let expected = "`event ID DIGEST`, `part NUMBER`, `done NUMBER`, `ids DIGEST` or `leaves RANGES`";
                SealError::at_line(number + 5, SealError::text("line of a removal", line, expected))
            })?;
        }
        // One text for one removal: the lines in their order, each once, numbers and ids in their usual form.
        let is_part = removal.part.is_some();
        let is_whole = is_part != removal.leaves.is_empty() && is_part == removal.ids.is_some();
        if origin.is_empty() || removal.to_string() != text || !is_whole {
            return Err(SealError::new(
                "lines of a removal that are repeated, out of order, or not as they are written",
            ));
        }
        Ok(removal)
    }
}

impl RemovalNote {
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
            "leaves" => self.leaves = value.parse().ok()?,
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
        let mut removal = RemovalNote::new("example.com/audit", EventId::from_u128(0x0199_a7b0 << 96));
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
