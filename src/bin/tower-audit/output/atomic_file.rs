//! A file that is there when it is complete.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CliError;

/// A file of another name beside the one that is wanted, which it becomes when it is complete and on the disk. Dropped
/// before, it is removed. Nobody but its owner can read it.
pub(crate) struct AtomicFile {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    replaces: bool,
}

impl AtomicFile {
    /// Begins to write what will be at `path`. A file that is there is left alone, or replaced if it is `replaces`.
    pub(crate) fn new(path: PathBuf, replaces: bool) -> Result<Self, CliError> {
        match std::fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Err(refused(&path, "is no regular file: name another")),
            Ok(_) if !replaces => return Err(refused(&path, "exists: name another, or give --force to replace it")),
            _ => {}
        }
        let file = NamedTempFile::with_prefix_in(".tower-audit-", folder(&path));
        match file {
            Ok(file) => Ok(Self { file: BufWriter::with_capacity(BUFFER_BYTES, file), path, replaces }),
            Err(cause) => Err(CliError::File { path, cause }),
        }
    }

    /// Gives the file its name. After this it is there whatever happens to the machine.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        let Self { file, path, replaces } = self;
        let name = || -> io::Result<()> {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            if replaces { file.persist(&path) } else { file.persist_noclobber(&path) }.map_err(|error| error.error)?;
            sync_folder(folder(&path))
        };
        match name() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(refused(&path, "exists by now")),
            named => named.map_err(|cause| CliError::File { path, cause }),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn refused(path: &Path, why: &str) -> CliError {
    CliError::Usage(format!("--output: {} {why}", path.display()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new name is there after a crash if its folder is on the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

const BUFFER_BYTES: usize = 256 * 1024;
