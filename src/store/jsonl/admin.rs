//! The administering part: makes the log anew, purges.

use super::active_file::ActiveFile;
use super::append_lock::Held;
use super::catalogue::Catalogue;
use super::error::DuringOperation as _;
use super::store::JsonlStore;
use super::writer::Writer;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreError, StoreFuture};

impl StoreAdmin for JsonlStore {
    /// Removes every file of the log, those of other programs and torn lines too.
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.write("init", |writer| {
            let held = writer.hold("init")?;
            writer.recreate(&held)
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
        let unread = self.catalogue.unread.iter().chain(&self.catalogue.denied).map(|name| place.folder.join(name));
        let rotated = self.catalogue.rotated.iter().map(|file| file.path.clone());
        for path in rotated.chain(unread) {
            std::fs::remove_file(path).during(DOING)?;
        }
        for entry in std::fs::read_dir(&place.state).during(DOING)? {
            let name = entry.during(DOING)?.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("torn-") || name.starts_with("index-")) {
                std::fs::remove_file(place.state.join(name)).during(DOING)?;
            }
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let before = file.metadata()?;
        std::fs::remove_file(&place.file).during(DOING)?;
        self.file = Some(ActiveFile::create_like(&place, &before)?);
        place.sync_folder().during(DOING)?;
        self.replaced = Some(held.tell_replaced().during(DOING)?);
        self.forget_all(Catalogue::new(place));
        self.settle(held)
    }
}
