//! The writer of a store: its connection, and the memory of it between two connections.

use super::file_identity::FileIdentity;
use super::liveness_lock::LivenessLock;
use super::write_connection::WriteConnection;
use super::writer_state::WriterState;

pub(super) struct Writer {
    pub(super) state: Option<WriterState>,
    /// The connection that copies the write-ahead log into the database beside the appends.
    pub(super) checkpointer: Option<WriteConnection>,
    /// The files of the last connection that was opened.
    pub(super) last: Option<FileIdentity>,
    pub(super) lock: LivenessLock,
    pub(super) closed: bool,
}

impl Writer {
    /// Drops the connections: their files are no longer those at PATH, or the writer ends.
    pub(super) fn drop_connections(&mut self) {
        self.state = None;
        self.checkpointer = None;
    }
}
