//! The sealing part of the store.

use super::SealFiles;
use super::unsealed::Look;
use crate::event::{AuditEvent, EventId};
use crate::store::jsonl::error::DuringOperation as _;
use crate::store::jsonl::file_layout::Kind;
use crate::store::jsonl::store::JsonlStore;
use crate::store::{
    ForeignRow, SealBatch, Sealing, StoreError, StoreFuture, StoredCheckpoint, StoredLeaf, StoredNode, StoredRemoval,
    UnsealedEvents,
};

impl JsonlStore {
    /// Runs `work` on the files of the seal.
    fn seal_work<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&SealFiles) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let shared = self.shared.clone();
        Box::pin(self.blocking(operation, move || work(&shared.seal_files())))
    }
}

impl Sealing for JsonlStore {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        self.seal_work(READING, |files| files.newest().during(READING))
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        self.seal_work(READING, move |files| files.checkpoints(after, at_most).during(READING))
    }

    /// The position is not used: it is always the same.
    fn unsealed<'a>(&'a self, _position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let looking = shared.clone();
            self.blocking(READING, move || looking.check_may_seal()).await?;
            self.read(move |scan| {
                let active = scan.snapshot.files().find(|file| file.kind == Kind::Active);
                let durable = shared.durable_len(active)?;
                let files = shared.seal_files();
                let memory = &mut *shared.lock_seal();
                scan.unsealed(Look { memory, files: &files, durable, at_most: at_most.max(1) })
            })
            .await
        })
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        let (shared, batch) = (self.shared.clone(), batch.clone());
        Box::pin(self.blocking(SEALING, move || {
            shared.finish_removal_of_dead()?;
            shared.seal_files().store(&batch, shared.config.timeout)
        }))
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        self.seal_work(READING, move |files| files.leaves(first, at_most).during(READING))
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        let shared = self.shared.clone();
        Box::pin(self.blocking(READING, move || {
            let Some(index) = shared.leaf_indexes(&[id]).during(READING)?.get(&id).copied() else { return Ok(None) };
            let leaves = shared.seal_files().leaves(index, 1).during(READING)?;
            Ok(leaves.into_iter().next())
        }))
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        let (shared, ids) = (self.shared.clone(), ids.to_vec());
        Box::pin(self.blocking(READING, move || Ok(shared.leaf_indexes(&ids).during(READING)?.into_iter().collect())))
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        self.seal_work(READING, move |files| files.nodes(level, first, at_most).during(READING))
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        let ids = ids.to_vec();
        Box::pin(self.read(move |scan| scan.events_of(&ids)))
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        self.seal_work(READING, move |files| files.removals(first, at_most).during(READING))
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        let (note, timeout) = (note.to_owned(), self.shared.config.timeout);
        self.seal_work(PURGING, move |files| files.add_removal(number, &note, timeout))
    }

    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        Box::pin(self.read(move |scan| scan.foreign_lines(at_most)))
    }
}

const READING: &str = "reading the seal";
const SEALING: &str = "sealing";
const PURGING: &str = "purge";
