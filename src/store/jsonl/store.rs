//! The store: one writer, and readers beside it. All I/O is on threads for blocking calls.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::batch::Batch;
use super::catalogue::Catalogue;
use super::config::Config;
use super::diagnostics;
use super::error::{APPEND, DuringOperation as _, NAME, OPENING, transient};
use super::file_layout::Place;
use super::line::WriterId;
use super::shared::Shared;
use super::writer::Writer;
use crate::event::AuditEvent;
use crate::store::url_parameters::after_scheme;
use crate::store::{AuditStore, Capabilities, Diagnostic, OpenOptions, Parts, StoreError, StoreFuture};

/// Events as JSON lines in files; see the documentation of the module.
///
/// # Cancel safety
/// A dropped append goes on to its end; appending the events again is right in any case. A dropped read stops at its next
/// block.
pub struct JsonlStore {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: Arc<Mutex<Writer>>,
    writer_id: WriterId,
}

impl JsonlStore {
    /// Opens the log that a URL `jsonl:PATH` names, with the parameters behind the path.
    ///
    /// Without [`OpenOptions::create_if_missing`], nothing is made and nothing is written before the first append.
    ///
    /// # Errors
    /// If the URL has another scheme, the path or a parameter cannot be one, the path is no regular file, or the file is not there and not to be made.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let rest = after_scheme(url, NAME).ok_or_else(|| super::error::config("expected `jsonl:PATH`"))?;
        let config = Config::parse(rest, options)?;
        run(OPENING, move || Self::open_now(config)).await
    }

    fn open_now(config: Config) -> Result<Self, StoreError> {
        let place = Place::resolve(&config.path)
            .map_err(|error| super::error::config("the folder of the file is not there: make it").with_source(error))?;
        let mut catalogue = Catalogue::new(place.clone());
        let mut writer = Writer::new(config.clone(), place);
        if config.create_if_missing {
            writer.open()?;
        } else {
            check_is_there(&config, &mut catalogue)?;
        }
        Ok(Self {
            writer_id: writer.lock.id,
            writer: Arc::new(Mutex::new(writer)),
            shared: Arc::new(Shared::new(config, catalogue)),
        })
    }

    /// Runs `work` on a thread for blocking calls.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        run(operation, work).await
    }

    /// Takes the writer into a blocking call.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut writer: OwnedMutexGuard<Writer> = self.writer.clone().lock_owned().await;
        run(operation, move || work(&mut writer)).await
    }
}

async fn run<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(transient(operation).with_source(error)),
    }
}

/// A log that is not to be made has its file, or one that was rotated.
fn check_is_there(config: &Config, catalogue: &mut Catalogue) -> Result<(), StoreError> {
    match super::file_layout::stat(&config.path).during(OPENING)? {
        Some(metadata) => super::active_file::check_is_file(&metadata),
        None => {
            let is_missing =
                || super::error::config("the file is not there, and is not to be made here: check the path");
            catalogue.refresh(None, super::catalogue::Edits::Indexed).map_err(|_| is_missing())?;
            if catalogue.rotated.is_empty() { Err(is_missing()) } else { Ok(()) }
        }
    }
}

/// Without the path, which is the URL.
impl fmt::Debug for JsonlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonlStore").field("rotation", &self.shared.config.rotation).finish_non_exhaustive()
    }
}

impl AuditStore for JsonlStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME).with_durable(true)
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            reader: Some(self),
            admin: Some(self),
            removal: Some(self),
            recovery: Some(self),
            sealing: Some(self),
            ..Parts::NONE
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let batch = Batch::encode(events, self.shared.config.encoding.as_ref(), self.writer_id)?;
            self.write(APPEND, move |writer| {
                let held = writer.hold(APPEND)?;
                if batch.entries.is_empty() { Ok(()) } else { writer.append(&held, &batch) }
            })
            .await
        })
    }

    /// Does what an append does up to its `write`, reserves the space of one in the file, and writes and syncs a file beside
    /// it. So it proves that the file is at PATH and can be appended to, that there is room, and that the disk syncs.
    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.write("health check", |writer| writer.probe()))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        let shared = self.shared.clone();
        Box::pin(self.blocking("diagnosis", move || diagnostics::inspect(&shared)))
    }

    /// Compresses a part of a rotated file, or indexes one of another program.
    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            if !self.writer.lock().await.catalogue.unindexed.is_empty() {
                let shared = self.shared.clone();
                self.blocking("maintenance", move || shared.snapshot().map(drop)).await?;
                self.writer.lock().await.catalogue.forget_look();
            }
            if !self.shared.config.rotation.gzip {
                return Ok(false);
            }
            let shared = self.shared.clone();
            self.blocking("compression", move || shared.compress_a_part()).await
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.write("closing", |writer| writer.close()))
    }
}
