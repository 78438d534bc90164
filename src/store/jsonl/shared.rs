//! The parts of a store that its calls share, on whatever thread they run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::block_cache::BlockCache;
use super::catalogue::Catalogue;
use super::compression_state::CompressionState;
use super::config::Config;
use super::sealing::SealMemory;

/// The parts that calls share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    /// The files, for readers and for the removal of events.
    catalogue: Mutex<Catalogue>,
    pub(super) cache: BlockCache,
    /// Permits for scans: more at once would only take the disk from each other.
    pub(super) scans: Arc<Semaphore>,
    /// The file that is being compressed.
    pub(super) compression: Mutex<CompressionState>,
    seal: Mutex<SealMemory>,
}

impl Shared {
    pub(super) fn new(config: Config, catalogue: Catalogue) -> Self {
        Self {
            config,
            catalogue: Mutex::new(catalogue),
            cache: BlockCache::default(),
            scans: Arc::new(Semaphore::new(MAX_SCANS)),
            compression: Mutex::default(),
            seal: Mutex::default(),
        }
    }

    pub(super) fn lock_catalogue(&self) -> MutexGuard<'_, Catalogue> {
        // A panic half way leaves an index that ends before its file does: the next look goes on there.
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_seal(&self) -> MutexGuard<'_, SealMemory> {
        // What a panic has left is right: it is noted when it is known.
        self.seal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of scans at once.
const MAX_SCANS: usize = 4;
