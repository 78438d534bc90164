//! `keygen` and `seal`: the key of a log, and the process that seals it.

use std::io::Write as _;
use std::time::Duration;

use tower_audit::Actor;
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::{KeySuccession, RetentionKey, SEAL_INTERVAL, SealKey, Sealer, SealerError};

use super::open_store::{OnMissing, with_shared_store, with_store};
use super::os_user;
use crate::args::{KeygenArgs, SealArgs};
use crate::error::{CliError, warn, with_causes};
use crate::output::Stdout;
use crate::signals::interrupt;

/// Makes a key, and prints its public part.
pub(crate) fn keygen(args: &KeygenArgs) -> Result<(), CliError> {
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

/// Seals until it is asked to end.
pub(crate) async fn run(url: &str, args: SealArgs) -> Result<(), CliError> {
    let key = SealKey::load(&args.key).map_err(CliError::Key)?;
    let public = key.verifier_key();
    with_shared_store(url, OnMissing::Fail, async |store| {
        let mut sealer = Sealer::new(std::sync::Arc::clone(store), key);
        let mut stop = std::pin::pin!(interrupt());
        if !args.once {
            warn(&format!("sealing with {public}"));
        }
        let mut is_failing = false;
        loop {
            let pause = match sealer.step().await {
                Ok(step) => {
                    if is_failing {
                        warn("events are sealed again");
                        is_failing = false;
                    }
                    match step.has_more {
                        true => Duration::ZERO,
                        false if args.once => {
                            let mut out = Stdout::new();
                            writeln!(out, "{}", step.size)?;
                            out.flush()?;
                            return Ok(());
                        }
                        false => SEAL_INTERVAL,
                    }
                }
                Err(error @ SealerError::Refused(_)) => return Err(CliError::Seal(error)),
                Err(error) if args.once => return Err(CliError::Seal(error)),
                Err(error) => {
                    if !is_failing {
                        warn(&format!("events are not sealed for now: {}", with_causes(&error)));
                        is_failing = true;
                    }
                    SEAL_INTERVAL
                }
            };
            if tokio::time::timeout(pause, stop.as_mut()).await.is_ok() {
                return Ok(());
            }
        }
    })
    .await
}
