//! The entry of an event in the tree.

use sha2::Digest as _;

use super::commitment::{begin_fields, hash_of};
use super::{Salts, Seed, SurvivingSalts, cells};
use crate::event::{AuditEvent, EventId};
use crate::seal::{Hash, SealError};

/// The entry of an event in the tree, format v1. It commits to every value of the event, and shows none but the id.
///
/// ```text
/// entry  = "tower-audit/leaf/v1\n" ‖ event_id[16] ‖ fields[32]
/// fields = SHA-256("tower-audit/cells/v1\n" ‖ u16 n ‖ C_0 ‖ … ‖ C_{n-1})
/// C_i    = SHA-256(salt_i[16] ‖ u16 len(name) ‖ name ‖ canonical JSON of the value)
/// salt_i = half (i mod 2) of SHA-256("tower-audit/salt/v1\n" ‖ seed ‖ u16 (i div 2))
/// ```
///
/// Numbers have their most significant byte first. The [`cells`] and their order are in `docs/seal.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    event_id: EventId,
    fields: [u8; 32],
}

impl Leaf {
    /// The length of an entry in bytes.
    pub const BYTES: usize = LEAF_LABEL.len() + 16 + 32;

    /// The leaf of an event, with salts derived from this seed.
    pub fn of(event: &AuditEvent, seed: &Seed) -> Self {
        Self { event_id: event.event_id, fields: fields(event, seed.each_salt()) }
    }

    /// The leaf of an event, with the salts that a proof discloses.
    ///
    /// # Errors
    /// There are more or fewer salts than the event has cells.
    pub fn with_salts(event: &AuditEvent, salts: &Salts) -> Result<Self, SealError> {
        let count = cells(event).len();
        if salts.len() != count {
            return Err(SealError::new(format!("{} salts for an event of {count} cells", salts.len())));
        }
        Ok(Self { event_id: event.event_id, fields: fields(event, salts.iter().copied()) })
    }

    /// The leaf of an event of which cells were erased: that of the event as it was sealed.
    ///
    /// # Errors
    /// The event has more or fewer members of `details` than salts are left.
    pub fn with_surviving(event: &AuditEvent, salts: &SurvivingSalts) -> Result<Self, SealError> {
        Ok(Self { event_id: event.event_id, fields: salts.fields_of(event)? })
    }

    /// The leaf of this event id, with the digest over its cells that was stored.
    pub fn from_parts(event_id: EventId, fields: [u8; 32]) -> Self {
        Self { event_id, fields }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// The length or the label is another.
    pub fn from_entry(entry: &[u8]) -> Result<Self, SealError> {
        let parts = || {
            let (event_id, fields) = entry.strip_prefix(LEAF_LABEL)?.split_first_chunk::<16>()?;
            Some(Self { event_id: EventId::from_bytes(*event_id), fields: fields.try_into().ok()? })
        };
        parts().ok_or_else(|| {
            SealError::new(format!(
                "this is no leaf: expected {} bytes that begin with `tower-audit/leaf/v1`",
                Self::BYTES
            ))
        })
    }

    /// Returns the id of the event.
    pub fn event_id(&self) -> EventId {
        self.event_id
    }

    /// Returns the digest over the commitments of the cells.
    pub fn fields(&self) -> &[u8; 32] {
        &self.fields
    }

    /// Returns the bytes of the entry.
    pub fn entry(&self) -> [u8; Self::BYTES] {
        let mut entry = [0; Self::BYTES];
        let (label, rest) = entry.split_at_mut(LEAF_LABEL.len());
        label.copy_from_slice(LEAF_LABEL);
        rest[..16].copy_from_slice(&self.event_id.to_bytes());
        rest[16..].copy_from_slice(&self.fields);
        entry
    }

    /// Returns the hash of the leaf in the tree.
    pub fn hash(&self) -> Hash {
        Hash::of_leaf(&self.entry())
    }
}

/// Returns the digest over the commitments. There are as many salts as cells, or more.
fn fields(event: &AuditEvent, salts: impl Iterator<Item = [u8; 16]>) -> [u8; 32] {
    let cells = cells(event);
    let mut fields = begin_fields(cells.len());
    let mut preimage = Vec::with_capacity(512);
    for (cell, salt) in cells.zip(salts) {
        fields.update(hash_of(event, cell, &salt, &mut preimage));
    }
    fields.finalize().into()
}

const LEAF_LABEL: &[u8] = b"tower-audit/leaf/v1\n";
