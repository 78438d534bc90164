//! `seal`: the process that seals a log.

use std::io::Write as _;
use std::time::Duration;

use tower_audit::sealing::{SEAL_INTERVAL, SealKey, Sealer, SealerError};

use super::open_store::{OnMissing, with_shared_store};
use crate::args::SealArgs;
use crate::error::{CliError, warn, with_causes};
use crate::output::Stdout;
use crate::signals::interrupt;

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
