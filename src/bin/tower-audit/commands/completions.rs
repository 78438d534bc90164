//! `completions`: what a shell needs to complete what is typed.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::error::CliError;
use crate::output::Stdout;

pub(crate) fn run(shell: Shell) -> Result<(), CliError> {
    // It panics where it cannot write: so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tower-audit", &mut script);
    let script = String::from_utf8_lossy(&script);
    // clap_complete 4.6 names a command one way where it is found and another where its words are: for a program with a
    // hyphen in its name, nothing after a command would be completed (clap-rs/clap#6421).
    let script = script.replace("tower__subcmd__audit", "tower__audit");
    let mut out = Stdout::new();
    out.write_all(script.as_bytes())?;
    Ok(out.flush()?)
}
