//! Options of the commands that delete events: `purge` and `rotate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use tower_audit::query::parse_duration;

use super::number::whole_number;
use crate::error::CliError;

#[derive(ClapArgs)]
pub(crate) struct PurgeArgs {
    /// Minimum age of the events to delete: 180d, 2h, 90m, 10s, 1w, 2y, or a number of seconds; more than 0
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, required_unless_present = "before")]
    pub(crate) older_than: Option<String>,

    /// Delete the events from before this moment: 180d ago, a Unix timestamp, or ISO 8601 (UTC if it has no offset)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, conflicts_with = "older_than")]
    pub(crate) before: Option<String>,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(ClapArgs)]
pub(crate) struct RotateArgs {
    /// Delete the oldest events if there are more than this many
    #[arg(long, visible_alias = "highwatermark", value_name = "N", value_parser = whole_number, allow_hyphen_values = true, requires = "low_watermark")]
    pub(crate) high_watermark: Option<u64>,

    /// The number of newest events that remain, by time, then id
    #[arg(long, visible_alias = "lowwatermark", value_name = "M", value_parser = whole_number, allow_hyphen_values = true, requires = "high_watermark")]
    pub(crate) low_watermark: Option<u64>,

    /// Delete the events older than this: a number of days, or a duration with a unit such as 52w. Takes precedence over
    /// the watermarks
    #[arg(long, value_name = "DAYS", allow_hyphen_values = true)]
    pub(crate) age: Option<String>,

    /// Delete the events that the rules of this YAML file select. Takes precedence over the age and the watermarks
    #[arg(long, value_name = "RULES")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Options of a run that deletes events.
#[derive(ClapArgs)]
pub(crate) struct RunArgs {
    /// Print the number of events that would be deleted now, and delete none
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask. Where there is no terminal to ask at, a number without a unit and anything younger than a day need it
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,

    /// Say nothing unless something goes wrong or there is a question; a dry run prints the number alone
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// The retention key from keygen --retention: a purge of a sealed log is signed with it
    #[arg(long, value_name = "FILE")]
    pub(crate) retention_key: Option<PathBuf>,

    /// A public key of the seal: delete no event that differs from the sealed one, its time included. Needs the right to read
    #[arg(long = "vkey", value_name = "VKEY", requires = "retention_key")]
    pub(crate) seal_keys: Vec<String>,

    #[command(flatten)]
    pub(crate) floor: FloorArgs,

    /// Output format
    #[arg(long, value_enum, default_value = "number")]
    pub(crate) format: RunFormat,
}

/// The floor below which nothing is deleted.
#[derive(ClapArgs)]
pub(crate) struct FloorArgs {
    /// Never delete an event younger than this
    #[arg(
        long = "floor",
        env = "AUDIT_RETENTION_FLOOR",
        value_name = "DURATION",
        allow_hyphen_values = true,
        hide_env_values = true
    )]
    floor: Option<String>,
}

impl FloorArgs {
    /// Parses the floor. An empty text is none.
    pub(crate) fn floor(&self) -> Result<Option<Duration>, CliError> {
        let given = self.floor.as_deref().filter(|text| !text.is_empty());
        given.map(parse_duration).transpose().map_err(|error| CliError::Usage(format!("--floor: {error}")))
    }
}

/// The output format of a run that deletes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    /// The number of deleted events, or of those that would be
    Number,
    /// One object with the plan, the counts, also those of each rule, and the range
    Json,
}
