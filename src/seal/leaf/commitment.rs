//! The commitments of cells, and the digest over them.

use sha2::{Digest, Sha256};

use super::Cell;
use crate::event::AuditEvent;

/// Begins the digest over the commitments of so many cells.
pub(super) fn begin_fields(cells: usize) -> Sha256 {
    let mut fields = Sha256::new_with_prefix(CELLS_LABEL);
    fields.update(u16::try_from(cells).unwrap_or(u16::MAX).to_be_bytes());
    fields
}

/// Returns the commitment of a cell.
pub(super) fn commitment(event: &AuditEvent, cell: Cell<'_>, salt: &[u8; 16]) -> [u8; 32] {
    hash_of(event, cell, salt, &mut Vec::new())
}

/// Returns the commitment of a cell. The buffer is used again.
pub(super) fn hash_of(event: &AuditEvent, cell: Cell<'_>, salt: &[u8; 16], preimage: &mut Vec<u8>) -> [u8; 32] {
    preimage.clear();
    preimage.extend_from_slice(salt);
    preimage.extend_from_slice(&[0; 2]);
    cell.write_name(preimage);
    // The names of details have 128 bytes at most.
    let length = u16::try_from(preimage.len() - 18).unwrap_or(u16::MAX);
    preimage[16..18].copy_from_slice(&length.to_be_bytes());
    cell.write_value(event, preimage);
    Sha256::digest(&preimage).into()
}

const CELLS_LABEL: &[u8] = b"tower-audit/cells/v1\n";
