//! The text of a file, bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::FileError;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads a file of at most 1 MiB of UTF-8.
pub(crate) fn contents(path: &Path) -> Result<String, FileError> {
    let unreadable = |error| FileError::new("the file cannot be read").with_source(error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::new("the file is too large: expected 1 MiB at most"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        FileError::new("the file is not UTF-8").on_line(line)
    })
}
