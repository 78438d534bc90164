//! Files with a note, a proof, an event or a policy.

use std::path::Path;

use crate::error::CliError;

/// Reads a text file of at most 4 MiB.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Usage(format!("{}: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(failed(&format!("{bytes} bytes are too many: expected {MAX_FILE_BYTES} at the most")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

const MAX_FILE_BYTES: u64 = 4 << 20;
