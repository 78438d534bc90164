//! A read on a thread for what blocks.

use super::session::Session;
use super::shared_database::{EngineHandle, blocking};
use crate::store::StoreError;

/// Runs a read on a session of the database.
pub(super) async fn read<T: Send + 'static>(
    engine: EngineHandle,
    doing: &'static str,
    work: impl FnOnce(&mut Session) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let place = engine.readers.place(doing).await?;
    blocking(doing, move || {
        let done = engine.readers.run(&place, doing, work);
        // Before the share: the last share closes the database.
        drop(place);
        drop(engine);
        done
    })
    .await
}
