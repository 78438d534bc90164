//! The subcommands, and the helpers that they share.

mod open_store;
mod os_user;
mod prompt;
mod purge_run;

mod backup;
mod completions;
mod count;
mod destroy_and_recreate;
mod doctor;
mod erase;
mod export;
mod get;
mod history;
mod import;
mod man;
mod migrate;
mod purge;
mod query;
mod roles;
mod rotate;
mod seal;
mod serve;
#[cfg(unix)]
mod ship;
#[cfg(unix)]
mod spool;
mod stats;
mod tail;
mod verify;
mod witness;

mod dispatch;

pub(crate) use dispatch::run;
