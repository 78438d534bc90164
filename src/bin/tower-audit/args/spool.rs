//! Options of `spool`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::format::Format;

#[derive(ClapArgs)]
pub(crate) struct SpoolArgs {
    #[command(subcommand)]
    pub(crate) command: SpoolCommand,
}

#[derive(Subcommand)]
pub(crate) enum SpoolCommand {
    /// Prints the events that wait for the target, by process, and the dead letters with their reasons
    List(SpoolListArgs),
    /// Puts dead letters back into the spool: the running service ships them within seconds, or the next one that starts
    Retry(SpoolRetryArgs),
    /// Deletes dead letters for good, and records it as an event that is shipped. Asks first
    Drop(SpoolDropArgs),
}

#[derive(ClapArgs)]
pub(crate) struct SpoolListArgs {
    /// The directory of the spool; without it, that of the URL spool:DIR?…
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Output format [default: table on a terminal, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

#[derive(ClapArgs)]
pub(crate) struct SpoolRetryArgs {
    /// The directory of the spool; without it, that of the URL spool:DIR?…
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// A dead letter, as `list` names it; without any, all of them. May be repeated
    #[arg(long = "letter", value_name = "NAME")]
    pub(crate) letters: Vec<String>,
}

#[derive(ClapArgs)]
pub(crate) struct SpoolDropArgs {
    /// The directory of the spool; without it, that of the URL spool:DIR?…
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// A dead letter, as `list` names it. May be repeated
    #[arg(long = "letter", value_name = "NAME", required = true)]
    pub(crate) letters: Vec<String>,

    /// Do not ask; needed where there is no terminal to ask at
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
}
