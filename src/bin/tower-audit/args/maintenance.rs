//! Options of the commands that look after a store.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::format::Format;
use super::retention::FloorArgs;

#[derive(ClapArgs)]
pub(crate) struct DestroyArgs {
    /// Do not ask; needed where there is no terminal to ask at
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,

    /// Make the roles, too: to append, read, purge, seal or erase, and nothing else (PostgreSQL)
    #[arg(long)]
    pub(crate) roles: bool,

    #[command(flatten)]
    pub(crate) floor: FloorArgs,
}

#[derive(ClapArgs)]
pub(crate) struct BackupArgs {
    /// The file that the copy becomes
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(ClapArgs)]
pub(crate) struct MigrateArgs {
    /// Make the roles, too: to append, read, purge, seal or erase, and nothing else (PostgreSQL)
    #[arg(long)]
    pub(crate) roles: bool,
}

#[derive(ClapArgs)]
pub(crate) struct DoctorArgs {
    /// A policy file of an app, TOML or YAML, to check as the app would
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Output format [default: table on a terminal, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}
