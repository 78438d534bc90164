//! The sealer: gives each durable event a leaf, and signs the tree.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::status::SharedStatus;
use super::stored_tree::{edge, root};
use super::{Refusal, SealKey, SealKeyError, SealerError};
use crate::backoff::Backoff;
use crate::event::Timestamp;
use crate::log_lines::log_line;
use crate::seal::{Checkpoint, Leaf, Seed, SignedNote, TreeEdge};
use crate::store::{
    AuditStore, SealBatch, Sealing, StoreError, StoreErrorKind, StoredCheckpoint, StoredLeaf, StoredNode, StoredSeed,
};

/// The pause between two looks for new events. With the time of a step, an event is sealed within two seconds.
pub const SEAL_INTERVAL: Duration = Duration::from_secs(1);

/// Gives each durable event of a store a leaf of the Merkle tree, and signs the tree.
///
/// Any number of sealers with one key may run, on one machine or several: each batch follows the newest checkpoint, and of
/// two that race, the store takes one. So another sealer takes over at once when one dies.
///
/// [`AuditLogBuilder::seal`](crate::AuditLogBuilder::seal) runs one beside a log. As a process of its own, it is
/// `tower-audit seal`.
pub struct Sealer {
    store: Arc<dyn AuditStore>,
    key: Arc<std::sync::Mutex<SealKey>>,
    name: String,
    tree: Option<Tree>,
}

/// The tree in the store, as of its newest checkpoint.
struct Tree {
    edge: TreeEdge,
    /// The size of the newest checkpoint; none before the first.
    after: Option<u64>,
    position: String,
}

/// The result of one [`Sealer::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The number of events that got a leaf.
    pub sealed: u64,
    /// The number of leaves of the tree.
    pub size: u64,
    /// True if more events may be without a leaf.
    pub has_more: bool,
}

impl Sealer {
    /// A sealer of this store, with this key. Reads nothing yet.
    pub fn new(store: impl AuditStore, key: SealKey) -> Self {
        let name = key.name().to_owned();
        Self { store: Arc::new(store), key: Arc::new(std::sync::Mutex::new(key)), name, tree: None }
    }

    /// Seals at most 4,096 events that have no leaf.
    ///
    /// # Errors
    /// The store or the key's file fails, or the sealer refuses to sign. After an error, the next step reads the tree again.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the batch may be stored or not; the next step finds out.
    pub async fn step(&mut self) -> Result<Step, SealerError> {
        let mut tree = match self.tree.take() {
            Some(tree) => tree,
            None => self.read_tree().await?,
        };
        let store = Arc::clone(&self.store);
        let sealing = sealing(&store)?;
        let found = sealing.unsealed(&tree.position, BATCH_EVENTS).await?;
        if found.events.is_empty() {
            // Another sealer may have gone on: then its tree is read, compared, and remembered.
            if sealing.newest_checkpoint().await?.map(|newest| newest.size) != tree.after {
                tree = self.read_tree().await?;
                let size = tree.edge.size();
                self.tree = Some(tree);
                return Ok(Step { sealed: 0, size, has_more: true });
            }
            tree.position = found.position;
            let size = tree.edge.size();
            self.tree = Some(tree);
            return Ok(Step { sealed: 0, size, has_more: found.has_more });
        }
        let seeds = seeds(found.events.len())?;
        let mut leaves = Vec::with_capacity(found.events.len());
        for (event, seed) in found.events.iter().zip(seeds) {
            let hash = Leaf::of(event, &Seed::from_bytes(seed)).hash();
            leaves.push(StoredLeaf {
                index: tree.edge.size(),
                event_id: event.event_id,
                seed: StoredSeed::Whole(seed),
                hash: *hash.as_bytes(),
            });
            tree.edge.push(hash);
            if leaves.len() % EVENTS_A_TURN == 0 {
                // Requests share the thread.
                tokio::task::yield_now().await;
            }
        }
        let nodes = tree.edge.take_nodes().into_iter().map(|(node, hash)| StoredNode {
            level: node.level / 8,
            index: node.index,
            hash: *hash.as_bytes(),
        });
        let nodes = nodes.collect();
        tree.edge.take_tiles();
        let (checkpoint, note) = self.sign(&tree.edge)?;
        let batch = SealBatch {
            after: tree.after,
            leaves,
            nodes,
            checkpoint: StoredCheckpoint {
                size: checkpoint.size,
                note: note.to_string(),
                sealed_at: Timestamp::now(),
                position: found.position.clone(),
            },
        };
        if !sealing.seal(&batch).await? {
            // Another sealer was faster, and nobody has seen the note; or a row of somebody else is in the way.
            if sealing.newest_checkpoint().await?.map(|newest| newest.size) == tree.after {
                let text = "a leaf or a node is there already that no checkpoint has".to_owned();
                return Err(Refusal::Damaged(text).into());
            }
            return Ok(Step { sealed: 0, size: tree.after.unwrap_or(0), has_more: true });
        }
        let size = checkpoint.size;
        // After the store: a file that knows of a tree that no store has would stop the sealer for good.
        self.remember(checkpoint, note).await?;
        self.tree = Some(Tree { edge: tree.edge, after: Some(size), position: found.position });
        Ok(Step { sealed: batch.leaves.len() as u64, size, has_more: found.has_more })
    }

    /// Seals until `stop` says so or its sender is gone, then seals what is left.
    pub(crate) async fn run(mut self, status: Arc<SharedStatus>, mut stop: watch::Receiver<bool>) {
        let mut backoff = BACKOFF;
        loop {
            let is_last = *stop.borrow() || stop.has_changed().is_err();
            let pause = match self.step().await {
                Ok(step) => {
                    backoff = BACKOFF;
                    status.note_step(step.size, step.has_more);
                    match step.has_more {
                        true => continue,
                        false => SEAL_INTERVAL,
                    }
                }
                Err(error) => {
                    if status.note_error(&error) {
                        report(error);
                    }
                    backoff.next_pause().max(SEAL_INTERVAL / 4)
                }
            };
            if is_last {
                status.note_end();
            }
            if is_last || status.get().is_stopped {
                return;
            }
            let _ = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
        }
    }

    /// Reads the tree of the newest checkpoint, compares it with what the key has signed, and remembers it: another sealer with this key may have
    /// signed it, and this one must not go back behind it.
    async fn read_tree(&self) -> Result<Tree, SealerError> {
        loop {
            let (tree, checkpoint) = self.read_newest_tree().await?;
            let Some(checkpoint) = checkpoint else { return Ok(tree) };
            if self.lock().newest_checkpoint().size < checkpoint.size {
                // In its own name: the key before this one may have signed it.
                let own = Checkpoint::new(&self.name, checkpoint.size, checkpoint.root);
                let signed = own.and_then(|own| Ok((self.lock().sign(&own)?, own)));
                let (note, own) = signed.map_err(|error| Refusal::Damaged(error.to_string()))?;
                self.remember(own, note).await?;
            }
            // Another sealer with these files may have written a larger one meanwhile, and stored it before.
            if self.lock().newest_checkpoint().size <= checkpoint.size {
                return Ok(tree);
            }
        }
    }

    /// Reads the tree, and its checkpoint: none before the first.
    async fn read_newest_tree(&self) -> Result<(Tree, Option<Checkpoint>), SealerError> {
        let sealing = sealing(&self.store)?;
        let (signed, keys) = {
            let key = self.lock();
            (key.newest_checkpoint().clone(), key.known_keys())
        };
        let Some(newest) = sealing.newest_checkpoint().await? else {
            return match signed.size {
                0 => Ok((Tree { edge: TreeEdge::new(), after: None, position: String::new() }, None)),
                signed => Err(Refusal::RolledBack { signed, stored: 0 }.into()),
            };
        };
        let checkpoint = newest.note.parse::<SignedNote>().map_err(|error| Refusal::WrongKey(error.to_string()))?;
        let checkpoint = Checkpoint::open(&checkpoint, &keys).map_err(|error| Refusal::WrongKey(error.to_string()))?;
        if checkpoint.size != newest.size {
            return Err(Refusal::Damaged(format!(
                "the checkpoint of {} leaves is stored as one of {}",
                checkpoint.size, newest.size
            ))
            .into());
        }
        if checkpoint.size < signed.size {
            return Err(Refusal::RolledBack { signed: signed.size, stored: checkpoint.size }.into());
        }
        let edge = edge(sealing, checkpoint.size).await?.map_err(|error| Refusal::Damaged(error.to_string()))?;
        if edge.root() != checkpoint.root {
            return Err(Refusal::Damaged("its root is not that of the newest checkpoint".to_owned()).into());
        }
        if root(sealing, signed.size).await? != Some(signed.root) {
            return Err(Refusal::Forked { signed: signed.size }.into());
        }
        Ok((Tree { edge, after: Some(newest.size), position: newest.position }, Some(checkpoint)))
    }

    fn sign(&self, edge: &TreeEdge) -> Result<(Checkpoint, SignedNote), SealerError> {
        let damaged = |error: crate::seal::SealError| Refusal::Damaged(error.to_string());
        let checkpoint = Checkpoint::new(&self.name, edge.size(), edge.root()).map_err(damaged)?;
        let note = self.lock().sign(&checkpoint).map_err(damaged)?;
        Ok((checkpoint, note))
    }

    /// Writes the newest checkpoint beside the key, on a thread that may block.
    async fn remember(&self, checkpoint: Checkpoint, note: SignedNote) -> Result<(), SealerError> {
        let key = Arc::clone(&self.key);
        let written = tokio::task::spawn_blocking(move || -> Result<(), SealKeyError> {
            let mut key = key.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            key.remember(checkpoint, &note.to_string())
        });
        match written.await {
            Ok(written) => written.map_err(SealerError::Key),
            // The runtime ends.
            Err(error) => Err(StoreError::new(StoreErrorKind::Transient, NAME, DOING).with_source(error).into()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SealKey> {
        self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("store", &self.store).field("name", &self.name).finish_non_exhaustive()
    }
}

fn sealing(store: &Arc<dyn AuditStore>) -> Result<&dyn Sealing, SealerError> {
    store.parts().sealing.ok_or(SealerError::Refused(Refusal::Unsupported))
}

/// Returns random seeds.
fn seeds(count: usize) -> Result<Vec<[u8; 32]>, SealerError> {
    let mut bytes = vec![0; count * 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        let source = std::io::Error::other(error.to_string());
        StoreError::new(StoreErrorKind::Transient, NAME, DOING).with_source(source)
    })?;
    Ok(bytes.as_chunks::<32>().0.to_vec())
}

fn report(error: SealerError) {
    log_line(move || match error {
        SealerError::Refused(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the audit log is not sealed any more");
        }
        _ => tracing::warn!(error = &error as &dyn std::error::Error, "events of the audit log are not sealed for now"),
    });
}

const NAME: &str = "audit";
const DOING: &str = "sealing";
const BATCH_EVENTS: usize = 4096;
/// Less than a millisecond of hashing.
const EVENTS_A_TURN: usize = 128;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));
