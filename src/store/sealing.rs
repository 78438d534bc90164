//! The part of a store that keeps the seal.

use super::StoreFuture;
use crate::event::{AuditEvent, EventId, Timestamp};

/// Keeps the leaves, the nodes and the checkpoints of the log's Merkle tree beside its events.
///
/// A store knows nothing of hashes and signatures: `docs/seal.md` says what a sealer puts into it. A sealer inserts rows and updates
/// none, so a role that may only insert and read suffices. [`Removal::remove`](super::Removal::remove) deletes the seeds of the events
/// that it deletes.
///
/// # Contract
/// - **Order.** Leaves are numbered from 0 without a gap. The number is the order of the sealer, not that of the ids.
/// - **One sealer at a time.** [`seal`](Self::seal) stores a batch that follows the newest checkpoint and no other. Of two
///   sealers that race, one stores its batch and the other is told so.
/// - **Nothing is skipped.** [`unsealed`](Self::unsealed) returns every durable event without a leaf sooner or later, however late
///   its transaction was committed.
/// - **A leaf outlives its event.** A purge deletes no leaf. The seed goes with the event, in one transaction.
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

    /// Returns the numbers of the leaves of these events, in any order. Events without a leaf are left out.
    ///
    /// Needs no right to read seeds.
    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>>;

    /// Returns nodes of a level in the order of their numbers, from `first` on.
    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>>;

    /// Returns those of these events that are there, in any order.
    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>>;

    /// Returns signed removals in the order of their numbers, from `first` on.
    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>>;

    /// Stores a signed removal under a number, as durable as an append. Returns false, and stores nothing, if the number is taken.
    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool>;

    /// Returns rows that no writer, sealer or purge makes and no other method returns, in any order.
    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>>;
}

/// A leaf as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row")]
pub struct StoredLeaf {
    /// The number of the leaf, from 0.
    pub index: u64,
    /// The event.
    pub event_id: EventId,
    /// The seed of the salts.
    pub seed: StoredSeed,
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

/// The seed of a leaf as a store keeps it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredSeed {
    /// The 32 bytes from which the salts of all cells are derived.
    Whole([u8; 32]),
    /// Bytes of another length: the salts that are left of an event with erased cells, or someone has changed them.
    Other(Box<[u8]>),
    /// None: the event was purged.
    Gone,
}

impl StoredSeed {
    /// Returns the seed that a column holds.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes.try_into() {
            Ok(seed) => Self::Whole(seed),
            Err(_) if bytes.is_empty() => Self::Gone,
            Err(_) => Self::Other(bytes.into()),
        }
    }

    /// Returns the bytes of the column.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Whole(seed) => seed,
            Self::Other(bytes) => bytes,
            Self::Gone => &[],
        }
    }
}

impl std::fmt::Debug for StoredSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredSeed({} bytes)", self.as_bytes().len())
    }
}

/// A row that somebody has put into the store past the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignRow {
    /// A leaf whose number is below 0.
    Leaf {
        /// The number.
        number: i64,
    },
    /// An event that listings show and that no id leads to.
    Event {
        /// The row, and what is wrong with it.
        text: String,
    },
}

/// A signed removal as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row")]
pub struct StoredRemoval {
    /// The number, from 0.
    pub number: u64,
    /// The signed note.
    pub note: String,
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
