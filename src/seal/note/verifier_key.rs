//! Public keys as text: vkeys.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

use super::{SignatureType, key_name};
use crate::seal::SealError;

/// A public key with its name and its type: `NAME+ID+BASE64`, a vkey of C2SP signed-note.
///
/// ```
/// use tower_audit::seal::VerifierKey;
///
/// // The example of the specification.
/// let key: VerifierKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse()?;
/// assert_eq!(key.name(), "example.com/foo");
/// # Ok::<(), tower_audit::seal::SealError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    signature_type: SignatureType,
    key: VerifyingKey,
}

impl VerifierKey {
    pub(super) fn new(name: String, signature_type: SignatureType, key: VerifyingKey) -> Self {
        Self { id: key_name::key_id(&name, signature_type, key.as_bytes()), name, signature_type, key }
    }

    /// Returns the name. The key of a log has the log's origin as its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id, which stands before each signature.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the type of its signatures.
    pub fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// Returns the bytes of the public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Checks a signature of this key under a text. Returns its time in seconds since 1970, if its type has one.
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let (message, signature, time) = match self.signature_type {
            SignatureType::Ed25519 => (text.to_owned(), signature, None),
            SignatureType::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                i64::try_from(time).ok()?;
                (format!("cosignature/v1\ntime {time}\n{text}"), signature, Some(time))
            }
        };
        let signature = Signature::from_slice(signature).ok()?;
        self.key.verify_strict(message.as_bytes(), &signature).ok()?;
        Some(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.signature_type.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let wrong = |expected: &str| SealError::text("verifier key", text, expected);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("NAME+ID+BASE64"));
        };
        key_name::check(name)?;
        let id = key_name::parse_key_id(id).ok_or_else(|| wrong("an id of eight lower-case hexadecimal digits"))?;
        let bytes = STANDARD.decode(key).map_err(|_| wrong("a key in base64 with padding"))?;
        let Some((signature_type, bytes)) = bytes.split_first() else { return Err(wrong("a key behind its type")) };
        let signature_type = SignatureType::from_byte(*signature_type)?;
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| wrong("a key of 32 bytes behind its type"))?;
        let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak());
        let key = Self::new(
            name.to_owned(),
            signature_type,
            key.ok_or_else(|| wrong("a point of Ed25519 that is not weak"))?,
        );
        if key.id != id {
            return Err(wrong(&format!("the id {:08x} of this name and key", key.id)));
        }
        Ok(key)
    }
}
