//! Proofs that can be checked offline.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::decimal;
use super::note::MAX_NOTE_BYTES;
use super::{Checkpoint, Hash, NoteError, SealError, SignedNote, TreeError, VerifierKey, verify_inclusion};

/// A proof that an entry is in a log (C2SP tlog-proof): its index, the path to the root, and a signed checkpoint. In files
/// it has the extension `.tlog-proof`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlogProof {
    /// Bytes for the application. Nothing authenticates them.
    pub extra: Option<Vec<u8>>,
    /// The index of the entry, from 0.
    pub index: u64,
    /// The hashes from the leaf's sibling upwards.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: SignedNote,
}

impl TlogProof {
    /// A proof without extra bytes.
    pub fn new(index: u64, hashes: Vec<Hash>, checkpoint: SignedNote) -> Self {
        Self { extra: None, index, hashes, checkpoint }
    }

    /// Checks that the leaf with this hash is in the log, by one of these keys. Returns the checkpoint.
    ///
    /// # Errors
    /// Says what does not hold: the signature, the checkpoint or the path.
    pub fn verify(&self, leaf: &Hash, keys: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, keys)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        if text.len() > MAX_PROOF_BYTES {
            let length = text.len();
            return Err(SealError::new(format!("a proof of {length} bytes: expected {MAX_PROOF_BYTES} at the most")));
        }
        let Some((head, note)) = text.split_once("\n\n") else {
            return Err(SealError::new("no checkpoint: expected an empty line before it"));
        };
        let mut lines = head.split('\n').enumerate().map(|(at, line)| (at + 1, line)).peekable();
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(SealError::at_line(1, format!("expected `{HEADER}`")));
        }
        let extra = match lines.next_if(|(_, line)| line.starts_with("extra ")) {
            Some((number, line)) => {
                let bytes = STANDARD.decode(&line["extra ".len()..]);
                Some(bytes.map_err(|_| SealError::at_line(number, "expected base64 with padding behind `extra`"))?)
            }
            None => None,
        };
        let index = match lines.next() {
            Some((number, line)) => line
                .strip_prefix("index ")
                .and_then(decimal)
                .ok_or_else(|| SealError::at_line(number, SealError::text("index", line, "`index NUMBER`")))?,
            None => return Err(SealError::new("the proof ends before its index")),
        };
        let hashes = lines.map(|(number, line)| line.parse().map_err(|error| SealError::at_line(number, error)));
        let hashes: Vec<Hash> = hashes.collect::<Result<_, _>>()?;
        if hashes.len() > MAX_HASHES {
            return Err(SealError::new(format!(
                "a proof of {} hashes: expected {MAX_HASHES} at the most",
                hashes.len()
            )));
        }
        let checkpoint: SignedNote = note.parse().map_err(|error| in_checkpoint(&error))?;
        checkpoint.text().parse::<Checkpoint>().map_err(|error| in_checkpoint(&error))?;
        Ok(Self { extra, index, hashes, checkpoint })
    }
}

fn in_checkpoint(error: &SealError) -> SealError {
    SealError::new(format!("in the checkpoint: {error}"))
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The path in a tree of 2^64 leaves.
const MAX_HASHES: usize = 64;
const MAX_PROOF_BYTES: usize = 2 * MAX_NOTE_BYTES;

/// A [`TlogProof`] that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// The checkpoint cannot be trusted.
    Note(NoteError),
    /// The path does not lead from the leaf to the root.
    Tree(TreeError),
    /// The proof says nothing of these cells of the event: they were erased, or left out.
    Partial(Vec<String>),
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(error) => error.fmt(f),
            Self::Tree(error) => error.fmt(f),
            Self::Partial(cells) => {
                write!(f, "it proves a part of the event, and nothing of what stands in: {}", cells.join(", "))
            }
        }
    }
}

impl std::error::Error for ProofError {}

impl From<NoteError> for ProofError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl From<TreeError> for ProofError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
