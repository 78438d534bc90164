//! The database and its write-ahead log as files: whether a commit has reached the disk under its name.
//!
//! DuckDB syncs the write-ahead log at each commit, deletes it with each checkpoint, and makes it anew with the next commit, without a sync of the
//! folder: after a crash of the machine, the new file might have no name. And it finds both files by descriptors that it keeps
//! open: a file that was deleted or replaced under it takes what is written, and is gone with the process.
//!
//! | before the commit | after it | so |
//! |---|---|---|
//! | no log | a log | the folder is synced |
//! | a log | the same, longer | it is durable: DuckDB has synced it |
//! | anything | anything else | DuckDB has made a checkpoint, or somebody touched the files: a checkpoint now writes all of it |

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::{DuringOperation as _, OPENING, permanent};
use crate::store::StoreError;
use crate::store::files::{FileKey, stat, sync_folder};

/// The path of the write-ahead log of a database.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".wal");
    name.into()
}

/// The files of an open database.
pub(super) struct DatabaseFile {
    path: PathBuf,
    wal: PathBuf,
    key: FileKey,
}

/// The write-ahead log at a moment; none if there is no such file.
pub(super) type Sight = Option<(FileKey, u64)>;

impl DatabaseFile {
    /// Remembers the file that was opened.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let metadata = fs::metadata(path).during(OPENING)?;
        Ok(Self { path: path.to_owned(), wal: wal_of(path), key: FileKey::of(&metadata) })
    }

    /// Looks at the files. An error if the database is not the one that was opened.
    pub(super) fn look(&self, doing: &'static str) -> Result<Sight, StoreError> {
        let database = stat(&self.path).during(doing)?;
        if database.is_none_or(|database| FileKey::of(&database) != self.key) {
            return Err(permanent(doing).with_hint(
                "the file was removed or replaced under the writer: bring it back to its path, or start the service again on \
                 the new one",
            ));
        }
        Ok(stat(&self.wal).during(doing)?.map(|wal| (FileKey::of(&wal), wal.len())))
    }

    /// Returns true if the write-ahead log has what was committed since `before`, durably and under its name.
    pub(super) fn has_grown_durably(&self, before: Sight, doing: &'static str) -> Result<bool, StoreError> {
        match (before, self.look(doing)?) {
            (Some((old, shorter)), Some((new, longer))) => Ok(old == new && longer > shorter),
            (None, Some(_)) => {
                // The mode of the database, which its owner may have changed.
                let mode = fs::metadata(&self.path).during(doing)?.permissions().mode() & 0o666;
                fs::set_permissions(&self.wal, fs::Permissions::from_mode(mode)).during(doing)?;
                if let Some(folder) = self.wal.parent() {
                    sync_folder(folder).during(doing)?;
                }
                Ok(true)
            }
            (_, None) => Ok(false),
        }
    }

    pub(super) fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal).map_or(0, |wal| wal.len())
    }
}
