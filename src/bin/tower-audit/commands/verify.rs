//! `checkpoint`, `verify`, `proof` and `verify-proof`.

use std::io::Write as _;
use std::path::Path;

use tower_audit::seal::{Checkpoint, NoteError, SignedNote, TlogProof, TrustPolicy, VerifierKey};
use tower_audit::sealing::{EventProof, Report, Verifier, prove, prove_in, trusted_keys};
use tower_audit::store::{AuditStore, Sealing};
use tower_audit::{AuditEvent, EventId};

use super::open_store::{OnMissing, with_store};
use crate::args::{ProofArgs, TrustArgs, VerifyArgs, VerifyProofArgs};
use crate::error::CliError;
use crate::output::Stdout;
use crate::progress::Progress;

/// Prints the newest checkpoint.
pub(crate) async fn checkpoint(url: &str) -> Result<(), CliError> {
    with_store(url, OnMissing::Fail, async |store| {
        let Some(newest) = sealing(store)?.newest_checkpoint().await? else { return Err(CliError::NotSealed) };
        print(&newest.note)
    })
    .await
}

/// Verifies everything, and prints a report.
pub(crate) async fn verify(url: &str, args: VerifyArgs) -> Result<(), CliError> {
    let mut trust = Trust::of(&args.trust)?;
    let keys = trust.keys.clone();
    let retention_keys = parsed(&args.retention_keys, "--retention-vkey")?;
    let id = args.event.as_ref().map(|id| id.parse::<EventId>()).transpose();
    let id = id.map_err(|error| CliError::Usage(format!("--event: {error}")))?;
    with_store(url, OnMissing::Fail, async |store| {
        sealing(store)?;
        // A kept checkpoint may be one of a later key.
        trust.add(&trusted_keys(store, &trust.keys).await?);
        let against = args.against.iter().map(|path| kept("--against", path, &trust)).collect::<Result<Vec<_>, _>>()?;
        let since = args.since.as_ref().map(|path| kept("--since", path, &trust)).transpose()?;
        let verifier = against.into_iter().fold(Verifier::new(store, keys), Verifier::against);
        let verifier = retention_keys.into_iter().fold(verifier, Verifier::retention_key);
        let verifier = since.into_iter().fold(verifier, Verifier::since);
        let report = match id {
            Some(id) => verifier.verify_event(id).await?.ok_or(CliError::NotFound(id))?,
            None => {
                let mut progress = Progress::new("leaves verified", true);
                verifier.verify(|leaves| progress.at(leaves)).await?
            }
        };
        let printed = match args.json {
            true => serde_json::to_string(&report)
                .map(|text| text + "\n")
                .map_err(|error| std::io::Error::from(error).into()),
            false => Ok(in_words(&report)),
        };
        let printed = printed.and_then(|text| print(&text));
        // The damage counts for more than a reader that has gone.
        match report.damaged {
            0 if report.is_intact() => printed,
            0 => Err(CliError::NotSealed),
            findings => Err(CliError::Damaged { findings }),
        }
    })
    .await
}

/// Prints the proof of an event.
pub(crate) async fn proof(url: &str, args: ProofArgs) -> Result<(), CliError> {
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
            Some(EventProof { proof, .. }) => print(&proof.to_string()),
            None => Err(CliError::NotFound(id)),
        }
    })
    .await
}

/// Checks a proof without a store.
pub(crate) fn verify_proof(args: &VerifyProofArgs) -> Result<(), CliError> {
    let trust = Trust::of(&args.trust)?;
    let shown = |path: &Path, error: &dyn std::fmt::Display| CliError::Usage(format!("{}: {error}", path.display()));
    let event = read(&args.event)?;
    let event: AuditEvent = serde_json::from_str(&event).map_err(|error| shown(&args.event, &error))?;
    let proof: TlogProof = read(&args.proof)?.parse().map_err(|error| shown(&args.proof, &error))?;
    let index = proof.index;
    let id = event.event_id;
    trust.open(&proof.checkpoint).map_err(|error| CliError::NotProven(error.into()))?;
    let proof = EventProof::new(event, proof);
    let checkpoint = proof.verify(&trust.keys).map_err(CliError::NotProven)?;
    let unproven = match proof.unproven_cells().as_slice() {
        [] => String::new(),
        cells => format!("; erased, so nothing proves what stands there: {}", cells.join(", ")),
    };
    print(&format!("event {id} is leaf {index} of {} in {}{unproven}\n", checkpoint.size, checkpoint.origin))
}

pub(super) fn sealing(store: &dyn AuditStore) -> Result<&dyn Sealing, CliError> {
    store.parts().sealing.ok_or_else(|| CliError::Unsupported { store: store.capabilities().name, what: "sealed" })
}

/// The keys that are trusted, and the witnesses that are required.
struct Trust {
    keys: Vec<VerifierKey>,
    policy: Option<TrustPolicy>,
}

impl Trust {
    fn of(args: &TrustArgs) -> Result<Self, CliError> {
        let Some(path) = &args.policy else { return Ok(Self { keys: parsed(&args.keys, "--vkey")?, policy: None }) };
        let shown = |error| CliError::Usage(format!("--policy {}: {error}", path.display()));
        let policy: TrustPolicy = read(path)?.parse().map_err(shown)?;
        Ok(Self { keys: policy.log_keys().to_vec(), policy: Some(policy) })
    }

    fn add(&mut self, keys: &[VerifierKey]) {
        self.keys = keys.to_vec();
        if let Some(policy) = &mut self.policy {
            policy.add_log_keys(keys);
        }
    }

    fn open(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        match &self.policy {
            Some(policy) => policy.open(note),
            None => Checkpoint::open(note, &self.keys),
        }
    }
}

fn parsed(keys: &[String], option: &str) -> Result<Vec<VerifierKey>, CliError> {
    let parse = |key: &String| key.parse().map_err(|error| CliError::Usage(format!("{option}: {error}")));
    keys.iter().map(parse).collect()
}

/// Reads a checkpoint that was kept, and checks its signature.
fn kept(option: &str, path: &Path, trust: &Trust) -> Result<Checkpoint, CliError> {
    let shown = |error: &dyn std::fmt::Display| CliError::Usage(format!("{option} {}: {error}", path.display()));
    let note: SignedNote = read(path)?.parse().map_err(|error| shown(&error))?;
    trust.open(&note).map_err(|error| shown(&error))
}

pub(super) fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Usage(format!("{}: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(failed(&format!("{bytes} bytes are too many: expected {MAX_FILE_BYTES} at the most")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

fn in_words(report: &Report) -> String {
    let Report { size, intact, purged, erased, unsealed, checkpoints, .. } = report;
    let origin = report.origin.as_deref().unwrap_or("no log that can be trusted");
    let since = if report.since > 0 { format!(" since {}", report.since) } else { String::new() };
    let erased = if *erased > 0 { format!(" ({erased} with erased values)") } else { String::new() };
    let mut text = format!(
        "{origin}: {size} leaves{since}, {checkpoints} checkpoints; {intact} events are intact{erased}, {purged} purged, {unsealed} not sealed yet\n"
    );
    for finding in &report.findings {
        let id = finding.event_id.map(|id| format!(" (event {id})")).unwrap_or_default();
        text.push_str(&format!("{}: {}{id}\n", finding.damage, finding.text));
    }
    if report.damaged > report.findings.len() as u64 {
        text.push_str(&format!("and {} more\n", report.damaged - report.findings.len() as u64));
    }
    text
}

pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = Stdout::new();
    // A note may have been written by anyone who can write to the store; its lines are kept.
    let lines: Vec<_> = text.split('\n').map(crate::sanitize::sanitize_line).collect();
    out.write_all(lines.join("\n").as_bytes())?;
    out.flush()?;
    Ok(())
}

const MAX_FILE_BYTES: u64 = 4 << 20;
