//! `completions`: what a shell needs to complete what is typed.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::Failure;
use crate::output::Output;

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    // It panics where it cannot write: so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tower-audit", &mut script);
    let mut out = Output::new();
    out.write_all(&script)?;
    Ok(out.flush()?)
}
