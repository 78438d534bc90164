//! The proof that one event is in the log.

use super::leaf_hash::surviving;
use super::stored_tree::tiles_of;
use crate::event::{AuditEvent, EventId};
use crate::seal::{
    Cell, Checkpoint, Leaf, NoteError, ProofError, Salts, SealError, Seed, SignedNote, SurvivingSalts, TlogProof,
    VerifierKey, cells, inclusion_nodes, inclusion_proof,
};
use crate::store::{AuditStore, StoreError, StoreErrorKind, StoredSeed};

/// An event and the proof that it is in the log, which is checked without the log.
///
/// The proof's extra bytes are the salts of the event's cells: with them, anyone can compute the leaf of the event, and of no
/// other. Of cells that were erased they are the commitments: nothing proves what stands in these now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EventProof {
    /// The event.
    pub event: AuditEvent,
    /// The proof.
    pub proof: TlogProof,
}

impl EventProof {
    /// An event, as its JSON says it, and a proof of it.
    pub fn new(event: AuditEvent, proof: TlogProof) -> Self {
        Self { event, proof }
    }

    /// Checks that this very event is in the log, by one of these keys, and that nothing was left out of it. Returns the checkpoint.
    ///
    /// # Errors
    /// Says what does not hold: the salts, the signature, or the path from the event to the root; [`ProofError::Partial`] if a cell is not
    /// proven.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let checkpoint = self.verify_partial(keys)?;
        match self.unproven_cells() {
            cells if cells.is_empty() => Ok(checkpoint),
            cells => Err(ProofError::Partial(cells)),
        }
    }

    /// Checks that an event is in the log of which this is what is left. Returns the checkpoint.
    ///
    /// An erasure leaves cells out, and so can anybody who has a proof of the whole event: the two cannot be told apart without the log. Show
    /// [`unproven_cells`](Self::unproven_cells) beside the event.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify), but for [`ProofError::Partial`].
    pub fn verify_partial(&self, keys: &[VerifierKey]) -> Result<Checkpoint, ProofError> {
        let malformed = |error: SealError| ProofError::Note(NoteError::Malformed(error));
        let extra = self.proof.extra.as_deref().unwrap_or_default();
        let leaf = match SurvivingSalts::from_bytes(extra) {
            Ok(salts) => Leaf::with_surviving(&self.event, &salts),
            Err(_) => Salts::from_bytes(extra).and_then(|salts| Leaf::with_salts(&self.event, &salts)),
        };
        self.proof.verify(&leaf.map_err(malformed)?.hash(), keys)
    }

    /// Returns the names of the cells that were erased or left out: the proof holds whatever stands in them now. Members of `details` are not in
    /// the event then, and their names are gone: `details (2)` are two of them.
    pub fn unproven_cells(&self) -> Vec<String> {
        let Ok(salts) = SurvivingSalts::from_bytes(self.proof.extra.as_deref().unwrap_or_default()) else {
            return Vec::new();
        };
        let fixed = salts.erased().filter_map(SurvivingSalts::fixed_cell).map(Cell::name);
        let details = Some(salts.erased_details()).filter(|count| *count > 0).map(|count| format!("details ({count})"));
        fixed.chain(details).collect()
    }
}

/// Makes the proof of an event. None if there is no such event, or it has no leaf yet.
///
/// Reads a few hundred rows, whatever the size of the log.
///
/// # Errors
/// The store cannot be read, keeps no seal, or its tree has gaps: then [`Verifier`](super::Verifier) tells more.
pub async fn prove(store: &dyn AuditStore, id: EventId) -> Result<Option<EventProof>, StoreError> {
    let Some(sealing) = store.parts().sealing else {
        return Err(StoreError::new(StoreErrorKind::Unsupported, store.capabilities().name, DOING));
    };
    let Some(newest) = sealing.newest_checkpoint().await? else { return Ok(None) };
    let failed = |error: SealError| {
        StoreError::new(StoreErrorKind::Permanent, store.capabilities().name, DOING).with_hint(error.to_string())
    };
    prove_in(store, id, newest.note.parse().map_err(failed)?).await
}

/// Makes the proof of an event in the tree of this checkpoint, such as one that witnesses have cosigned. None if there is no such event, or the
/// tree does not have its leaf.
///
/// # Errors
/// Those of [`prove`], or the note has no checkpoint.
pub async fn prove_in(
    store: &dyn AuditStore,
    id: EventId,
    checkpoint: SignedNote,
) -> Result<Option<EventProof>, StoreError> {
    let name = store.capabilities().name;
    let failed = |reason: String| StoreError::new(StoreErrorKind::Permanent, name, DOING).with_hint(reason);
    let Some(sealing) = store.parts().sealing else {
        return Err(StoreError::new(StoreErrorKind::Unsupported, name, DOING));
    };
    let tree: Checkpoint = checkpoint.text().parse().map_err(|error: SealError| failed(error.to_string()))?;
    let Some(leaf) = sealing.leaf_of(id).await? else { return Ok(None) };
    let Some(event) = sealing.events(&[id]).await?.into_iter().next() else { return Ok(None) };
    if leaf.index >= tree.size {
        return Ok(None);
    }
    let salts = match (&leaf.seed, surviving(&leaf.seed)) {
        (StoredSeed::Whole(seed), _) => Seed::from_bytes(*seed).salts(cells(&event).len()).to_bytes(),
        (_, Some(salts)) => salts.to_bytes(),
        _ => return Err(failed("the seed of the event is gone".to_owned())),
    };
    let nodes = inclusion_nodes(leaf.index, tree.size).map_err(|error| failed(error.to_string()))?;
    let tiles = tiles_of(sealing, &nodes, tree.size).await?;
    let hashes = inclusion_proof(leaf.index, tree.size, &tiles).map_err(|error| failed(error.to_string()))?;
    let mut proof = TlogProof::new(leaf.index, hashes, checkpoint);
    proof.extra = Some(salts);
    Ok(Some(EventProof { event, proof }))
}

const DOING: &str = "proving an event";
