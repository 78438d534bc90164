//! The subcommands, and the helpers that they share.

mod open_store;
mod os_user;
mod prompt;
mod purge_run;
mod small_file;
mod trust;

mod backup;
mod checkpoint;
mod completions;
mod count;
mod destroy_and_recreate;
mod doctor;
mod erase;
mod export;
mod get;
mod history;
mod import;
mod keygen;
mod man;
mod migrate;
mod proof;
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
mod verify_proof;
mod witness;

mod dispatch;

pub(crate) use dispatch::run;
