//! `erase`: blanks the values of one person in all events, and records it.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use serde_json::json;
use tower_audit::Actor;
use tower_audit::retention::{Erasure, ErasureError, ErasurePreview, ErasureReport};
use tower_audit::sealing::RetentionKey;

use super::open_store::{OnMissing, with_store};
use super::os_user;
use super::prompt::ask;
use crate::args::{EraseArgs, RunFormat};
use crate::error::{CliError, warn};
use crate::output::Stdout;
use crate::progress::Progress;
use crate::signals::interrupt;

pub(crate) async fn run(url: &str, args: EraseArgs) -> Result<(), CliError> {
    let asks = !args.yes && !args.dry_run && io::stdin().is_terminal();
    if !asks && !args.yes && !args.dry_run {
        return Err(CliError::Usage(
            "erased values never come back, and there is no terminal to ask at: give --yes if that is meant, or --dry-run for the counts".into(),
        ));
    }
    let erasure = erasure(&args)?;
    with_store(url, OnMissing::Fail, async |store| {
        let mut progress = Progress::new("events looked at", !args.quiet);
        let preview = erasure.preview_with(store, |seen| progress.at(seen)).await.map_err(not_planned)?;
        drop(progress);
        if !args.quiet || asks {
            tell(&preview);
        }
        if args.dry_run {
            return print(args.format, &preview, None);
        }
        if asks && preview.events != 0 {
            ask("Erase them? [y/N] ", |answer| ["y", "yes"].iter().any(|yes| answer.eq_ignore_ascii_case(yes)))?;
        }
        // From here on, a signal ends the work and not the process.
        let stop = interrupt();
        let mut progress = Progress::new("events looked at", !args.quiet);
        let report = erasure.run_until(store, &preview, stop, |seen| progress.at(seen)).await?;
        drop(progress);
        for (events, why) in [
            (report.unsealed, "they are not sealed yet: run it again when the sealer runs"),
            (report.damaged, "they are not those that were sealed: `tower-audit verify` names them"),
            (report.unreadable, "they cannot be decoded"),
        ] {
            if events > 0 {
                warn(&format!("{events} events stay as they are, because {why}"));
            }
        }
        if args.quiet { Ok(()) } else { print(args.format, &preview, Some(&report)) }
    })
    .await
}

fn erasure(args: &EraseArgs) -> Result<Erasure, CliError> {
    let user = match (&args.user, &args.user_file) {
        (Some(user), _) => user.clone(),
        (None, Some(path)) => first_line(path)?,
        (None, None) => return Err(CliError::Usage("--user: expected the name of a person".into())),
    };
    let mut erasure = Erasure::of(&user)?.actor(Actor::user(os_user::name()));
    if let Some(pseudonym) = &args.pseudonym {
        erasure = erasure.pseudonym(pseudonym)?;
    }
    for name in &args.details {
        erasure = erasure.detail(name);
    }
    match &args.retention_key {
        Some(path) => Ok(erasure.key(RetentionKey::load(path).map_err(CliError::Key)?)),
        None => Ok(erasure),
    }
}

fn first_line(path: &Path) -> Result<String, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Usage(format!("--user-file: {}: {error}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| failed(&error))?;
    match text.lines().next() {
        Some(line) if !line.trim().is_empty() => Ok(line.to_owned()),
        _ => Err(failed(&"its first line is empty: expected the name of a person there")),
    }
}

/// Errors of the store are told as those of any other command.
fn not_planned(error: ErasureError) -> CliError {
    match error {
        ErasureError::NotPlanned(error) => CliError::Store(error),
        error => CliError::Erasure(error),
    }
}

/// Says on stderr what goes.
fn tell(preview: &ErasurePreview) {
    if preview.unreadable > 0 {
        warn(&format!("{} events name the person and stay: they cannot be decoded", preview.unreadable));
    }
    let range = preview.range.map(|(first, last)| format!(", from {first} to {last}")).unwrap_or_default();
    let cells: Vec<String> = preview.cells.iter().map(|(name, events)| format!("{name} {events}")).collect();
    let cells = if cells.is_empty() { String::new() } else { format!(" ({})", cells.join(", ")) };
    warn(&format!("values of {} events{range}{cells}", preview.events));
}

fn print(format: RunFormat, preview: &ErasurePreview, report: Option<&ErasureReport>) -> Result<(), CliError> {
    let mut out = Stdout::new();
    match format {
        RunFormat::Number => writeln!(out, "{}", report.map_or(preview.events, |report| report.events))?,
        RunFormat::Json => {
            let mut object = json!({
                "dry_run": report.is_none(),
                "events": preview.events,
                "cells": preview.cells,
                "first": preview.range.map(|(first, _)| first),
                "last": preview.range.map(|(_, last)| last),
                "unreadable": preview.unreadable,
            });
            if let Some(report) = report {
                object["erased"] = report.events.into();
                object["unsealed"] = report.unsealed.into();
                object["damaged"] = report.damaged.into();
            }
            writeln!(out, "{object}")?;
        }
    }
    Ok(out.flush()?)
}

const MAX_FILE_BYTES: u64 = 64 * 1024;
