//! `man`: the manual as a page for `man`.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::{Args, ManArgs};
use crate::error::CliError;
use crate::output::Stdout;

pub(crate) fn run(args: &ManArgs) -> Result<(), CliError> {
    let mut program = Args::command();
    program.build();
    let page = match &args.command {
        None => Man::new(program),
        Some(name) => {
            let Some(command) = program.find_subcommand(name) else {
                let known: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
                return Err(CliError::Usage(format!(
                    "there is no command of this name: expected one of {}",
                    known.join(", ")
                )));
            };
            Man::new(command.clone())
        }
    };
    let mut out = Stdout::new();
    page.source(concat!("tower-audit ", env!("CARGO_PKG_VERSION"))).render(&mut out)?;
    Ok(out.flush()?)
}
