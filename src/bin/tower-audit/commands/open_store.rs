//! The store that a command works with: opened, used and closed in one place.

use std::sync::Arc;

use tower_audit::store::{AuditStore, OpenOptions, Reader, Sealing, StoreAdmin};

use crate::error::CliError;
use crate::progress::with_progress;

/// The behaviour if the store does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnMissing {
    Create,
    /// A mistyped path is an error, never an empty log.
    Fail,
}

/// Opens the store, does `work` with it, and closes it.
pub(super) async fn with_store<T>(
    url: &str,
    if_missing: OnMissing,
    work: impl AsyncFnOnce(&dyn AuditStore) -> Result<T, CliError>,
) -> Result<T, CliError> {
    with_shared_store(url, if_missing, async |store| work(&**store).await).await
}

/// Opens the store, does `work` that shares it with tasks of its own, and closes it.
pub(super) async fn with_shared_store<T>(
    url: &str,
    if_missing: OnMissing,
    work: impl AsyncFnOnce(&Arc<dyn AuditStore>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let mut options = OpenOptions::default();
    options.create_if_missing = if_missing == OnMissing::Create;
    let store: Arc<dyn AuditStore> = with_progress("opening the store", tower_audit::store::open(url, options)).await?;
    let result = work(&store).await;
    // Whatever was appended or removed is durable by now; what closing could still fail at is maintenance up.
    let _ = store.close().await;
    result
}

pub(super) fn reader(store: &dyn AuditStore) -> Result<&dyn Reader, CliError> {
    store.parts().reader.ok_or_else(|| CliError::Unsupported { store: store.capabilities().name, what: "read" })
}

pub(super) fn admin<'a>(store: &'a dyn AuditStore, what: &'static str) -> Result<&'a dyn StoreAdmin, CliError> {
    store.parts().admin.ok_or_else(|| CliError::Unsupported { store: store.capabilities().name, what })
}

pub(super) fn sealing(store: &dyn AuditStore) -> Result<&dyn Sealing, CliError> {
    store.parts().sealing.ok_or_else(|| CliError::Unsupported { store: store.capabilities().name, what: "sealed" })
}
