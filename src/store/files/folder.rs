//! Folders made durable, and the owners of new files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Gives a file to the owner of its folder.
pub(crate) fn give_to_owner_of(folder: &Path, file: &File) {
    if let Ok(owner) = fs::metadata(folder) {
        give(file, &owner);
    }
}

/// Gives a file to an owner.
pub(crate) fn give(file: &File, owner: &Metadata) {
    // Only root may, and needs to.
    let _ = std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()));
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Options for a file that only its owner may read: a log says who did what.
pub(crate) fn private() -> OpenOptions {
    let mut options = File::options();
    options.mode(0o600);
    options
}
