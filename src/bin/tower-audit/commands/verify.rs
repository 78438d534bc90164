//! `verify`: verifies everything, or an event, and prints a report.

use tower_audit::EventId;
use tower_audit::sealing::{Report, Verifier, trusted_keys};

use super::open_store::{OnMissing, sealing, with_store};
use super::trust::{Trust, parse_keys};
use crate::args::{ReportFormat, VerifyArgs};
use crate::error::CliError;
use crate::output::print_lines;
use crate::progress::Progress;

pub(crate) async fn run(url: &str, args: VerifyArgs) -> Result<(), CliError> {
    let mut trust = Trust::of(&args.trust)?;
    let keys = trust.keys().to_vec();
    let retention_keys = parse_keys(&args.retention_keys, "--retention-vkey")?;
    let id = args.event.as_ref().map(|id| id.parse::<EventId>()).transpose();
    let id = id.map_err(|error| CliError::Usage(format!("--event: {error}")))?;
    with_store(url, OnMissing::Fail, async |store| {
        sealing(store)?;
        // A kept checkpoint may be one of a later key.
        trust.add(&trusted_keys(store, trust.keys()).await?);
        let against =
            args.against.iter().map(|path| trust.read_checkpoint("--against", path)).collect::<Result<Vec<_>, _>>()?;
        let since = args.since.as_ref().map(|path| trust.read_checkpoint("--since", path)).transpose()?;
        let notes = against.into_iter().chain(since.clone()).map(|(_, note)| note);
        let verifier = notes.fold(Verifier::new(store, keys), Verifier::against_note);
        let verifier = retention_keys.into_iter().fold(verifier, Verifier::retention_key);
        let verifier = since.into_iter().fold(verifier, |verifier, (checkpoint, _)| verifier.since(checkpoint));
        let report = match id {
            Some(id) => verifier.verify_event(id).await?.ok_or(CliError::NotFound(id))?,
            None => {
                let mut progress = Progress::new("leaves verified", true);
                verifier.verify(|leaves| progress.at(leaves)).await?
            }
        };
        let printed = match args.format {
            ReportFormat::Json => serde_json::to_string(&report)
                .map(|text| text + "\n")
                .map_err(|error| std::io::Error::from(error).into()),
            ReportFormat::Text => Ok(in_words(&report)),
        };
        let printed = printed.and_then(|text| print_lines(&text));
        // The damage counts for more than a reader that has gone.
        match report.damaged {
            0 if report.is_intact() => printed,
            0 => Err(CliError::NotSealed),
            findings => Err(CliError::Damaged { findings }),
        }
    })
    .await
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
