//! Types of signatures.

use crate::seal::SealError;

/// The type of a signature, a byte of the verifier key (C2SP signed-note).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureType {
    /// `0x01`: Ed25519 over the text of the note. A log signs its checkpoints so.
    Ed25519,
    /// `0x04`: Ed25519 over a time and the text of a checkpoint (C2SP tlog-cosignature). A witness signs so.
    CosignatureV1,
}

impl SignatureType {
    /// Returns the byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    /// The type with this byte.
    pub(super) fn from_byte(byte: u8) -> Result<Self, SealError> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::CosignatureV1),
            _ => Err(SealError::new(format!(
                "signatures of type 0x{byte:02x} are not supported: expected 0x01 (Ed25519) or 0x04 (cosignature/v1)"
            ))),
        }
    }
}
