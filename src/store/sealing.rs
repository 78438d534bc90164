//! The part of a store that keeps the seal.

use super::StoreFuture;
use crate::event::{AuditEvent, EventId, Timestamp};

/// Keeps the leaves, the nodes and the checkpoints of the log's Merkle tree beside its events.
///
/// A store knows nothing of hashes and signatures: `docs/seal.md` says what a sealer puts into it. Rows are inserted and never
/// updated, so a role that may only insert and read suffices.
///
/// # Contract
/// - **Order.** Leaves are numbered from 0 without a gap. The number is the order of the sealer, not that of the ids.
/// - **One sealer at a time.** [`seal`](Self::seal) stores a batch that follows the newest checkpoint and no other. Of two
///   sealers that race, one stores its batch and the other is told so.
/// - **Nothing is skipped.** [`unsealed`](Self::unsealed) returns every durable event without a leaf sooner or later, however late
///   its transaction was committed.
/// - **A leaf outlives its event.** A purge deletes no leaf.
pub trait Sealing: Send + Sync {
    /// Returns the newest checkpoint; none before the first.
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>>;

    /// Returns checkpoints of trees with more than `after` leaves, the smallest first.
    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>>;

    /// Returns durable events without a leaf, in the order in which they should get one.
    ///
    /// `position` is empty, or that of an answer whose events have been sealed; it only saves work. One that is not
    /// understood counts as empty.
    fn unsealed<'a>(&'a self, position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents>;

    /// Stores a batch in one transaction, as durable as an append. Returns false, and stores nothing, if the newest checkpoint
    /// is another than the one that the batch follows.
    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool>;

    /// Returns leaves in the order of their numbers, from `first` on.
    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>>;

    /// Returns the leaf of an event.
    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>>;

    /// Returns nodes of a level in the order of their numbers, from `first` on.
    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>>;

    /// Returns those of these events that are there, in any order.
    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>>;
}

/// A leaf as a store keeps it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row")]
pub struct StoredLeaf {
    /// The number of the leaf, from 0.
    pub index: u64,
    /// The event.
    pub event_id: EventId,
    /// The seed of the salts.
    pub seed: [u8; 32],
    /// The hash of the leaf in the tree.
    pub hash: [u8; 32],
}

/// Without the seed.
impl std::fmt::Debug for StoredLeaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index, event_id, .. } = self;
        f.debug_struct("StoredLeaf").field("index", index).field("event_id", event_id).finish_non_exhaustive()
    }
}

/// The root of a full tile, which is a hash of the tile above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row")]
pub struct StoredNode {
    /// The level of the tile that has the hash, from 1: it is over `256^level` leaves.
    pub level: u8,
    /// The number of the hash in its level, from 0.
    pub index: u64,
    /// The hash.
    pub hash: [u8; 32],
}

/// A checkpoint as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row")]
pub struct StoredCheckpoint {
    /// The number of leaves.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// The time at which the sealer made it. Nothing authenticates it.
    pub sealed_at: Timestamp,
    /// The position behind the last event in it, for [`Sealing::unsealed`].
    pub position: String,
}

/// Leaves, the nodes that they complete, and the checkpoint of the tree that they make.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a sealer makes it")]
pub struct SealBatch {
    /// The size of the tree that the batch follows; none for the first.
    pub after: Option<u64>,
    /// The leaves, with their numbers.
    pub leaves: Vec<StoredLeaf>,
    /// The nodes.
    pub nodes: Vec<StoredNode>,
    /// The checkpoint.
    pub checkpoint: StoredCheckpoint,
}

/// The answer of [`Sealing::unsealed`].
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct UnsealedEvents {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// The position behind them, once they are sealed.
    pub position: String,
    /// True if there may be more.
    pub has_more: bool,
}
