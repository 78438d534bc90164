//! The private key of a log.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};

use super::{SignatureType, VerifierKey, key_name};
use crate::seal::SealError;

/// A private key with its name, for Ed25519 signatures. `Debug` shows the verifier key alone.
///
/// ```
/// use tower_audit::seal::{SignedNote, Signer};
///
/// // The 32 bytes come from the system's source of randomness.
/// let signer = Signer::from_seed("example.com/audit", [7; 32])?;
/// let note = SignedNote::sign("signed text\n", &[&signer])?;
/// assert!(note.to_string().starts_with("signed text\n\n— example.com/audit "));
/// assert!(note.verify(&[signer.verifier_key()]).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// A key of this name, from 32 random bytes.
    ///
    /// # Errors
    /// The name is empty, or has a space, a control character or `+`.
    pub fn from_seed(name: impl Into<String>, seed: [u8; 32]) -> Result<Self, SealError> {
        let name = name.into();
        key_name::check(&name)?;
        Ok(Self { name, key: SigningKey::from_bytes(&seed) })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public key.
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey::new(self.name.clone(), SignatureType::Ed25519, self.key.verifying_key())
    }

    /// Returns the text of the key file: `PRIVATE+KEY+NAME+ID+BASE64`, the form of Go's `sumdb/note`. Keep it secret.
    pub fn to_secret_text(&self) -> String {
        let mut bytes = vec![SignatureType::Ed25519.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        format!("{PREFIX}{}+{:08x}+{}", self.name, self.verifier_key().id(), STANDARD.encode(bytes))
    }

    pub(super) fn sign(&self, text: &str) -> Vec<u8> {
        self.key.sign(text.as_bytes()).to_bytes().to_vec()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier_key())
    }
}

/// Reads the text of a key file, which may end in a line feed. Errors never show the key.
impl FromStr for Signer {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let wrong = |expected: &str| SealError::new(format!("this is no private key: expected {expected}"));
        let text = text.strip_suffix('\n').unwrap_or(text);
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| wrong("PRIVATE+KEY+NAME+ID+BASE64"))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("PRIVATE+KEY+NAME+ID+BASE64"));
        };
        let id = key_name::parse_key_id(id).ok_or_else(|| wrong("an id of eight lower-case hexadecimal digits"))?;
        let bytes = STANDARD.decode(key).map_err(|_| wrong("a key in base64 with padding"))?;
        let Some((0x01, seed)) = bytes.split_first() else { return Err(wrong("a key of type 0x01 (Ed25519)")) };
        let seed = seed.try_into().map_err(|_| wrong("a key of 32 bytes behind its type"))?;
        key_name::check(name).map_err(|_| wrong("a name without spaces and `+`"))?;
        let signer = Self::from_seed(name, seed)?;
        if signer.verifier_key().id() != id {
            return Err(wrong("the id of this name and key; the text was changed"));
        }
        Ok(signer)
    }
}

const PREFIX: &str = "PRIVATE+KEY+";
