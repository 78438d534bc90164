//! `proof`: prints the proof of an event.

use tower_audit::EventId;
use tower_audit::seal::SignedNote;
use tower_audit::sealing::{EventProof, prove, prove_in};

use super::open_store::{OnMissing, sealing, with_store};
use super::small_file::read;
use crate::args::ProofArgs;
use crate::error::CliError;
use crate::output::print_lines;

pub(crate) async fn run(url: &str, args: ProofArgs) -> Result<(), CliError> {
    let id: EventId = args.id.parse().map_err(|error| CliError::Usage(format!("{error}")))?;
    let checkpoint = args.checkpoint.as_ref().map(|path| {
        let shown =
            |error: &dyn std::fmt::Display| CliError::Usage(format!("--checkpoint {}: {error}", path.display()));
        read(path)?.parse::<SignedNote>().map_err(|error| shown(&error))
    });
    let checkpoint = checkpoint.transpose()?;
    with_store(url, OnMissing::Fail, async |store| {
        sealing(store)?;
        let proven = match &checkpoint {
            Some(checkpoint) => prove_in(store, id, checkpoint.clone()).await?,
            None => prove(store, id).await?,
        };
        match proven {
            Some(EventProof { proof, .. }) => print_lines(&proof.to_string()),
            None => Err(CliError::NotFound(id)),
        }
    })
    .await
}
