//! A hash of the Merkle tree.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::SealError;

/// A hash of the Merkle tree of RFC 9162 section 2.1, with SHA-256.
///
/// Its text form is base64 with padding (RFC 4648 section 4), as in checkpoints and proofs: 44 characters.
///
/// ```
/// use tower_audit::seal::Hash;
///
/// let leaf = Hash::of_leaf(b"entry");
/// assert_eq!(leaf.to_string().parse::<Hash>()?, leaf);
/// # Ok::<(), tower_audit::seal::SealError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The length in bytes.
    pub const BYTES: usize = 32;

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the root of the empty tree: the SHA-256 of nothing.
    pub fn of_empty_tree() -> Self {
        Self(Sha256::digest(b"").into())
    }

    /// Returns the hash of a leaf: `SHA-256(0x00 ‖ entry)`.
    pub fn of_leaf(entry: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([0]).chain_update(entry).finalize().into())
    }

    /// Returns the hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut input = [1; 1 + 2 * Self::BYTES];
        input[1..=Self::BYTES].copy_from_slice(&left.0);
        input[1 + Self::BYTES..].copy_from_slice(&right.0);
        Self(Sha256::digest(input).into())
    }

    /// Splits bytes into hashes. None if their number is no multiple of 32.
    pub(super) fn split(bytes: &[u8]) -> Option<impl ExactSizeIterator<Item = Self>> {
        let (chunks, rest) = bytes.as_chunks::<{ Self::BYTES }>();
        rest.is_empty().then(|| chunks.iter().map(|chunk| Self(*chunk)))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| SealError::text("hash", text, "32 bytes in base64, 44 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        // The roots of certificate-transparency-go for its leaf inputs: the empty tree, and the leaf of no bytes.
        assert_eq!(Hash::of_empty_tree().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(Hash::of_leaf(b"").to_string(), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
    }

    #[test]
    fn text_is_read_strictly() {
        let good = Hash::of_leaf(b"").to_string();
        assert!(good.parse::<Hash>().is_ok());
        // The last character has bits that no byte uses; they must be 0.
        let loose = good.replace("oB0=", "oB1=");
        for bad in ["", "AAAA", good.trim_end_matches('='), &loose, &format!(" {good}"), &format!("{good}\n")] {
            let error = bad.parse::<Hash>().unwrap_err().to_string();
            assert!(error.contains("expected 32 bytes in base64"), "{error}");
        }
    }
}
