//! Entry bundles: the entries of one tile of level 0.

use super::TileId;
use crate::seal::SealError;

/// The largest entry of a bundle: its length is a `u16`.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// Writes entries as a bundle: each with its length before it, in two bytes, most significant first.
///
/// # Errors
/// More than 256 entries, or one of more than [`MAX_ENTRY_BYTES`].
pub fn write_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, SealError> {
    check_count(entries.len())?;
    let mut bundle = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        let length = u16::try_from(entry.len()).map_err(|_| {
            SealError::new(format!("an entry has {} bytes: expected {MAX_ENTRY_BYTES} at the most", entry.len()))
        })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads the entries of a bundle.
///
/// # Errors
/// The bytes end within an entry, or there are none or more than 256 entries.
pub fn read_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, SealError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((entry, after)) = after.split_at_checked(length) else {
            let number = entries.len();
            return Err(SealError::new(format!(
                "the bundle ends within entry {number}: expected {length} bytes, and {} are left",
                after.len()
            )));
        };
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(SealError::new("the bundle ends within the length of an entry"));
    }
    check_count(entries.len())?;
    Ok(entries)
}

fn check_count(count: usize) -> Result<(), SealError> {
    if (1..=usize::from(TileId::FULL)).contains(&count) {
        Ok(())
    } else {
        Err(SealError::new(format!("a bundle of {count} entries: expected 1 to 256")))
    }
}
