//! The state of compression between two calls.

use super::file_layout::FileKey;
use super::log_file::Stamp;
use super::rewriting::Rewriting;

/// The state of compression between two calls.
#[derive(Debug, Default)]
pub(super) struct CompressionState {
    pub(super) file: Option<Rewriting>,
    /// The folder when there was nothing to do.
    pub(super) idle: Option<Stamp>,
    /// A file that cannot be compressed.
    pub(super) failed: Option<FileKey>,
    /// A file that was changed by another program while it was compressed.
    pub(super) changed: Option<FileKey>,
}
