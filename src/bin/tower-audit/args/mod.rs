//! The command line: commands, options and their values.
//!
//! clap reads the words; the values whose grammar the API shares are read by the library, so that both give the same
//! answers and the same errors.

mod number;

mod format;

mod filter;

mod export;
mod import;
mod listing;
mod stats;

mod erase;
mod retention;

mod maintenance;
mod seal;
mod serve;
#[cfg(unix)]
mod ship;
#[cfg(unix)]
mod spool;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;

use crate::help;

pub(crate) use erase::EraseArgs;
pub(crate) use export::ExportArgs;
pub(crate) use filter::FilterArgs;
pub(crate) use format::{ExportFormat, Format, ProfileArgs, ReportFormat};
pub(crate) use import::ImportArgs;
pub(crate) use listing::{GetArgs, HistoryArgs, QueryArgs, TailArgs};
pub(crate) use maintenance::{BackupArgs, DestroyArgs, DoctorArgs, MigrateArgs};
pub(crate) use retention::{PurgeArgs, RotateArgs, RunArgs, RunFormat};
pub(crate) use seal::{KeygenArgs, ProofArgs, SealArgs, TrustArgs, VerifyArgs, VerifyProofArgs, WitnessArgs};
pub(crate) use serve::ServeArgs;
#[cfg(unix)]
pub(crate) use ship::ShipArgs;
#[cfg(unix)]
pub(crate) use spool::{SpoolArgs, SpoolCommand, SpoolDropArgs, SpoolListArgs, SpoolRetryArgs};
pub(crate) use stats::{Interval, StatsArgs};

/// Reads and administers a store of audit events.
#[derive(Parser)]
#[command(name = "tower-audit", version, long_version = help::version(), after_help = help::after())]
pub(crate) struct Args {
    /// The store, such as sqlite:/var/lib/app/audit.db; without it and --url-file, the value of AUDIT_URL, else of
    /// DATABASE_URL. Not for a URL with a password: other users of the machine can see a command line
    #[arg(long, global = true, value_name = "URL", display_order = 100)]
    pub(crate) url: Option<String>,

    /// A file whose first line is the URL: for a URL with a password, in a file that only you can read
    #[arg(long, global = true, value_name = "FILE", display_order = 101)]
    pub(crate) url_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints the events that pass the filters, newest first
    Query(QueryArgs),
    /// Prints the newest events that pass the filters, the oldest of them first, and ends; with -f, goes on with new ones
    Tail(TailArgs),
    /// Writes every event that passes the filters, newest first, to standard output or to a file
    Export(ExportArgs),
    /// Imports the records of another log, or of an export, and reports what could not be mapped. Can be repeated
    Import(ImportArgs),
    /// Prints the numbers of events by field and by time
    Stats(StatsArgs),
    /// Prints the number of events that pass the filters
    Count(FilterArgs),
    /// Prints the event with this id
    Get(GetArgs),
    /// Prints the events of one object, newest first: who did what to it, and what changed from what to what
    History(HistoryArgs),
    /// Deletes the events older than a duration or a moment; prints the counts first, and records the purge
    Purge(PurgeArgs),
    /// Deletes the oldest events above a number, or those that rules select; prints the counts first, and records the purge
    Rotate(RotateArgs),
    /// Erases the values of one person from all events; prints the counts first, and records the erasure. The events stay
    Erase(EraseArgs),
    /// Copies the log into a file while it is written, and prints the number of events in the copy (SQLite)
    Backup(BackupArgs),
    /// Makes missing tables, indexes and partitions of the store. Leaves every event as it is
    #[command(alias = "ensure-indexes")]
    Migrate(MigrateArgs),
    /// Destroys every event in the store and makes it anew, empty. Asks first
    #[command(alias = "init")]
    DestroyAndRecreate(DestroyArgs),
    /// Checks that the next event would be accepted and durable, and prints problems with their remedies
    Doctor(DoctorArgs),
    /// Serves the viewer and the read API to a browser on this machine, and prints the address to open
    Serve(ServeArgs),
    /// Moves events from a store, or from a spool whose process has died, into another store, in order, each once
    #[cfg(unix)]
    Ship(ShipArgs),
    /// Lists the events that wait in a spool and its dead letters, and retries or deletes these
    #[cfg(unix)]
    Spool(SpoolArgs),
    /// Makes the key that seals a log, and prints its public part
    Keygen(KeygenArgs),
    /// Seals the log: gives each event a leaf of a Merkle tree, and signs the tree, until it is asked to end
    Seal(SealArgs),
    /// Prints the newest signed checkpoint of a sealed log
    Checkpoint,
    /// Has witnesses cosign the newest checkpoint, over HTTP, and keeps it in a file
    Witness(WitnessArgs),
    /// Verifies every event of a sealed log, and names those that were edited, deleted or inserted
    Verify(VerifyArgs),
    /// Prints the proof that an event is in the log, for a .tlog-proof file
    Proof(ProofArgs),
    /// Checks the proof of an event without the log
    VerifyProof(VerifyProofArgs),
    /// Prints completions of commands and options for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints a page of the manual, for `man -l -`
    Man(ManArgs),
}

#[derive(ClapArgs)]
pub(crate) struct ManArgs {
    /// The command that the page is about; without it, the program
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(words: &[&str]) -> Args {
        Args::try_parse_from([&["tower-audit"], words].concat()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_url_may_come_before_or_after_the_subcommand() {
        assert_eq!(parse(&["--url", "memory:", "count"]).url.as_deref(), Some("memory:"));
        assert_eq!(parse(&["count", "--url", "memory:"]).url.as_deref(), Some("memory:"));
        assert_eq!(parse(&["--url=a:", "get", "00", "--url=b:"]).url.as_deref(), Some("b:"));
    }
}
