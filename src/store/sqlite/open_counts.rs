//! The numbers of open events, of living writers and of dead ones.

use super::error::DuringOperation as _;
use super::liveness_lock::{DeadWriter, LivenessLock};
use super::writer_state::{StateTransaction, WriterState};
use crate::store::StoreError;

/// The numbers of open events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OpenCounts {
    /// Those of writers that live.
    pub(super) alive: i64,
    /// Those of dead writers.
    pub(super) dead: i64,
}

/// Counts the open events. Holds the write lock meanwhile, as recovery does: one that looked for a dead writer's lock at the
/// same moment would take the writer for a living one.
pub(super) async fn count_open(state: &mut WriterState, writer_lock: &LivenessLock) -> Result<OpenCounts, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let sql = "SELECT coalesce(CAST(writer AS BLOB), x''), count(*) FROM audit_started GROUP BY 1";
    let open: Vec<(Vec<u8>, i64)> =
        sqlx::query_as(sql).fetch_all(&mut *transaction.connection.db).await.during(DOING)?;
    let mut counts = OpenCounts::default();
    for (id, events) in open {
        let is_dead = id != writer_lock.id() && DeadWriter::find(&transaction.connection.database, &id).is_some();
        *(if is_dead { &mut counts.dead } else { &mut counts.alive }) += events;
    }
    transaction.roll_back().await?;
    Ok(counts)
}

const DOING: &str = "inspecting the file";
