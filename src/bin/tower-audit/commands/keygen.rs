//! `keygen`: the key of a log, and its successor.

use std::io::Write as _;

use tower_audit::Actor;
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::{KeySuccession, RetentionKey, SealKey, SealerError};

use super::open_store::{OnMissing, with_store};
use super::os_user;
use crate::args::KeygenArgs;
use crate::error::CliError;
use crate::output::Stdout;

/// Makes a key, and prints its public part.
pub(crate) fn run(args: &KeygenArgs) -> Result<(), CliError> {
    let origin = args.origin.as_deref().unwrap_or_default();
    let public = match args.retention {
        true => RetentionKey::create(&args.file, origin).map_err(CliError::Key)?.verifier_key(),
        false => SealKey::create(&args.file, origin).map_err(CliError::Key)?.verifier_key(),
    };
    print(&public)
}

/// Makes the key that takes the place of another, and records it in the log.
pub(crate) async fn succeed(url: &str, args: KeygenArgs) -> Result<(), CliError> {
    let Some(old) = args.continues else { return Ok(()) };
    let mut succession = KeySuccession::of(old, &args.file).actor(Actor::user(os_user::name()));
    succession = match (args.origin, args.restored) {
        (Some(origin), true) => succession.restored(origin),
        (None, _) => succession,
        (Some(_), false) => {
            return Err(CliError::Usage(
                "--origin: a rotation keeps the origin of the old key; a restored log (--restored) gets another".into(),
            ));
        }
    };
    let public = with_store(url, OnMissing::Fail, async |store| {
        succession.run(store).await.map_err(|error| match error {
            SealerError::Key(error) => CliError::Key(error),
            error => CliError::Seal(error),
        })
    });
    print(&public.await?)
}

fn print(public: &VerifierKey) -> Result<(), CliError> {
    let mut out = Stdout::new();
    writeln!(out, "{public}")?;
    out.flush()?;
    Ok(())
}
