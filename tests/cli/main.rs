//! The built program, from outside: what it prints, what it leaves in the store, and how it exits.

mod backup;
mod completions_and_manual;
mod destroy_and_recreate;
#[cfg(unix)]
mod doctor;
mod errors;
mod every_command;
#[cfg(unix)]
mod export;
mod formats;
mod history;
#[path = "../support/hostile.rs"]
mod hostile;
mod hostile_text;
#[cfg(unix)]
mod import;
#[cfg(all(feature = "postgres", unix))]
mod import_ivre;
#[cfg(all(feature = "jsonl", unix))]
mod json_lines;
#[cfg(feature = "mysql")]
#[path = "../support/mariadb.rs"]
mod mariadb;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[path = "../support/private_server.rs"]
mod private_server;
mod purge;
mod query;
#[cfg(unix)]
mod questions;
mod rotate;
mod seal;
#[cfg(any(feature = "mysql", all(feature = "jsonl", unix)))]
mod seal_by_url;
mod secrets;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod ship;
#[cfg(unix)]
mod spool;
mod stats;
mod support;
#[cfg(unix)]
mod tail;
mod tee;
mod verify_exit_code;
mod witness;
