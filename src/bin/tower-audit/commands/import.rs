//! `import`: events from the records of other logs.

use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tower_audit::AuditEvent;
use tower_audit::import::ImportFormat;
use tower_audit::store::{AuditStore, StoreError, StoreErrorKind};

use super::open_store::{OnMissing, with_shared_store};
use super::os_user;
use crate::args::{ImportArgs, ReportFormat};
use crate::error::CliError;
use crate::import::{BATCH, HeldEnds, ImportReport, Source, SourceError, completed, read, started};
use crate::output::Stdout;
use crate::progress::Progress;
use crate::signals::interrupt;
use crate::store_url::first_line;

/// Attempts to append a batch while the store fails for now.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Imports into the store of this URL; a dry run needs none.
pub(crate) async fn run(url: Option<&str>, args: ImportArgs) -> Result<(), CliError> {
    let mut sources = Vec::new();
    for typed in &args.sources {
        sources.push(Source::open(typed, args.from).await?);
    }
    if let Some(path) = &args.source_url_file {
        sources.push(Source::open(&first_line("--source-url-file", path)?, args.from).await?);
    }
    let import = Import { from: args.from, is_strict: args.strict };
    if args.dry_run {
        let mut report = ImportReport::default();
        let result = import.run(None, sources, &mut report).await;
        print(&report, &args)?;
        return result.and_then(|()| verdict(&report));
    }
    let url = url.ok_or_else(CliError::no_store)?;
    with_shared_store(url, OnMissing::Create, async |store| {
        let names: Vec<_> = sources.iter().map(Source::name).collect();
        let began = started(args.from, &names, os_user::name());
        append(store, std::slice::from_ref(&began)).await?;
        let mut report = ImportReport::default();
        let result = import.run(Some(store), sources, &mut report).await;
        let ended = match &result {
            Ok(()) => "done",
            Err(CliError::NotImported { .. }) => "stopped",
            Err(CliError::ImportInterrupted { .. }) => "interrupted",
            Err(_) => "failed",
        };
        let end = completed(&began, args.from, &names, &report, ended);
        let recorded = append(store, std::slice::from_ref(&end)).await;
        print(&report, &args)?;
        result?;
        recorded?;
        verdict(&report)
    })
    .await
}

/// An import that is under way.
struct Import {
    from: ImportFormat,
    is_strict: bool,
}

impl Import {
    /// Reads the sources, and appends their events to the store if there is one.
    async fn run(
        &self,
        store: Option<&Arc<dyn AuditStore>>,
        sources: Vec<Source>,
        report: &mut ImportReport,
    ) -> Result<(), CliError> {
        let mut held = HeldEnds::default();
        let mut result = self.read_all(store, sources, report, &mut held).await;
        let Some(store) = store.filter(|_| !matches!(result, Err(CliError::ImportFailed { .. }))) else {
            return result;
        };
        // What was read before the work ended is imported.
        let mut rest = Vec::new();
        held.release(&mut rest);
        for events in rest.chunks(BATCH) {
            if let Err(source) = append(store, events).await {
                result = Err(CliError::ImportFailed { events: report.events, source });
                break;
            }
        }
        result?;
        // Indexes and segments, while nobody waits.
        while store.maintain().await? {}
        Ok(())
    }

    async fn read_all(
        &self,
        store: Option<&Arc<dyn AuditStore>>,
        sources: Vec<Source>,
        report: &mut ImportReport,
        held: &mut HeldEnds,
    ) -> Result<(), CliError> {
        let mut interrupt = pin!(interrupt());
        let mut progress = Progress::new("records", true);
        for source in sources {
            let name = source.name();
            let mut batches = read(source, self.from);
            loop {
                let batch = tokio::select! {
                    biased;
                    () = &mut interrupt => return Err(CliError::ImportInterrupted { events: report.events }),
                    batch = batches.recv() => batch,
                };
                let Some(batch) = batch else { break };
                let batch = batch.map_err(|error| unreadable(&name, error))?;
                let (mut ready, mut stops) = (Vec::with_capacity(batch.len()), false);
                for record in batch {
                    report.add(&name, &record);
                    stops = self.is_strict && record.event.is_err();
                    if let Ok(event) = record.event {
                        held.pass(event, &mut ready);
                    }
                    if stops {
                        break;
                    }
                }
                if let Some(store) = store.filter(|_| !ready.is_empty()) {
                    let before = report.events.saturating_sub(ready.len() as u64);
                    let appended = append(store, &ready).await;
                    appended.map_err(|source| CliError::ImportFailed { events: before, source })?;
                }
                progress.at(report.records);
                if stops {
                    return Err(CliError::NotImported { records: report.rejected });
                }
            }
        }
        Ok(())
    }
}

fn unreadable(name: &str, error: SourceError) -> CliError {
    match error {
        SourceError::Io(cause) => CliError::Unreadable { source: name.to_owned(), cause },
        SourceError::Store(error) => CliError::Store(error),
    }
}

fn verdict(report: &ImportReport) -> Result<(), CliError> {
    match report.rejected {
        0 => Ok(()),
        records => Err(CliError::NotImported { records }),
    }
}

fn print(report: &ImportReport, args: &ImportArgs) -> Result<(), CliError> {
    let mut out = Stdout::new();
    match args.format {
        ReportFormat::Text => report.write_text(args.dry_run, &mut out)?,
        ReportFormat::Json => writeln!(out, "{}", tower_audit::export::to_json(&report.to_json(args.dry_run))?)?,
    }
    Ok(out.flush()?)
}

/// Appends, and tries again while the store fails for now: an append can be repeated.
async fn append(store: &Arc<dyn AuditStore>, events: &[AuditEvent]) -> Result<(), StoreError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match store.append(events).await {
            Err(error) if error.kind() == StoreErrorKind::Transient => {}
            Ok(()) => {
                // A store that is never idle would never look after itself.
                return match store.maintain().await {
                    Err(error) if error.kind() == StoreErrorKind::Corrupt => Err(error),
                    _ => Ok(()),
                };
            }
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    store.append(events).await
}
