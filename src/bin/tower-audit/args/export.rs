//! Options of `export`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::filter::FilterArgs;
use super::format::{ExportFormat, ProfileArgs};

#[derive(ClapArgs)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// A file for the events, readable for you alone, which appears when it is complete. Prints their number. `-` is standard
    /// output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    pub(crate) force: bool,

    /// Output format
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(crate) format: ExportFormat,

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// CSV: write control and bidirectional characters as they are, not as \u{1b}; never to a terminal
    #[arg(long)]
    pub(crate) raw: bool,

    /// CSV: begin with a byte order mark, which Excel needs to read UTF-8
    #[arg(long)]
    pub(crate) bom: bool,
}
