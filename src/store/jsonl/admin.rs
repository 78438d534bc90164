//! The administering part: makes the log anew, purges.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::active_file::ActiveFile;
use super::append_lock::Held;
use super::catalogue::Catalogue;
use super::error::DuringOperation as _;
use super::log_file::remove_compressed_copy;
use super::sealing::SealFiles;
use super::store::JsonlStore;
use super::writer::Writer;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreError, StoreFuture};

impl StoreAdmin for JsonlStore {
    /// Removes every file of the log, those of other programs and torn lines too.
    fn recreate(&self) -> StoreFuture<'_, ()> {
        let shared = self.shared.clone();
        Box::pin(self.write("init", move |writer| {
            let held = writer.hold("init")?;
            writer.recreate(&held)?;
            shared.lock_seal().forget();
            Ok(())
        }))
    }

    /// Makes the file if it is missing, and the index of each rotated file.
    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write("ensure-indexes", |writer| {
                let held = writer.hold("ensure-indexes")?;
                writer.settle(&held)
            })
            .await?;
            let shared = self.shared.clone();
            self.blocking("ensure-indexes", move || shared.snapshot().map(drop)).await
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let shared = self.shared.clone();
            let outcome = self.blocking("purge", move || shared.purge(before, at_most)).await?;
            if !outcome.has_more {
                self.tidy().await?;
            }
            Ok(outcome)
        })
    }

    fn apply_retention_floor(&self, floor: Duration) {
        let micros = u64::try_from(floor.as_micros()).unwrap_or(u64::MAX);
        self.shared.config.floor.fetch_max(micros, Ordering::Relaxed);
    }
}

impl JsonlStore {
    /// Gives the room of removed events back to the disk.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        if self.blocking("purge", move || shared.is_full_of_blanks()).await? {
            self.write("purge", |writer| {
                let held = writer.hold("purge")?;
                writer.settle(&held)?;
                writer.rotate(&held)
            })
            .await?;
        }
        let shared = self.shared.clone();
        self.blocking("purge", move || shared.tidy()).await
    }
}

impl Writer {
    /// Removes every event, under the lock of the log.
    fn recreate(&mut self, held: &Held) -> Result<(), StoreError> {
        const DOING: &str = "init";
        self.settle(held)?;
        let place = self.catalogue.place.clone();
        let catalogue = &self.catalogue;
        let unindexed = catalogue.unindexed.iter().map(|(name, _)| name);
        let failed = catalogue.failed.iter().map(|(name, _)| name);
        let others = catalogue.unread.iter().chain(&catalogue.denied).chain(unindexed).chain(failed);
        for file in &catalogue.rotated {
            remove_compressed_copy(&file.path, file.kind).during(DOING)?;
            std::fs::remove_file(&file.path).during(DOING)?;
        }
        for name in others {
            std::fs::remove_file(place.folder.join(name)).during(DOING)?;
        }
        self.removed.clear();
        for entry in std::fs::read_dir(&place.state).during(DOING)? {
            let name = entry.during(DOING)?.file_name();
            let has_events = |name: &str| ["torn-", "index-", "rewrite-"].iter().any(|prefix| name.starts_with(prefix));
            if name.to_str().is_some_and(has_events) {
                std::fs::remove_file(place.state.join(name)).during(DOING)?;
            }
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let before = file.metadata()?;
        std::fs::remove_file(&place.file).during(DOING)?;
        self.file = Some(ActiveFile::create_like(&place, &before)?);
        place.sync_folder().during(DOING)?;
        self.replaced = Some(held.tell_replaced().during(DOING)?);
        SealFiles::of(&place).remove().during(DOING)?;
        self.forget_all(Catalogue::new(place));
        self.settle(held)
    }
}
