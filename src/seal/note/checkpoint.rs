//! The head of a tree.

use std::fmt;
use std::str::FromStr;

use super::{NoteError, SignedNote, VerifierKey};
use crate::seal::error::decimal;
use crate::seal::{Hash, SealError};

/// The size and the root of a log's tree (C2SP tlog-checkpoint v1.0.0): the text of a [`SignedNote`].
///
/// ```
/// use tower_audit::seal::{Checkpoint, SignedNote, Signer, TreeEdge};
///
/// let signer = Signer::from_seed("example.com/audit", [7; 32])?;
/// let checkpoint = Checkpoint::new("example.com/audit", TreeEdge::new().size(), TreeEdge::new().root())?;
/// let note = SignedNote::sign(checkpoint.to_string(), &[&signer])?;
/// assert_eq!(Checkpoint::open(&note, &[signer.verifier_key()])?, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The identity of the log.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// Lines that follow, without meaning here. We write none.
    pub extension_lines: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    ///
    /// # Errors
    /// The origin is empty or has a control character.
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Result<Self, SealError> {
        let origin = origin.into();
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(SealError::text("origin", &origin, "one line of text such as `example.com/audit`"));
        }
        Ok(Self { origin, size, root, extension_lines: Vec::new() })
    }

    /// Returns the checkpoint of a note that a key of the log has signed: an Ed25519 key whose name is the origin.
    ///
    /// # Errors
    /// No such key has signed it, a signature of one of the keys is wrong, or the text is no checkpoint.
    pub fn open(note: &SignedNote, keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let verified = note.verify(keys)?;
        let checkpoint: Self = note.text().parse()?;
        let is_of_log = |key: &VerifierKey| {
            key.signature_type() == super::SignatureType::Ed25519 && key.name() == checkpoint.origin
        };
        if !verified.iter().any(|verified| is_of_log(verified.key)) {
            return Err(NoteError::Malformed(SealError::new(format!(
                "no key of the given ones that has the name {:?} has signed the checkpoint of this origin",
                checkpoint.origin
            ))));
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)?;
        self.extension_lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let Some(lines) = text.strip_suffix('\n') else {
            return Err(SealError::new("the checkpoint does not end in a line feed"));
        };
        let lines: Vec<&str> = lines.split('\n').collect();
        let [origin, size, root, extension_lines @ ..] = &lines[..] else {
            let expected = "expected three: origin, size and root";
            return Err(SealError::new(format!("a checkpoint of {} lines: {expected}", lines.len())));
        };
        let size = decimal(size).ok_or_else(|| {
            SealError::at_line(2, SealError::text("size", size, "a decimal number without leading zeros"))
        })?;
        let root = root.parse().map_err(|error| SealError::at_line(3, error))?;
        let mut checkpoint = Self::new(*origin, size, root).map_err(|error| SealError::at_line(1, error))?;
        if let Some(empty) = extension_lines.iter().position(|line| line.is_empty()) {
            return Err(SealError::at_line(4 + empty, "an empty extension line"));
        }
        checkpoint.extension_lines = extension_lines.iter().map(|line| (*line).to_owned()).collect();
        Ok(checkpoint)
    }
}
