//! Appends to a journal that has a bound.

use super::{append, compaction};
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::sqlite::liveness_lock::LivenessLock;
use crate::store::sqlite::segments::value_index;
use crate::store::sqlite::writer_state::WriterState;
use crate::store::{StoreError, StoreErrorKind};

/// Appends, after a compaction if the journal is full.
pub(crate) async fn append(
    state: &mut WriterState,
    writer_lock: &mut LivenessLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    if state.journal.is_full() {
        make_room(state, events.len()).await?;
    }
    append::append(state, writer_lock, events).await
}

/// Compacts four journal events for each new one: a small batch waits for little, and the journal still shrinks.
///
/// Rows that cannot be compacted stay in the journal and appends go on: slow reads are better than a log that rejects
/// events.
async fn make_room(state: &mut WriterState, coming: usize) -> Result<(), StoreError> {
    let chunk = (coming * COMPACTED_PER_APPENDED).clamp(MIN_COMPACTED, compaction::CHUNK_EVENTS);
    let moved = async {
        compaction::compact_chunk(state, chunk).await?;
        value_index::merge_next_parts(state).await
    };
    match moved.await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() != StoreErrorKind::Permanent => Err(error),
        Err(error) => {
            let events = state.journal.len();
            log_line(move || {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    events,
                    "the journal of the audit log cannot be moved into segments, and grows"
                );
            });
            state.reload_after_failure().await
        }
    }
}

const COMPACTED_PER_APPENDED: usize = 4;
const MIN_COMPACTED: usize = 64;
