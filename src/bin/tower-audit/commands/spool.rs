//! `spool`: what waits in the directory of a spool, and its dead letters.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use tower_audit::export::to_json;
use tower_audit::store::spool::{DeadLetter, SpoolBacklog, SpoolDirectory, directory_of};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

use super::os_user;
use super::prompt::ask;
use crate::args::{Format, SpoolArgs, SpoolCommand, SpoolDropArgs, SpoolListArgs, SpoolRetryArgs};
use crate::error::CliError;
use crate::output::{OutputTarget, Stdout};
use crate::progress::with_progress;
use crate::sanitize::sanitize_line;

pub(crate) async fn run(url: Option<String>, args: SpoolArgs) -> Result<(), CliError> {
    match args.command {
        SpoolCommand::List(args) => list(&open(url, args.directory.clone()).await?, &args).await,
        SpoolCommand::Retry(args) => retry(&open(url, args.directory.clone()).await?, args).await,
        SpoolCommand::Drop(args) => drop(&open(url, args.directory.clone()).await?, args).await,
    }
}

async fn open(url: Option<String>, directory: Option<PathBuf>) -> Result<SpoolDirectory, CliError> {
    let directory = directory.or_else(|| directory_of(&url?)).ok_or_else(|| {
        CliError::Usage(
            "no spool is named: give its directory, or a URL such as spool:/var/spool/app/audit?to=…".into(),
        )
    })?;
    Ok(SpoolDirectory::open(directory).await?)
}

async fn list(spool: &SpoolDirectory, args: &SpoolListArgs) -> Result<(), CliError> {
    let backlogs = with_progress("reading the spool", spool.backlogs()).await?;
    let letters = with_progress("reading the spool", spool.dead_letters()).await?;
    let target = OutputTarget::stdout();
    let mut out = Stdout::new();
    match args.format.unwrap_or_else(|| target.default_format()) {
        Format::Json => {
            let backlogs: Vec<Value> = backlogs.iter().map(backlog_object).collect();
            let letters: Vec<Value> = letters.iter().map(letter_object).collect();
            writeln!(out, "{}", to_json(&json!({ "backlogs": backlogs, "dead_letters": letters }))?)?;
        }
        Format::Jsonl => {
            for object in backlogs.iter().map(backlog_object).chain(letters.iter().map(letter_object)) {
                writeln!(out, "{}", to_json(&object)?)?;
            }
        }
        Format::Csv => {
            let csv = target.csv();
            csv.write_record(
                ["folder", "is_alive", "events", "bytes", "oldest", "dead_letter", "reason"].map(Into::into),
                &mut out,
            )?;
            for it in &backlogs {
                let record = [
                    it.folder.clone(),
                    it.is_alive.to_string(),
                    it.events.to_string(),
                    it.bytes.to_string(),
                    time(it.oldest),
                ];
                csv.write_record(record.map(Into::into).into_iter().chain(["".into(), "".into()]), &mut out)?;
            }
            for it in &letters {
                let record = ["", "", "", "", ""].map(Into::into).into_iter();
                csv.write_record(record.chain([it.name.clone().into(), it.reason.clone().into()]), &mut out)?;
            }
        }
        Format::Table => print(&backlogs, &letters, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

fn print(backlogs: &[SpoolBacklog], letters: &[DeadLetter], out: &mut dyn Write) -> io::Result<()> {
    let events: u64 = backlogs.iter().map(|it| it.events).sum();
    writeln!(out, "{events} events wait for the target, {} dead letters", letters.len())?;
    for it in backlogs.iter().filter(|it| it.events > 0) {
        let state = if it.is_alive { "a living process" } else { "a process that has died" };
        let (folder, oldest) = (sanitize_line(&it.folder), time(it.oldest));
        writeln!(out, "{folder}  {} events of {state}, the oldest of {oldest}", it.events)?;
    }
    for it in letters {
        let what = it.event.as_ref().map_or("unreadable bytes", |event| event.event_type.as_str());
        writeln!(out, "{}  {}  {}", sanitize_line(&it.name), sanitize_line(what), sanitize_line(&it.reason))?;
    }
    Ok(())
}

fn backlog_object(it: &SpoolBacklog) -> Value {
    json!({ "folder": it.folder, "is_alive": it.is_alive, "events": it.events, "bytes": it.bytes, "oldest": it.oldest })
}

fn letter_object(it: &DeadLetter) -> Value {
    json!({ "dead_letter": it.name, "at": it.at, "reason": it.reason, "event": it.event, "text": it.text })
}

fn time(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

async fn retry(spool: &SpoolDirectory, args: SpoolRetryArgs) -> Result<(), CliError> {
    let known: Vec<String> = spool.dead_letters().await?.into_iter().map(|letter| letter.name).collect();
    let names = if args.letters.is_empty() { known } else { check_known(args.letters, &known)? };
    let retried = with_progress("putting dead letters back", spool.retry(&names)).await?;
    writeln!(io::stdout(), "{retried}").map_err(CliError::Output)
}

async fn drop(spool: &SpoolDirectory, args: SpoolDropArgs) -> Result<(), CliError> {
    let letters = spool.dead_letters().await?;
    let known: Vec<String> = letters.iter().map(|letter| letter.name.clone()).collect();
    let names = check_known(args.letters, &known)?;
    if !args.yes {
        if !io::stdin().is_terminal() {
            return Err(CliError::Usage(
                "this deletes events for good, and there is no terminal to ask at: give --yes if that is meant; nothing was changed".into(),
            ));
        }
        let count = names.len();
        ask(&format!("this deletes {count} dead letters for good; type the number to go on: "), |answer| {
            answer == count.to_string()
        })?;
    }
    for letter in letters.into_iter().filter(|letter| names.contains(&letter.name)) {
        spool.drop_letter(&letter.name, record_of(&letter)).await?;
    }
    writeln!(io::stdout(), "{}", names.len()).map_err(CliError::Output)
}

fn check_known(names: Vec<String>, known: &[String]) -> Result<Vec<String>, CliError> {
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(CliError::Usage(format!(
            "there is no dead letter {}: `tower-audit spool list` names them; nothing was changed",
            sanitize_line(name)
        ))),
        None => Ok(names),
    }
}

/// The event that says what was deleted, and by whom.
fn record_of(letter: &DeadLetter) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUDIT_PURGE);
    event.actor = Actor::user(os_user::name());
    event.details.insert("dead_letter".into(), letter.name.clone().into());
    event.details.insert("reason".into(), letter.reason.clone().into());
    event.truncate_to_limits();
    event
}
