//! The statement by which the key of a log vouches for its successor.

use std::fmt;
use std::str::FromStr;

use super::{NoteError, SignatureType, SignedNote, Signer, VerifierKey};
use crate::seal::error::decimal;
use crate::seal::{Hash, SealError};

/// A statement of a log's key: another key signs the checkpoints from here on. It is the text of a [`SignedNote`].
///
/// ```text
/// tower-audit/key-rotation/v1
/// from example.com/audit+1c2f3a4b+Aabc…
/// to example.com/audit+5d6e7f80+Babc…
/// restored 4000 FZzBd1…=                     the tree of the copy that the log was restored from
/// lost 4711                                  the size of the largest tree that the old key has signed
/// ```
///
/// The last two lines are those of a log that was restored from an older copy of its own. Its new key has another name, because the name of a key is the
/// origin of a tree, and a tree has one history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRotation {
    /// The old key.
    pub from: VerifierKey,
    /// The new key.
    pub to: VerifierKey,
    /// The tree from which a restored log goes on.
    pub restored: Option<RestoredTree>,
}

/// The tree of a log that was restored from an older copy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoredTree {
    /// The number of leaves of the copy.
    pub size: u64,
    /// The root of the copy.
    pub root: Hash,
    /// The number of leaves of the largest tree that the old key has signed.
    pub lost: u64,
}

impl RestoredTree {
    /// A tree of `size` leaves with this root, of which `lost` leaves had been signed.
    pub fn new(size: u64, root: Hash, lost: u64) -> Self {
        Self { size, root, lost }
    }
}

impl KeyRotation {
    /// Signs the statement with the old key.
    ///
    /// # Errors
    /// The names do not fit: those of a rotation are one, and those of a restored log are two.
    pub fn sign(old: &Signer, to: VerifierKey, restored: Option<RestoredTree>) -> Result<SignedNote, SealError> {
        let rotation = Self { from: old.verifier_key(), to, restored };
        rotation.check()?;
        SignedNote::sign(rotation.to_string(), &[old])
    }

    /// Reads a statement that its old key has signed. Says nothing of whether that key is trusted.
    ///
    /// # Errors
    /// The text is none, or the old key has not signed it.
    pub fn open(note: &SignedNote) -> Result<Self, NoteError> {
        let rotation: Self = note.text().parse()?;
        note.verify(std::slice::from_ref(&rotation.from))?;
        Ok(rotation)
    }

    fn check(&self) -> Result<(), SealError> {
        let is_of_log = |key: &VerifierKey| key.signature_type() == SignatureType::Ed25519;
        if !is_of_log(&self.from) || !is_of_log(&self.to) {
            return Err(SealError::new("a rotation is of Ed25519 keys"));
        }
        let is_same = self.from.name() == self.to.name();
        match self.restored {
            _ if self.from == self.to => Err(SealError::new("a rotation is to another key")),
            None if !is_same => Err(SealError::new(format!(
                "the new key is of {:?}, and the old one of {:?}: a rotation keeps the origin",
                self.to.name(),
                self.from.name()
            ))),
            Some(_) if is_same => Err(SealError::new(format!(
                "the restored log has the origin {:?}, as the lost tree had: a tree has one history, so give it another origin",
                self.to.name()
            ))),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for KeyRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}\nfrom {}\nto {}\n", self.from, self.to)?;
        match &self.restored {
            Some(tree) => write!(f, "restored {} {}\nlost {}\n", tree.size, tree.root, tree.lost),
            None => Ok(()),
        }
    }
}

impl FromStr for KeyRotation {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let lines: Vec<&str> = text.split('\n').collect();
        let (from, to, restored) = match lines[..] {
            [HEADER, from, to, ""] => (from, to, None),
            [HEADER, from, to, restored, lost, ""] => (from, to, Some((restored, lost))),
            _ => return Err(SealError::new(format!("no rotation of a key: expected `{HEADER}`, `from` and `to`"))),
        };
        let key = |line: &str, name: &str, number| {
            let key =
                line.strip_prefix(name).ok_or_else(|| SealError::at_line(number, format!("expected `{name}VKEY`")));
            key?.parse::<VerifierKey>().map_err(|error| SealError::at_line(number, error))
        };
        let tree = |(restored, lost): (&str, &str)| {
            let (size, root) = restored.strip_prefix("restored ")?.split_once(' ')?;
            let lost = decimal(lost.strip_prefix("lost ")?)?;
            Some(RestoredTree { size: decimal(size)?, root: root.parse().ok()?, lost })
        };
        let restored = restored
            .map(|lines| {
                tree(lines).ok_or_else(|| SealError::at_line(4, "expected `restored SIZE ROOT` and `lost SIZE`"))
            })
            .transpose()?;
        let rotation = Self { from: key(from, "from ", 2)?, to: key(to, "to ", 3)?, restored };
        rotation.check()?;
        Ok(rotation)
    }
}

const HEADER: &str = "tower-audit/key-rotation/v1";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, seed: u8) -> Signer {
        Signer::from_seed(name, [seed; 32]).unwrap()
    }

    #[test]
    fn a_statement_is_what_the_old_key_has_signed() {
        let (old, new) = (key("example.com/audit", 1), key("example.com/audit", 2));
        let note = KeyRotation::sign(&old, new.verifier_key(), None).unwrap();
        let note: SignedNote = note.to_string().parse().unwrap();
        assert_eq!(KeyRotation::open(&note).unwrap().to, new.verifier_key());
        // The new key vouches for nothing.
        let forged = SignedNote::sign(note.text(), &[&new]).unwrap();
        assert!(matches!(KeyRotation::open(&forged), Err(NoteError::NoKnownSignature { .. })));
        let other = key("example.com/other", 3);
        assert!(KeyRotation::sign(&old, other.verifier_key(), None).is_err(), "another origin");
        assert!(KeyRotation::sign(&old, old.verifier_key(), None).is_err(), "the same key");
    }

    #[test]
    fn each_line_is_read_and_written_again() {
        let (old, new) = (key("example.com/audit", 1), key("example.com/audit-2", 2));
        let tree = RestoredTree::new(4000, Hash::of_leaf(b"x"), 4711);
        let text = KeyRotation::sign(&old, new.verifier_key(), Some(tree)).unwrap().text().to_owned();
        assert_eq!(text.parse::<KeyRotation>().unwrap().to_string(), text);
        let same = key("example.com/audit", 2);
        assert!(KeyRotation::sign(&old, same.verifier_key(), Some(tree)).is_err(), "the origin of the lost tree");
        for (from, to) in [
            ("rotation/v1", "rotation/v2"),
            ("from ", "by "),
            ("to ", "two "),
            ("restored 4000", "restored 04000"),
            ("lost 4711", "lost"),
            ("lost 4711\n", ""),
            ("lost 4711\n", "lost 4711\nmore\n"),
            ("lost 4711\n", "lost 4711"),
        ] {
            let changed = text.replace(from, to);
            assert!(changed != text && changed.parse::<KeyRotation>().is_err(), "{changed}");
        }
    }
}
