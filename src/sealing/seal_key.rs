//! A private key in a file, and beside it the newest tree that it has signed.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::key_file::{read, replace, sync_folder, write_new};
use crate::seal::{
    Checkpoint, KeyRotation, RETENTION_SUFFIX, RestoredTree, SealError, SignedNote, Signer, TreeEdge, VerifierKey,
};

/// The key of a sealer: the file with the private key, and `PATH.checkpoint` with the newest checkpoint that it has signed.
///
/// The second file is the memory of the sealer, outside of the database. A sealer signs no tree that is smaller, or another, even
/// after the database was restored from a backup. Keep both files together, and back up neither with the database.
///
/// A key that [takes the place of another](super::KeySuccession) has a third file, `PATH.rotation`: the statement by which the old key vouches for it. It
/// holds no secret.
///
/// `Debug` shows the public key.
pub struct SealKey {
    path: PathBuf,
    signer: Signer,
    newest: Checkpoint,
    /// The statement of the key before this one.
    statement: Option<(SignedNote, KeyRotation)>,
}

impl SealKey {
    /// Creates a key with this name, and its files. The name is the *origin* of the log: choose one that no other log has, such as
    /// `example.com/audit`.
    ///
    /// On Unix, nobody but the owner may read them.
    ///
    /// # Errors
    /// One of the files exists or cannot be written, or the name is none: no spaces, no `+`.
    pub fn create(path: impl Into<PathBuf>, name: &str) -> Result<Self, SealKeyError> {
        let path = path.into();
        let signer = new_signer(&path, name)?;
        let edge = TreeEdge::new();
        let newest = Checkpoint::new(name, edge.size(), edge.root());
        let newest = newest.map_err(|error| SealKeyError::new(&path, "made", error))?;
        Self { path, signer, newest, statement: None }.write()
    }

    /// Creates the key that takes the place of this one, and its files. Its memory begins with this checkpoint.
    pub(super) fn create_successor(
        &self,
        path: &Path,
        newest: Checkpoint,
        restored: Option<RestoredTree>,
    ) -> Result<Self, SealKeyError> {
        let failed = |error: SealError| SealKeyError::new(path, "made", error);
        let signer = new_signer(path, &newest.origin)?;
        let statement = KeyRotation::sign(&self.signer, signer.verifier_key(), restored).map_err(failed)?;
        let rotation = statement.text().parse().map_err(failed)?;
        Self { path: path.to_owned(), signer, newest, statement: Some((statement, rotation)) }.write()
    }

    /// Writes the files of a new key.
    fn write(self) -> Result<Self, SealKeyError> {
        let key = self;
        if key.name().ends_with(RETENTION_SUFFIX) {
            let error = format!(
                "the origin {:?} ends with `{RETENTION_SUFFIX}`, as the names of retention keys do",
                key.name()
            );
            return Err(SealKeyError::new(&key.path, "made", error));
        }
        let note = key.sign(&key.newest).map_err(|error| SealKeyError::new(&key.path, "made", error))?;
        let beside = beside(&key.path, MEMORY);
        write_new(&beside, &note.to_string()).map_err(|error| SealKeyError::new(&beside, "written", error))?;
        if let Some((statement, _)) = &key.statement {
            let beside = self::beside(&key.path, ROTATION);
            write_new(&beside, &statement.to_string()).map_err(|error| SealKeyError::new(&beside, "written", error))?;
        }
        let secret = key.signer.to_secret_text() + "\n";
        write_new(&key.path, &secret).map_err(|error| SealKeyError::new(&key.path, "written", error))?;
        sync_folder(&key.path).map_err(|error| SealKeyError::new(&key.path, "written", error))?;
        Ok(key)
    }

    /// Reads the files of a key.
    ///
    /// # Errors
    /// One of the files is missing or malformed, or the checkpoint is not signed by the key.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, SealKeyError> {
        let path = path.into();
        let text = read(&path).map_err(|error| SealKeyError::new(&path, "read", error))?;
        let signer: Signer = text.parse().map_err(|error| SealKeyError::new(&path, "used", error))?;
        let beside = beside(&path, MEMORY);
        let newest = read(&beside).map_err(|error| {
            let missing = error.kind() == io::ErrorKind::NotFound;
            SealKeyError { is_memory_missing: missing, ..SealKeyError::new(&beside, "read", error) }
        })?;
        let newest = newest.parse::<SignedNote>().map_err(|error| SealKeyError::new(&beside, "used", error))?;
        let newest = Checkpoint::open(&newest, &[signer.verifier_key()]);
        let newest = newest.map_err(|error| SealKeyError::new(&beside, "used", error))?;
        let statement = read_statement(&path, &signer)?;
        Ok(Self { path, signer, newest, statement })
    }

    /// Removes the files of a key that was just made.
    pub(super) fn remove_files(self) {
        for path in [beside(&self.path, MEMORY), beside(&self.path, ROTATION), self.path] {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Returns this key, and the one before it: one of them has signed the newest checkpoint.
    pub(super) fn known_keys(&self) -> Vec<VerifierKey> {
        let before = self.statement.as_ref().map(|(_, rotation)| rotation.from.clone());
        [self.verifier_key()].into_iter().chain(before).collect()
    }

    pub(super) fn statement(&self) -> Option<&SignedNote> {
        self.statement.as_ref().map(|(statement, _)| statement)
    }

    /// Returns the public key.
    pub fn verifier_key(&self) -> VerifierKey {
        self.signer.verifier_key()
    }

    /// Returns the newest checkpoint that the key has signed, as far as the file knows.
    pub fn newest_checkpoint(&self) -> &Checkpoint {
        &self.newest
    }

    pub(super) fn name(&self) -> &str {
        self.signer.name()
    }

    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedNote, SealError> {
        SignedNote::sign(checkpoint.to_string(), &[&self.signer])
    }

    /// Replaces the file with the newest checkpoint. Blocks until it is durable.
    ///
    /// Several sealers may share the file: one writes at a time, and a checkpoint never takes the place of a larger one.
    pub(super) fn remember(&mut self, checkpoint: Checkpoint, note: &str) -> Result<(), SealKeyError> {
        let beside = beside(&self.path, MEMORY);
        let failed = |error: io::Error| SealKeyError::new(&beside, "written", error);
        // Released when it is closed.
        let lock = File::open(&self.path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let written = read(&beside).ok().and_then(|note| note.parse::<SignedNote>().ok());
        let written = written.and_then(|note| Checkpoint::open(&note, &[self.verifier_key()]).ok());
        match written {
            Some(written) if written.size > checkpoint.size => self.newest = written,
            _ => {
                replace(&beside, note).map_err(failed)?;
                self.newest = checkpoint;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey")
            .field("path", &self.path)
            .field("key", &self.signer.verifier_key())
            .finish_non_exhaustive()
    }
}

/// Returns a new private key.
pub(super) fn new_signer(path: &Path, name: &str) -> Result<Signer, SealKeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| SealKeyError::new(path, "made", error))?;
    Signer::from_seed(name, seed).map_err(|error| SealKeyError::new(path, "made", error))
}

/// Reads the statement of the key before this one, if there is one.
fn read_statement(path: &Path, signer: &Signer) -> Result<Option<(SignedNote, KeyRotation)>, SealKeyError> {
    let beside = beside(path, ROTATION);
    let text = match read(&beside) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SealKeyError::new(&beside, "read", error)),
    };
    let note: SignedNote = text.parse().map_err(|error| SealKeyError::new(&beside, "used", error))?;
    let rotation = KeyRotation::open(&note).map_err(|error| SealKeyError::new(&beside, "used", error))?;
    if rotation.to != signer.verifier_key() {
        return Err(SealKeyError::new(&beside, "used", format!("it vouches for another key, {}", rotation.to)));
    }
    Ok(Some((note, rotation)))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

const MEMORY: &str = ".checkpoint";
const ROTATION: &str = ".rotation";

/// An error of a key's files. Never shows the key.
#[derive(Debug)]
pub struct SealKeyError {
    path: PathBuf,
    what: &'static str,
    is_memory_missing: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl SealKeyError {
    pub(super) fn new(
        path: &Path,
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { path: path.to_owned(), what, is_memory_missing: false, source: source.into() }
    }
}

impl fmt::Display for SealKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be {}", self.path.display(), self.what)?;
        if self.is_memory_missing {
            f.write_str(
                ": it has the newest tree that the key has signed; bring it back, or see docs/seal.md, \"After a restore\"",
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for SealKeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Hash;

    /// Sealer A stores leaves 1 to 5, B stores 6 to 9 and remembers 9, and only then A remembers 5.
    #[test]
    fn a_slow_sealer_does_not_take_the_memory_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut slow = SealKey::create(&path, "example.com/audit").unwrap();
        let mut fast = SealKey::load(&path).unwrap();
        let remember = |key: &mut SealKey, size: u64| {
            let root = Hash::of_leaf(&size.to_be_bytes());
            let checkpoint = Checkpoint::new("example.com/audit", size, root).unwrap();
            let note = key.sign(&checkpoint).unwrap().to_string();
            key.remember(checkpoint, &note).unwrap();
        };
        remember(&mut fast, 9);
        remember(&mut slow, 5);
        assert_eq!(SealKey::load(&path).unwrap().newest_checkpoint().size, 9);
        assert_eq!(slow.newest_checkpoint().size, 9);
    }

    /// A sealer that starts meanwhile reads a whole checkpoint, whoever writes.
    #[test]
    fn sealers_of_one_file_write_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        SealKey::create(&path, "example.com/audit").unwrap();
        std::thread::scope(|scope| {
            for sealer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let mut key = SealKey::load(path).unwrap();
                    for step in 1..30_u64 {
                        let size = step * 4 + sealer;
                        let checkpoint = Checkpoint::new("example.com/audit", size, Hash::of_empty_tree()).unwrap();
                        let note = key.sign(&checkpoint).unwrap().to_string();
                        key.remember(checkpoint, &note).unwrap();
                        SealKey::load(path).unwrap();
                    }
                });
            }
        });
        assert_eq!(SealKey::load(&path).unwrap().newest_checkpoint().size, 29 * 4 + 3);
    }
}
