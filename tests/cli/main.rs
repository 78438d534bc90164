//! The built program, from outside: what it prints, what it leaves in the store, and how it exits.

mod backup;
mod destroying;
#[cfg(unix)]
mod doctor;
mod errors;
#[cfg(unix)]
mod export;
mod formats;
#[path = "../support/hostile.rs"]
mod hostile;
mod hostile_events;
mod manual;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
mod promises;
mod purge;
mod reading;
mod secrets;
#[cfg(unix)]
mod serve;
mod stats;
mod support;
#[cfg(unix)]
mod tail;
