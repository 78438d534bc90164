//! Options of `erase`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::RunFormat;

#[derive(ClapArgs)]
pub(crate) struct EraseArgs {
    /// The name of the person, exactly as actor.user_email has it. Other users of the machine can see a command line: --user-file hides it
    #[arg(long, value_name = "ID", allow_hyphen_values = true, required_unless_present = "user_file")]
    pub(crate) user: Option<String>,

    /// A file whose first line is the name
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) user_file: Option<PathBuf>,

    /// The text in place of the name, which links the person's events; without it the name is null
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) pseudonym: Option<String>,

    /// Erase this member of details in the person's own events, whatever is in it; may be given several times
    #[arg(long = "detail", value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) details: Vec<String>,

    /// Print the number of events whose values would be erased now, and erase none
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask. Where there is no terminal to ask at, it is needed
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,

    /// Say nothing unless something goes wrong or there is a question; a dry run prints the number alone
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// The retention key from keygen --retention: an erasure of a sealed log is signed with it
    #[arg(long, value_name = "FILE")]
    pub(crate) retention_key: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value = "number")]
    pub(crate) format: RunFormat,
}
