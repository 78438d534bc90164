//! Salts: without them, a commitment tells nothing of its value.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::seal::SealError;

/// 32 random bytes of one event, from which the salts of its cells are derived. Kept beside the event, and gone with it.
/// `Debug` does not show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed with these bytes. They come from the system's source of randomness.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the salts of the first `count` cells.
    pub fn salts(&self, count: usize) -> Salts {
        Salts(self.each_salt().take(count).collect())
    }

    /// Returns the salts one by one, for any number of cells.
    pub(super) fn each_salt(&self) -> impl Iterator<Item = [u8; 16]> {
        let mut preimage = [0; SALT_LABEL.len() + 32 + 2];
        preimage[..SALT_LABEL.len()].copy_from_slice(SALT_LABEL);
        preimage[SALT_LABEL.len()..][..32].copy_from_slice(&self.0);
        (0_usize..).flat_map(move |pair| {
            // A cell for each member of 16 KiB of details: fewer than 2^16.
            let pair = u16::try_from(pair).unwrap_or(u16::MAX);
            preimage[SALT_LABEL.len() + 32..].copy_from_slice(&pair.to_be_bytes());
            let digest: [u8; 32] = Sha256::digest(preimage).into();
            let (halves, _) = digest.as_chunks::<16>();
            [halves[0], halves[1]]
        })
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// The salts of an event's cells, in their order. They are what a proof discloses: a seed stays with the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Salts(Vec<[u8; 16]>);

impl Salts {
    /// Returns the number of salts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.0.iter()
    }

    /// Returns the bytes that stand in the extra data of a proof: a label, then 16 bytes a salt.
    pub fn to_bytes(&self) -> Vec<u8> {
        [SALTS_LABEL, self.0.as_flattened()].concat()
    }

    /// Reads the bytes of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// The label is another, or the length is no multiple of 16.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let salts = bytes.strip_prefix(SALTS_LABEL).map(<[u8]>::as_chunks::<16>);
        match salts {
            Some((salts, [])) => Ok(Self(salts.to_vec())),
            _ => Err(SealError::new("no salts: expected the line `tower-audit/salts/v1` and 16 bytes for each cell")),
        }
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salts({})", self.0.len())
    }
}

const SALT_LABEL: &[u8] = b"tower-audit/salt/v1\n";
const SALTS_LABEL: &[u8] = b"tower-audit/salts/v1\n";
