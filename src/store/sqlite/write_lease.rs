//! A lease of the writer.

use std::path::Path;

use tokio::sync::MutexGuard;

use super::corruption_latch::CorruptionLatch;
use super::error::log_with_gap;
use super::liveness_lock::LivenessLock;
use super::writer::Writer;
use super::writer_state::WriterState;
use crate::store::{StoreError, StoreErrorKind};

/// The writer's state, taken out of the store. Dropped without [`finish`](Self::finish), it closes the connection and
/// rolls back.
pub(super) struct WriteLease<'a> {
    pub(super) writer: MutexGuard<'a, Writer>,
    pub(super) damage: &'a CorruptionLatch,
    /// PATH.
    pub(super) path: &'a Path,
    pub(super) state: WriterState,
}

impl WriteLease<'_> {
    /// The writer's state and its lock.
    pub(super) fn parts(&mut self) -> (&mut WriterState, &mut LivenessLock) {
        (&mut self.state, &mut self.writer.lock)
    }

    /// Returns the state to the store if the call succeeded and the files are still those it has open.
    pub(super) async fn finish<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        // The commit hook gives no reason.
        let has_gap = self.state.connection.db.identity.has_gap();
        let result = result.map_err(|error| if has_gap { log_with_gap(error.doing()) } else { error });
        self.note(&result);
        let result = result?;
        let checked = self.state.connection.check_after().await;
        self.note(&checked);
        checked?;
        if !self.state.connection.has_open_transaction {
            self.writer.state = Some(self.state);
        }
        Ok(result)
    }

    pub(super) fn note<T>(&mut self, result: &Result<T, StoreError>) {
        self.damage.note(self.path, result);
        self.state.connection.db.is_suspect |=
            result.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Corrupt);
    }
}
