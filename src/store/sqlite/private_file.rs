//! Files that only their owner may read.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::config::with_suffix;
use super::error::{DuringOperation as _, OPENING};
use crate::random::random;
use crate::store::StoreError;

/// Creates an empty file of mode 0600: a log says who did what. SQLite gives `-wal` and `-shm` the mode of the database, and
/// would create it for everybody. An error is left to SQLite, which meets and names it.
pub(super) fn create_private_file(resolved: &Path) {
    drop(create_new(resolved));
}

/// Makes an empty file of mode 0600 beside another, of that name with `marker` and random digits behind it: one that nobody
/// had before, so that the caller may write over it or remove it.
///
/// # Errors
/// If no file can be made there.
pub(super) fn claim_private_file(beside: &Path, marker: &str) -> io::Result<PathBuf> {
    claim(beside, marker, std::iter::repeat_with(random))
}

fn claim(beside: &Path, marker: &str, numbers: impl IntoIterator<Item = u64>) -> io::Result<PathBuf> {
    for number in numbers {
        let path = with_suffix(beside, &format!("{marker}{number:016x}"));
        match create_new(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Syncs the folder of a new file: without it, a crash may lose the name, and with it the file.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    if cfg!(unix) {
        std::fs::File::open(directory).and_then(|directory| directory.sync_all()).during(OPENING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_has_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("audit.db");
        let theirs = claim(&beside, "-copy-", [7]).unwrap();
        std::fs::write(&theirs, "events").unwrap();
        assert!(claim(&beside, "-copy-", [7, 7]).is_err());
        let ours = claim(&beside, "-copy-", [7, 7, 8]).unwrap();
        assert_eq!(ours, with_suffix(&beside, "-copy-0000000000000008"));
        assert_eq!((std::fs::read(theirs).unwrap(), std::fs::read(ours).unwrap()), (b"events".to_vec(), Vec::new()));
    }
}
