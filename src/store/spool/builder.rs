//! The builder of a spool.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Limits, MIN_BYTES};
use super::store::SpoolStore;
use super::target::Target;
use crate::store::{AuditStore, Durability, OpenOptions, StoreError};

/// Opens a [`SpoolStore`]; see [`SpoolStore::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct SpoolBuilder {
    directory: PathBuf,
    target: Arc<dyn AuditStore>,
    limits: Limits,
    options: OpenOptions,
}

impl SpoolStore {
    /// Returns a builder of a spool in a directory, in front of a store that is open.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_audit::store::spool::SpoolStore;
    /// use tower_audit::store::{self, OpenOptions};
    /// use tower_audit::{AuditEvent, AuditLog, EventType};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let url = format!("sqlite:{}", folder.path().join("audit.db").display());
    /// let target = store::open(&url, OpenOptions::new()).await?;
    /// let spool = SpoolStore::builder(folder.path().join("spool"), target).open().await?;
    /// let log = AuditLog::builder().store(spool).open().await?;
    /// log.record(AuditEvent::new(EventType::UPLOAD)).await?;
    /// log.close().await?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    pub fn builder(directory: impl Into<PathBuf>, target: Arc<dyn AuditStore>) -> SpoolBuilder {
        SpoolBuilder::new(directory.into(), target)
    }
}

impl SpoolBuilder {
    fn new(directory: PathBuf, target: Arc<dyn AuditStore>) -> Self {
        Self { directory, target, limits: Limits::default(), options: OpenOptions::default() }
    }

    /// Sets the bytes of acknowledged events that may wait for the target: 1 GiB by default, at least 1 MiB. An append beyond it is
    /// refused.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes.max(MIN_BYTES);
        self
    }

    /// Sets the number of acknowledged events that may wait for the target: no bound by default. 0 counts as 1.
    pub fn max_events(mut self, events: u64) -> Self {
        self.limits.events = Some(events.max(1));
        self
    }

    /// Sets whether a read waits until the target has every event that was acknowledged before: true by default. Otherwise it shows what
    /// the target has.
    pub fn complete_reads(mut self, complete: bool) -> Self {
        self.limits.has_complete_reads = complete;
        self
    }

    /// Sets the timeout of a read's wait, and that of closing: 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Sets the treatment of a target that may lose what it has acknowledged: refused by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// Opens the spool, and starts its shipper on the current runtime. The target is closed with the spool.
    ///
    /// # Errors
    /// If the directory cannot be made or written; if the target is no durable store, or a spool itself.
    pub async fn open(self) -> Result<SpoolStore, StoreError> {
        let target = Target::of_store(self.target, self.options)?;
        SpoolStore::open(self.directory, self.limits, target, self.options).await
    }
}
