//! Telling writers that died from those that only lost their sessions.

use std::collections::HashMap;

use super::writer_lease::GRACE;
use crate::store::StoreError;

/// A writer whose lock is free, or that said that it has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SuspectWriter {
    pub(crate) id: i64,
    /// Counts how often the writer has taken its lock again.
    pub(crate) retaken: i64,
    pub(crate) has_left: bool,
}

/// The dead of the suspects: those that have left, and those that are suspects with the same count after the grace.
pub(crate) async fn dead_writers<F>(suspects: impl Fn() -> F) -> Result<Vec<SuspectWriter>, StoreError>
where
    F: Future<Output = Result<Vec<SuspectWriter>, StoreError>>,
{
    let (mut dead, silent): (Vec<_>, Vec<_>) = suspects().await?.into_iter().partition(|suspect| suspect.has_left);
    if silent.is_empty() {
        return Ok(dead);
    }
    let before: HashMap<i64, i64> = silent.iter().map(|suspect| (suspect.id, suspect.retaken)).collect();
    // A writer that only lost its session takes the lock again meanwhile.
    tokio::time::sleep(GRACE).await;
    let still = suspects().await?;
    dead.extend(still.into_iter().filter(|suspect| before.get(&suspect.id) == Some(&suspect.retaken)));
    Ok(dead)
}
