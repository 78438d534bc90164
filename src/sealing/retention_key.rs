//! The private key that signs purges.

use std::fmt;
use std::path::PathBuf;

use super::SealKeyError;
use super::key_file::{read, sync_folder, write_new};
use super::seal_key::new_signer;
use crate::seal::{RETENTION_SUFFIX, RemovalNote, SealError, SignedNote, Signer, VerifierKey};

/// The retention key of a log: a purge of a sealed log is signed with it.
///
/// Without it, an account that may append events could claim that missing ones were purged. Keep it where purges run, and neither with
/// the writers nor with the sealer. Its name is the origin of the log with `/retention` behind it.
///
/// `Debug` shows the public key.
#[derive(Clone)]
pub struct RetentionKey {
    signer: Signer,
    origin: String,
}

impl RetentionKey {
    /// Creates a key for the log with this origin, and its file. On Unix, nobody but the owner may read it.
    ///
    /// # Errors
    /// The file exists or cannot be written, or the origin is none: no spaces, no `+`.
    pub fn create(path: impl Into<PathBuf>, origin: &str) -> Result<Self, SealKeyError> {
        let path = path.into();
        let signer = new_signer(&path, &format!("{origin}{RETENTION_SUFFIX}"))?;
        let written = write_new(&path, &(signer.to_secret_text() + "\n")).and_then(|()| sync_folder(&path));
        written.map_err(|error| SealKeyError::new(&path, "written", error))?;
        Ok(Self { signer, origin: origin.to_owned() })
    }

    /// Reads the file of a key.
    ///
    /// # Errors
    /// The file is missing or malformed, or has another kind of key.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, SealKeyError> {
        let path = path.into();
        let text = read(&path).map_err(|error| SealKeyError::new(&path, "read", error))?;
        let signer: Signer = text.parse().map_err(|error| SealKeyError::new(&path, "used", error))?;
        let Some(origin) = signer.name().strip_suffix(RETENTION_SUFFIX).map(str::to_owned) else {
            let error = format!("the key {:?} is no retention key: `keygen --retention` makes one", signer.name());
            return Err(SealKeyError::new(&path, "used", error));
        };
        Ok(Self { signer, origin })
    }

    /// Returns the public key.
    pub fn verifier_key(&self) -> VerifierKey {
        self.signer.verifier_key()
    }

    /// Returns the origin of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the signed note.
    pub(crate) fn sign(&self, removal: &RemovalNote) -> Result<String, SealError> {
        Ok(SignedNote::sign(removal.to_string(), &[&self.signer])?.to_string())
    }
}

impl fmt::Debug for RetentionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RetentionKey({})", self.verifier_key())
    }
}
