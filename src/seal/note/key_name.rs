//! Names and ids of keys.

use sha2::{Digest, Sha256};

use super::SignatureType;
use crate::seal::SealError;

/// Checks the name of a key: it has no space, no `+` and no control character, and is not empty.
pub(super) fn check(name: &str) -> Result<(), SealError> {
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
    if is_name {
        Ok(())
    } else {
        Err(SealError::text("name of a key", name, "text such as `example.com/audit`, without spaces and `+`"))
    }
}

/// Returns the id of a key: the first four bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ public key)`.
pub(super) fn key_id(name: &str, signature_type: SignatureType, public_key: &[u8]) -> u32 {
    let digest = Sha256::new_with_prefix(name).chain_update([b'\n', signature_type.byte()]).chain_update(public_key);
    let digest: [u8; 32] = digest.finalize().into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// Reads a key id: eight lower-case hexadecimal digits.
pub(super) fn parse_key_id(text: &str) -> Option<u32> {
    let is_hex = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u32::from_str_radix(text, 16).ok() } else { None }
}
