//! The built program, from outside: what it prints, what it leaves in the store, and how it exits.

mod errors;
mod formats;
#[path = "../support/hostile.rs"]
mod hostile;
mod hostile_events;
mod init;
mod purge;
mod reading;
mod support;
