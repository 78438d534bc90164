//! The trust of `verify` and `verify-proof`: keys from the arguments, or a policy from a file.

use std::path::Path;

use tower_audit::seal::{Checkpoint, NoteError, SignedNote, TrustPolicy, VerifierKey};

use super::small_file::read;
use crate::args::TrustArgs;
use crate::error::CliError;

/// The keys that are trusted, and the witnesses that are required.
pub(super) struct Trust {
    keys: Vec<VerifierKey>,
    policy: Option<TrustPolicy>,
}

impl Trust {
    pub(super) fn of(args: &TrustArgs) -> Result<Self, CliError> {
        let Some(path) = &args.policy else {
            return Ok(Self { keys: parse_keys(&args.keys, "--vkey")?, policy: None });
        };
        let shown = |error| CliError::Usage(format!("--policy {}: {error}", path.display()));
        let policy: TrustPolicy = read(path)?.parse().map_err(shown)?;
        Ok(Self { keys: policy.log_keys().to_vec(), policy: Some(policy) })
    }

    pub(super) fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    pub(super) fn add(&mut self, keys: &[VerifierKey]) {
        self.keys = keys.to_vec();
        if let Some(policy) = &mut self.policy {
            policy.add_log_keys(keys);
        }
    }

    pub(super) fn open(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        match &self.policy {
            Some(policy) => policy.open(note),
            None => Checkpoint::open(note, &self.keys),
        }
    }

    /// Reads a checkpoint that was kept, with its note, and checks the signature.
    pub(super) fn read_checkpoint(&self, option: &str, path: &Path) -> Result<(Checkpoint, SignedNote), CliError> {
        let shown = |error: &dyn std::fmt::Display| CliError::Usage(format!("{option} {}: {error}", path.display()));
        let note: SignedNote = read(path)?.parse().map_err(|error| shown(&error))?;
        let checkpoint = self.open(&note).map_err(|error| shown(&error))?;
        Ok((checkpoint, note))
    }
}

/// Parses the public keys of an option.
pub(super) fn parse_keys(keys: &[String], option: &str) -> Result<Vec<VerifierKey>, CliError> {
    let parse = |key: &String| key.parse().map_err(|error| CliError::Usage(format!("{option}: {error}")));
    keys.iter().map(parse).collect()
}
