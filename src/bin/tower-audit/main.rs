//! The program `tower-audit`: reads a store of audit events, and keeps it. `docs/cli.md` is its manual.
//!
//! The clients of the audited app, attackers included, chose the contents of its events. So nothing of an event goes to a
//! terminal as it is: see [`sanitize`].

mod args;
mod error;
mod help;
mod progress;
mod recreate_store;
mod redact;
mod sanitize;
mod signals;
mod store_url;

mod doctor;
mod http_post;
mod import;
mod output;
mod serve;
mod stats;
mod tail;

mod commands;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return error::report_clap(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return error::CliError::Start(error).report(),
    };
    let result = runtime.block_on(commands::run(args));
    // A store may have left a thread that waits for a lock: the answer is known, nobody waits for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
