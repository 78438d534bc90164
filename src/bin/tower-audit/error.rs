//! Errors of the program: every expected failure, its exit code and its text.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use tower_audit::EventId;
use tower_audit::retention::{ErasureError, PurgeError};
use tower_audit::seal::ProofError;
use tower_audit::sealing::{SealKeyError, SealerError};
use tower_audit::store::{StoreError, StoreErrorKind};

use crate::recreate_store::RecreateError;
use crate::redact::{redact_passwords, redact_urls};
use crate::sanitize::sanitize_line;

/// The end of `--help`; `docs/cli.md` has the same.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done; also when the reader of the output went away, and after Ctrl-C in tail -f and serve
  1  it failed, was declined, or was interrupted and cleaned up (purge, rotate, erase, import, ship, export --output)
  2  an argument is wrong, or a store or a --yes is missing; nothing was changed
  3  the store cannot be opened, or does not answer as it should
  4  get: there is no event with this id
  5  doctor: a check failed
  6  verify: the log is damaged; verify-proof: the proof does not hold; seal: the tree is not the one that the key signed;
     witness: a witness knows another tree
  7  import: records are no events; the others were imported
  130, 143  a shell's numbers for a command that SIGINT or SIGTERM ended: there was nothing to clean up";

/// The failure of a command.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Something typed makes no sense; the text says what would.
    Usage(String),
    /// The store failed.
    Store(StoreError),
    /// The store has no part that does this.
    Unsupported {
        store: &'static str,
        what: &'static str,
    },
    /// There is no event with this id.
    NotFound(EventId),
    /// The output cannot be written.
    Output(io::Error),
    /// A file cannot be written.
    File {
        path: PathBuf,
        cause: io::Error,
    },
    /// Somebody ended an export.
    ExportInterrupted,
    /// A source cannot be read.
    Unreadable {
        source: String,
        cause: io::Error,
    },
    /// Records of an import are no events, which was told.
    NotImported {
        records: u64,
    },
    /// Somebody ended an import.
    ImportInterrupted {
        events: u64,
    },
    /// The store took no more events of an import.
    ImportFailed {
        events: u64,
        source: StoreError,
    },
    /// Somebody ended a `ship` without --follow.
    ShipInterrupted {
        shipped: u64,
    },
    /// Something is wrong with the store, which was told.
    Unhealthy {
        wrong: usize,
    },
    /// Nothing can be served.
    Listen(io::Error),
    /// The answer to a question cannot be read.
    Input(io::Error),
    /// The process has no threads, timers or sockets.
    Start(io::Error),
    /// A person said no.
    Declined,
    /// A purge did not come to its end.
    Purge(PurgeError),
    Erasure(ErasureError),
    /// Too few witnesses have cosigned.
    Witness(String),
    /// A witness has cosigned a tree that this one has not grown from, or such a tree was kept.
    Contradicted {
        /// The holder of the other tree, with a verb: `the witness w1 has cosigned`.
        holder: String,
        witnessed: u64,
        stored: u64,
    },
    /// A key's file cannot be used.
    Key(SealKeyError),
    /// The log is not sealed any more.
    Seal(SealerError),
    /// The log has no checkpoint.
    NotSealed,
    /// The log is damaged, which was told.
    Damaged {
        findings: u64,
    },
    /// A proof does not hold.
    NotProven(ProofError),
    /// The store was made anew, and the event that says so could not be written.
    Unsaid(StoreError),
}

impl CliError {
    /// The error of a command without a store.
    pub(crate) fn no_store() -> Self {
        Self::Usage(
            "no store is named: give --url URL or --url-file FILE, or set AUDIT_URL or DATABASE_URL; a URL is such as \
             sqlite:/var/lib/app/audit.db"
                .into(),
        )
    }

    fn code(&self) -> u8 {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Usage(_) => 2,
            Self::Store(error) => match error.kind() {
                StoreErrorKind::Unsupported => 1,
                _ => 3,
            },
            Self::Purge(
                PurgeError::BelowFloor { .. }
                | PurgeError::KeyRequired
                | PurgeError::NotSealed
                | PurgeError::WrongKey { .. },
            ) => 2,
            Self::Erasure(
                ErasureError::Name(_)
                | ErasureError::KeyRequired
                | ErasureError::NotSealed
                | ErasureError::WrongKey { .. },
            ) => 2,
            Self::Erasure(ErasureError::Interrupted { .. }) => 1,
            Self::Erasure(_) => 3,
            Self::Witness(_) => 3,
            Self::Contradicted { .. } => 6,
            Self::Purge(PurgeError::NotPlanned(cause)) if cause.kind() == StoreErrorKind::Unsupported => 1,
            Self::Purge(PurgeError::Interrupted { .. }) => 1,
            Self::Purge(_) | Self::Unsaid(_) => 3,
            Self::Key(_) => 2,
            Self::NotFound(_) => 4,
            Self::Unhealthy { .. } => 5,
            Self::Damaged { .. } | Self::NotProven(_) | Self::Seal(SealerError::Refused(_)) => 6,
            Self::Seal(_) => 3,
            Self::NotImported { .. } => 7,
            Self::ImportFailed { .. } => 3,
            Self::Unsupported { .. }
            | Self::NotSealed
            | Self::Output(_)
            | Self::File { .. }
            | Self::ExportInterrupted
            | Self::Unreadable { .. }
            | Self::ImportInterrupted { .. }
            | Self::ShipInterrupted { .. }
            | Self::Listen(_)
            | Self::Input(_)
            | Self::Start(_)
            | Self::Declined => 1,
        }
    }

    /// Returns a remedy, unless the error's text ends with one.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Usage(_) => Some("`tower-audit --help` lists the options"),
            Self::Store(error) if error.kind() == StoreErrorKind::Transient => {
                Some("try again; if it persists, check for locks on the store and for disk space")
            }
            Self::Store(cause)
            | Self::Purge(
                PurgeError::Failed { source: cause, .. }
                | PurgeError::NotStarted(cause)
                | PurgeError::NotPlanned(cause),
            ) if cause.kind() == StoreErrorKind::Denied => {
                Some("ask the owner of the log for that right, or name another account")
            }
            // The store's own hint says whose right it is.
            Self::Erasure(
                ErasureError::Name(_)
                | ErasureError::KeyRequired
                | ErasureError::NotSealed
                | ErasureError::WrongKey { .. }
                | ErasureError::Interrupted { .. }
                | ErasureError::Failed { .. },
            ) => None,
            Self::Witness(_) => Some("try again; the log itself is not concerned"),
            Self::Contradicted { .. } => Some("keep the store and its backups as they are: they are evidence"),
            Self::Erasure(_) => Some("correct the store, and run it again"),
            Self::Store(_) => Some("check --url, AUDIT_URL or DATABASE_URL, and the rights on what it names"),
            Self::Unsupported { .. } => Some("choose another store with --url"),
            Self::NotFound(_) => Some("check the id and the store; a purge may have deleted the event"),
            Self::Output(_) => Some("check the output's disk space"),
            Self::File { .. } => Some("check the folder's permissions and disk space"),
            Self::Unhealthy { .. } => Some("follow the hints of the report"),
            Self::Key(_) => Some("`tower-audit keygen FILE --origin NAME` makes a key"),
            Self::NotSealed => Some("`tower-audit seal --key FILE` seals it"),
            Self::Damaged { .. } => Some("keep the store and its backups as they are: they are evidence"),
            Self::NotProven(ProofError::Partial(_)) => {
                Some("ask the keeper of the log whether these were erased; if so, pass --partial")
            }
            Self::NotProven(_) => Some("check that event, proof and key belong together; if they do, it is evidence"),
            Self::Seal(SealerError::Store(_)) => Some("correct the store, and the rights on it"),
            Self::Seal(_) => Some("keep the store as it is, and compare it with its backups"),
            Self::Listen(_) => Some("name a free --port, or none"),
            Self::Input(_) => Some("pass --yes to answer without a terminal"),
            Self::Start(_) => Some("see the limits of the process (ulimit -a)"),
            Self::Declined => None,
            Self::ExportInterrupted => Some("run it again"),
            Self::Unreadable { .. } => Some("name a file that is there, and that you may read"),
            Self::NotImported { .. } => Some(
                "correct the records that are named, and run it again: the events that are in the log stay as they are",
            ),
            Self::ImportInterrupted { .. } | Self::ImportFailed { .. } => {
                Some("run it again for the rest: the events that are in the log stay as they are")
            }
            Self::ShipInterrupted { .. } => Some("run it again: it goes on where it was, or skips what is there"),
            Self::Purge(PurgeError::BelowFloor { .. }) => Some("`tower-audit --help` lists the options"),
            Self::Purge(PurgeError::KeyRequired | PurgeError::NotSealed | PurgeError::WrongKey { .. }) => None,
            Self::Purge(PurgeError::NotStarted(_) | PurgeError::NotPlanned(_)) => {
                Some("correct the store, and the rights on it")
            }
            Self::Purge(PurgeError::Interrupted { .. } | PurgeError::Failed { .. }) => {
                Some("run it again for the rest")
            }
            Self::Purge(_) => {
                Some("correct the store before the next purge; the log holds the range of deleted events")
            }
            Self::Unsaid(_) => Some("note elsewhere that the store was recreated, and repair it"),
        }
    }

    /// Says on stderr what happened, unless nobody needs to know, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let code = self.code();
        if code != 0 {
            // Where stderr is gone there is nobody left to tell.
            let _ = io::stderr().write_all(self.text().as_bytes());
        }
        ExitCode::from(code)
    }

    fn text(&self) -> String {
        let mut text = format!("tower-audit: {}\n", sanitized(&self.to_string()));
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!("  because: {}\n", sanitized(&error.to_string())));
            cause = error.source();
        }
        if let Some(remedy) = self.hint() {
            text.push_str(&format!("  to do: {remedy}\n"));
        }
        text
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            // Its own words are those of the store's error; what follows is that error's cause.
            Self::Store(error) => error.fmt(f),
            Self::Unsupported { store, what } => write!(f, "a {store} store cannot be {what}"),
            Self::NotFound(id) => write!(f, "there is no event {id}"),
            Self::Output(_) => f.write_str("the output cannot be written"),
            Self::File { path, .. } => write!(f, "{} cannot be written, and was left as it is", path.display()),
            Self::ExportInterrupted => f.write_str("interrupted; the file was left as it is"),
            Self::ShipInterrupted { shipped } => write!(f, "interrupted; {shipped} events were shipped"),
            Self::Unhealthy { wrong: 1 } => f.write_str("a check failed"),
            Self::Unhealthy { wrong } => write!(f, "{wrong} checks failed"),
            Self::Listen(_) => f.write_str("cannot listen"),
            Self::Input(_) => f.write_str("the answer cannot be read"),
            Self::Start(_) => f.write_str("cannot start"),
            Self::Declined => f.write_str("declined; nothing was changed"),
            Self::Purge(error) => error.fmt(f),
            Self::Erasure(error) => error.fmt(f),
            Self::Witness(reason) => f.write_str(reason),
            Self::Contradicted { holder, witnessed, stored } => write!(
                f,
                "{holder} a tree of {witnessed} leaves, and the {stored} leaves here have not grown from it: the log was \
                 rolled back, or its key was used for another history"
            ),
            Self::Key(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Unreadable { source, .. } => write!(f, "{source} cannot be read"),
            Self::NotImported { records: 1 } => f.write_str("a record was not imported"),
            Self::NotImported { records } => write!(f, "{records} records were not imported"),
            Self::ImportInterrupted { events } => write!(f, "interrupted; {events} events were imported"),
            Self::ImportFailed { events, .. } => write!(f, "the import broke off; {events} events were imported"),
            Self::NotSealed => f.write_str("the log has no checkpoint"),
            Self::Damaged { findings: 1 } => f.write_str("the log is damaged"),
            Self::Damaged { findings } => write!(f, "the log is damaged in {findings} places"),
            Self::NotProven(error) => write!(f, "the proof does not hold: {error}"),
            Self::Unsaid(_) => f.write_str("the store was recreated, but its audit.init event could not be written"),
        }
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Output(error) | Self::Input(error) | Self::Start(error) | Self::Listen(error) => Some(error),
            Self::File { cause, .. } => Some(cause),
            Self::Purge(error) => error.source(),
            Self::Erasure(error) => error.source(),
            Self::Key(error) => error.source(),
            Self::Seal(error) => error.source(),
            Self::Unsaid(cause) => Some(cause),
            Self::Usage(_)
            | Self::Witness(_)
            | Self::Contradicted { .. }
            | Self::Unsupported { .. }
            | Self::NotFound(_)
            | Self::Unhealthy { .. }
            | Self::Declined
            | Self::NotSealed
            | Self::Damaged { .. }
            | Self::NotProven(_)
            | Self::NotImported { .. }
            | Self::ImportInterrupted { .. }
            | Self::ExportInterrupted
            | Self::ShipInterrupted { .. } => None,
            Self::Unreadable { cause, .. } => Some(cause),
            Self::ImportFailed { source, .. } => Some(source),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PurgeError> for CliError {
    fn from(unfinished: PurgeError) -> Self {
        Self::Purge(unfinished)
    }
}

impl From<ErasureError> for CliError {
    fn from(unfinished: ErasureError) -> Self {
        Self::Erasure(unfinished)
    }
}

impl From<RecreateError> for CliError {
    fn from(failed: RecreateError) -> Self {
        match failed {
            RecreateError::Failed(error) => Self::Store(error),
            RecreateError::Unrecorded(cause) => Self::Unsaid(cause),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints what clap has to say, help or error, and gives the exit code.
pub(crate) fn report_clap(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that goes away while help is printed has read enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // clap repeats what was typed; a password or a control character may be in it.
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").map_or_else(|| text.clone(), |rest| format!("tower-audit: {rest}"));
    // Before it is cut into lines: a password may have a line break in it.
    let text = redact_urls(&text);
    let lines: String = text.lines().map(|line| sanitized(line) + "\n").collect();
    let _ = io::stderr().write_all(lines.as_bytes());
    ExitCode::from(2)
}

/// Returns the error and its sources in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        // Some errors say what their cause says.
        if !text.ends_with(&why) {
            text.push_str(&format!(": {why}"));
        }
        cause = error.source();
    }
    text
}

/// Says something on stderr while the work goes on.
pub(crate) fn warn(text: &str) {
    // Where stderr is gone there is nobody left to tell.
    let _ = io::stderr().write_all(format!("tower-audit: {}\n", sanitized(text)).as_bytes());
}

fn sanitized(line: &str) -> String {
    sanitize_line(&redact_passwords(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(kind: StoreErrorKind) -> StoreError {
        StoreError::new(kind, "sqlite", "opening").with_source("disk I/O error")
    }

    #[test]
    fn who_lacks_a_right_is_not_told_to_try_again() {
        for failure in [
            CliError::Store(store(StoreErrorKind::Denied)),
            CliError::Purge(PurgeError::NotStarted(store(StoreErrorKind::Denied))),
            CliError::Purge(PurgeError::Failed { deleted: 0, source: store(StoreErrorKind::Denied) }),
        ] {
            let remedy = failure.hint();
            assert!(remedy.is_some_and(|remedy| remedy.contains("that right")), "{failure}: {remedy:?}");
        }
    }

    #[test]
    fn codes_are_those_of_the_manual() {
        let broken_pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        for (failure, code) in [
            (CliError::Output(broken_pipe), 0),
            (CliError::Output(io::Error::from(io::ErrorKind::StorageFull)), 1),
            (CliError::Declined, 1),
            (CliError::Purge(PurgeError::Interrupted { deleted: 3 }), 1),
            (CliError::Unsupported { store: "syslog", what: "read" }, 1),
            (CliError::Store(store(StoreErrorKind::Unsupported)), 1),
            (CliError::Usage(String::new()), 2),
            (CliError::Store(store(StoreErrorKind::Config)), 3),
            (CliError::Store(store(StoreErrorKind::Transient)), 3),
            (CliError::Store(store(StoreErrorKind::Permanent)), 3),
            (CliError::Purge(PurgeError::Failed { deleted: 3, source: store(StoreErrorKind::Config) }), 3),
            (CliError::NotFound(EventId::from_u128(1)), 4),
            (CliError::Unhealthy { wrong: 1 }, 5),
            (CliError::ExportInterrupted, 1),
            (CliError::Unreadable { source: "x".into(), cause: io::Error::from(io::ErrorKind::NotFound) }, 1),
            (CliError::NotImported { records: 2 }, 7),
            (CliError::ImportInterrupted { events: 2 }, 1),
            (CliError::ImportFailed { events: 2, source: store(StoreErrorKind::Transient) }, 3),
            (CliError::ShipInterrupted { shipped: 3 }, 1),
            (CliError::NotSealed, 1),
            (CliError::Damaged { findings: 1 }, 6),
            (CliError::Seal(SealerError::Store(store(StoreErrorKind::Transient))), 3),
            (CliError::Listen(io::Error::from(io::ErrorKind::AddrInUse)), 1),
            (CliError::File { path: "x".into(), cause: io::Error::from(io::ErrorKind::StorageFull) }, 1),
            (CliError::Purge(PurgeError::NotRecorded { deleted: 3, source: store(StoreErrorKind::Transient) }), 3),
            (CliError::Purge(PurgeError::NotStarted(store(StoreErrorKind::Transient))), 3),
            (CliError::Unsaid(store(StoreErrorKind::Transient)), 3),
            (CliError::Input(io::Error::from(io::ErrorKind::NotFound)), 1),
            (CliError::Start(io::Error::from(io::ErrorKind::NotFound)), 1),
        ] {
            assert_eq!(failure.code(), code, "{failure}");
        }
        let manual = include_str!("../../../docs/cli.md");
        for line in EXIT_CODES.lines().skip(1) {
            assert!(manual.contains(line.trim()), "docs/cli.md lacks: {line}");
        }
    }

    #[test]
    fn a_failure_tells_its_causes_and_what_to_do() {
        let text =
            CliError::Purge(PurgeError::NotRecorded { deleted: 7, source: store(StoreErrorKind::Transient) }).text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("tower-audit: 7 events were deleted"), "{text}");
        assert_eq!(lines[1], "  because: sqlite store: opening failed for now");
        assert_eq!(lines[2], "  because: disk I/O error");
        assert!(lines[3].starts_with("  to do: "), "{text}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_cause_can_neither_forge_a_line_nor_show_a_password() {
        let cause = "no\r\ntower-audit: all is well\u{1b}[8m postgres://app:secret@db/audit";
        let text = CliError::Store(StoreError::new(StoreErrorKind::Permanent, "x", "y").with_source(cause)).text();
        assert!(!text.contains("secret") && !text.contains('\u{1b}') && !text.contains('\r'), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("tower-audit:")).count(), 1);
    }
}
