//! The writer of a store: its connection, and the memory of it between two connections.

use super::file_identity::FileIdentity;
use super::writer_lock::WriterLock;
use super::writer_state::WriterState;

pub(super) struct Writer {
    pub(super) state: Option<WriterState>,
    /// The files of the last connection that was opened.
    pub(super) last: Option<FileIdentity>,
    pub(super) lock: WriterLock,
    pub(super) closed: bool,
}
