//! The request for a witness's cosignature, and its answer (C2SP tlog-witness).

use std::fmt;

use super::stored_tree::tiles_of;
use crate::seal::{
    Checkpoint, Hash, NoteError, SealError, SignedNote, VerifierKey, consistency_nodes, consistency_proof,
};
use crate::store::{AuditStore, StoreError, StoreErrorKind};

/// A checkpoint, and the proof that its tree has grown from one that a witness has cosigned: the body of `POST …/add-checkpoint`.
///
/// [`Display`](fmt::Display) writes the body. How it gets to the witness is the caller's: `tower-audit witness` sends it by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CosignRequest {
    /// The number of leaves that the witness has cosigned; 0 for none.
    pub old_size: u64,
    /// The consistency proof; empty from 0 and between equal trees.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: SignedNote,
}

impl CosignRequest {
    /// Makes the request from the tree in a store. Reads a few hundred rows, whatever the size of the log.
    ///
    /// # Errors
    /// The store cannot be read or keeps no seal, `old_size` is larger than the tree of the checkpoint, or its tree has gaps.
    pub async fn new(store: &dyn AuditStore, checkpoint: SignedNote, old_size: u64) -> Result<Self, StoreError> {
        let name = store.capabilities().name;
        let failed = |reason: String| StoreError::new(StoreErrorKind::Permanent, name, DOING).with_hint(reason);
        let Some(sealing) = store.parts().sealing else {
            return Err(StoreError::new(StoreErrorKind::Unsupported, name, DOING));
        };
        let tree: Checkpoint = checkpoint.text().parse().map_err(|error: SealError| failed(error.to_string()))?;
        let proof = match old_size {
            0 => Vec::new(),
            old if old == tree.size => Vec::new(),
            old => {
                let nodes = consistency_nodes(old, tree.size).map_err(|error| failed(error.to_string()))?;
                let tiles = tiles_of(sealing, &nodes, tree.size).await?;
                consistency_proof(old, tree.size, &tiles).map_err(|error| failed(error.to_string()))?
            }
        };
        Ok(Self { old_size, proof, checkpoint })
    }

    /// Returns the checkpoint with the cosignature that the witness has answered, if it is one of this key.
    ///
    /// # Errors
    /// The answer has no line of the key, or the cosignature is wrong.
    pub fn cosigned(&self, answer: &str, witness: &VerifierKey) -> Result<SignedNote, NoteError> {
        // A witness may sign with several keys, and lines of unknown ones mean nothing.
        let is_of_witness =
            |line: &&str| line.strip_prefix("— ").is_some_and(|line| line.starts_with(&format!("{} ", witness.name())));
        let lines: Vec<&str> = answer.lines().filter(is_of_witness).collect();
        let mut note = self.checkpoint.to_string();
        for line in lines {
            note.push_str(line);
            note.push('\n');
        }
        let cosigned: SignedNote = note.parse()?;
        cosigned.verify(std::slice::from_ref(witness))?;
        Ok(cosigned)
    }
}

impl fmt::Display for CosignRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

const DOING: &str = "asking a witness";
