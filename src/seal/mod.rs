//! The seal: a Merkle tree over the events, signed checkpoints of it, and proofs that are checked offline.
//!
//! Pure functions over bytes: the tree of RFC 9162, stored as tiles by C2SP tlog-tiles v0.1.0; signed notes v1.0.0 with
//! tlog-checkpoints v1.0.0 and cosignatures v1.0.1; tlog-proofs; the leaf of an event, format v1; and signed removals. `docs/seal.md`
//! has the formats that are ours.
//!
//! ```
//! use tower_audit::seal::{Checkpoint, Leaf, Seed, SignedNote, Signer, TileSet, TlogProof, TreeEdge, inclusion_proof};
//! use tower_audit::{AuditEvent, EventType};
//!
//! // The sealer appends a leaf for each event and signs the tree. Seeds and keys come from the system's randomness.
//! let events: Vec<AuditEvent> = (0..300).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
//! let seed = Seed::from_bytes([1; 32]);
//! let mut edge = TreeEdge::new();
//! events.iter().for_each(|event| edge.push(Leaf::of(event, &seed).hash()));
//! let signer = Signer::from_seed("example.com/audit", [2; 32])?;
//! let checkpoint = Checkpoint::new(signer.name(), edge.size(), edge.root())?;
//! let note = SignedNote::sign(checkpoint.to_string(), &[&signer])?;
//!
//! // Someone else has event 17, the proof, and the public key.
//! let tiles: TileSet = edge.take_tiles().into_iter().collect();
//! let proof = TlogProof::new(17, inclusion_proof(17, edge.size(), &tiles)?, note).to_string();
//! let proof: TlogProof = proof.parse()?;
//! proof.verify(&Leaf::of(&events[17], &seed).hash(), &[signer.verifier_key()])?;
//! assert!(proof.verify(&Leaf::of(&events[18], &seed).hash(), &[signer.verifier_key()]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;

mod hash;

mod tree;

mod tiles;

mod note;

mod tlog_proof;

mod canonical_json;
mod leaf;

mod removal;

#[cfg(test)]
mod golden_log;

pub use canonical_json::write_canonical_json;
pub use error::SealError;
pub use hash::Hash;
pub use leaf::{Cell, Leaf, Salts, Seed, SurvivingSalts, cells};
pub use note::{
    Checkpoint, KeyRotation, MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteSignature, RestoredTree, SignatureType,
    SignedNote, Signer, TrustPolicy, Verified, VerifierKey,
};
pub use removal::{ErasedCells, LeafRanges, RETENTION_SUFFIX, RemovalKind, RemovalNote};
pub use tiles::{MAX_ENTRY_BYTES, Tile, TileId, TileSet, TreeEdge, read_bundle, write_bundle};
pub use tlog_proof::{ProofError, TlogProof};
pub use tree::{
    HashSource, Node, TreeError, consistency_nodes, consistency_proof, inclusion_nodes, inclusion_proof, root,
    root_nodes, verify_consistency, verify_inclusion,
};
