//! The state of one event in the seal, for those who look at it.

use serde::{Serialize, Serializer};

use super::leaf_hash::{leaf_hash, surviving};
use crate::event::{AuditEvent, Timestamp};
use crate::store::{AuditStore, StoreError, StoredSeed};

/// The state of an event in the seal, as the store says it.
///
/// No signature is checked: that takes a public key, and is the task of [`Verifier`](super::Verifier).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SealState {
    /// The state.
    pub state: EventSeal,
    /// The number of the event's leaf, from 0.
    pub index: Option<u64>,
    /// The number of cells whose values were erased.
    pub erased: usize,
    /// The newest checkpoint; none of a log that is not sealed.
    pub checkpoint: Option<CheckpointAge>,
}

/// The relation of an event to its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventSeal {
    /// The log is not sealed.
    None,
    /// The event has no leaf yet.
    Waiting,
    /// The event fits its leaf, which a checkpoint covers.
    Sealed,
    /// The event is another than the one that was sealed, or its seed is.
    Damaged,
}

impl EventSeal {
    /// Returns the name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::Sealed => "sealed",
            Self::Damaged => "damaged",
        }
    }
}

impl Serialize for EventSeal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The size and the time of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckpointAge {
    /// The origin of the log.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The time at which the sealer made it. Nothing authenticates it.
    pub sealed_at: Timestamp,
}

/// Returns the state of this event, which was read before. Reads two rows.
///
/// # Errors
/// The store cannot be read.
pub async fn seal_state(store: &dyn AuditStore, event: &AuditEvent) -> Result<SealState, StoreError> {
    let none = SealState { state: EventSeal::None, index: None, erased: 0, checkpoint: None };
    let Some(sealing) = store.parts().sealing else { return Ok(none) };
    let leaf = sealing.leaf_of(event.event_id).await?;
    // After the leaf, so that it covers that.
    let Some(newest) = sealing.newest_checkpoint().await? else { return Ok(none) };
    let origin = newest.note.lines().next().unwrap_or_default().to_owned();
    let checkpoint = Some(CheckpointAge { origin, size: newest.size, sealed_at: newest.sealed_at });
    let Some(leaf) = leaf.filter(|leaf| leaf.index < newest.size) else {
        return Ok(SealState { state: EventSeal::Waiting, checkpoint, ..none });
    };
    let is_sealed = leaf_hash(event, &leaf.seed).is_some_and(|hash| *hash.as_bytes() == leaf.hash);
    // A purge or an erasure may run between the two reads.
    let is_gone = leaf.seed == StoredSeed::Gone;
    Ok(SealState {
        state: if is_sealed && !is_gone { EventSeal::Sealed } else { EventSeal::Damaged },
        index: Some(leaf.index),
        erased: surviving(&leaf.seed).map_or(0, |salts| salts.erased().count()),
        checkpoint,
    })
}
