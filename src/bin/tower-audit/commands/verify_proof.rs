//! `verify-proof`: checks a proof without a store.

use std::path::Path;

use tower_audit::AuditEvent;
use tower_audit::seal::TlogProof;
use tower_audit::sealing::EventProof;

use super::small_file::read;
use super::trust::Trust;
use crate::args::VerifyProofArgs;
use crate::error::CliError;
use crate::output::print_lines;

pub(crate) fn run(args: &VerifyProofArgs) -> Result<(), CliError> {
    let trust = Trust::of(&args.trust)?;
    let shown = |path: &Path, error: &dyn std::fmt::Display| CliError::Usage(format!("{}: {error}", path.display()));
    let event = read(&args.event)?;
    let event: AuditEvent = serde_json::from_str(&event).map_err(|error| shown(&args.event, &error))?;
    let proof: TlogProof = read(&args.proof)?.parse().map_err(|error| shown(&args.proof, &error))?;
    let index = proof.index;
    let id = event.event_id;
    trust.open(&proof.checkpoint).map_err(|error| CliError::NotProven(error.into()))?;
    let proof = EventProof::new(event, proof);
    let checkpoint = if args.partial { proof.verify_partial(trust.keys()) } else { proof.verify(trust.keys()) };
    let checkpoint = checkpoint.map_err(CliError::NotProven)?;
    let unproven = match proof.unproven_cells().as_slice() {
        [] => String::new(),
        cells => format!("; erased or left out, so nothing proves what stands there: {}", cells.join(", ")),
    };
    print_lines(&format!("event {id} is leaf {index} of {} in {}{unproven}\n", checkpoint.size, checkpoint.origin))
}
