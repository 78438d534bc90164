//! The store: a share in the open database of a file.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::append::{self, Batch};
use super::config::Config;
use super::diagnostics;
use super::error::{NAME, OPENING, closed};
use super::health::{self, HEALTH};
use super::shared_database::{EngineHandle, Writer, blocking};
use crate::event::AuditEvent;
use crate::store::{AuditStore, Capabilities, Diagnostic, OpenOptions, Parts, StoreError, StoreFuture};

/// Events in one file of DuckDB's; see the documentation of the module.
///
/// # Cancel safety
/// A future of this store can be dropped. What DuckDB does for it goes on to its end, on a thread for that.
pub struct DuckdbStore {
    pub(super) config: Config,
    /// None once the store is closed.
    engine: Mutex<Option<EngineHandle>>,
    /// Names this store in the list of open `started` events.
    pub(super) number: i64,
}

impl DuckdbStore {
    /// Opens what a URL `duckdb:PATH` names.
    ///
    /// With [`OpenOptions::create_if_missing`], a file that does not exist is made, and what is missing of the tables. Stores of one process on one
    /// file share the database, with the options of the first.
    ///
    /// # Errors
    /// If the URL is malformed, the library is not found, another process has the file open, the file is no database of DuckDB's or has
    /// another table under the log's name, or what is missing is not to be made.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let config = Config::parse(url, options)?;
        let opening = config.clone();
        let engine = blocking(OPENING, move || EngineHandle::open(&opening)).await?;
        let number = engine.register();
        Ok(Self { config, engine: Mutex::new(Some(engine)), number })
    }

    /// A share in the database.
    pub(super) fn engine(&self, doing: &'static str) -> Result<EngineHandle, StoreError> {
        self.handle().clone().ok_or_else(|| closed(doing))
    }

    fn handle(&self) -> MutexGuard<'_, Option<EngineHandle>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` with the session that writes, after what is in line for it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let engine = self.engine(doing)?;
        let mut writer = engine.writer(self.config.timeout, doing).await?;
        blocking(doing, move || {
            let done = work(&mut writer);
            // Before the share: the last share closes the database.
            drop(writer);
            drop(engine);
            done
        })
        .await
    }
}

/// Without the URL.
impl fmt::Debug for DuckdbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuckdbStore").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for DuckdbStore {
    fn drop(&mut self) {
        if let Some(engine) = self.handle().take() {
            engine.unregister(self.number);
        }
    }
}

impl AuditStore for DuckdbStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME).with_durable(true)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let (batch, number) = (Batch::of(events)?, self.number);
            self.write("append", move |writer| append::append(writer, number, &batch)).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        let number = self.number;
        Box::pin(self.write(HEALTH, move |writer| health::check(writer, number)))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(async move {
            let engine = self.engine(INSPECTING)?;
            self.write(INSPECTING, move |writer| diagnostics::inspect(writer, &engine)).await
        })
    }

    /// Makes a checkpoint while the log is idle, if it is worth one.
    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(self.write("checkpoint", |writer| {
            if writer.wal_bytes() >= IDLE_WAL_BYTES {
                writer.checkpoint("checkpoint")?;
            }
            Ok(false)
        }))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(engine) = self.handle().take() else { return Ok(()) };
            engine.unregister(self.number);
            blocking("close", move || {
                drop(engine);
                Ok(())
            })
            .await
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts { reader: Some(self), admin: Some(self), removal: Some(self), recovery: Some(self), ..Parts::NONE }
    }
}

const INSPECTING: &str = "inspecting the file";
/// The bytes of the write-ahead log from which a checkpoint is made while the log is idle.
const IDLE_WAL_BYTES: u64 = 4 << 20;
