//! `spool:DIR?to=URL`: events are durable in a local directory first, then shipped to another store.
//!
//! A service goes on while its database is away: a request waits for the local disk alone.
//!
//! # Guarantees
//! - **Durable**: an append is acknowledged when its frame is written, `fdatasync` has returned, and the file is still in its place.
//! - **In order, exactly once**: one shipper appends the events of a process to the target in the order of their appends. A frame is
//!   removed after the target has acknowledged it as durable. One that is shipped again, after a crash, changes nothing, for the id is the key.
//! - **Bounded, never lossy**: an append beyond the bound is refused. An event that the target refuses for good is kept as a dead letter.
//! - **Complete reads**: a read waits until the target has what this machine has acknowledged before, or is an error.
//!
//! # Files
//! `DIR/writer-TIME-RANDOM/` is the folder of one process: a lock, segments (`0000000000000001.segment`), `progress`, and `open` with the
//! `started` events that nothing has ended. `DIR/dead-letters/` has a file for each dead letter.
//!
//! # Death
//! The kernel releases the lock of a dead process. Then another one, at its start or within five seconds, takes the lock, ships what is in the
//! folder before its own events, and removes it. When a log is opened, it closes the open events of dead processes.

mod backlog;
mod builder;
mod config;
mod dead_letter;
mod delegation;
mod delivery_ends;
mod diagnostics;
mod directory;
mod error;
mod frame;
mod journal;
mod metrics;
mod open_events;
mod orphan_recovery;
mod process_folder;
mod progress;
mod segment;
mod shipper;
mod spool_state;
mod status;
mod store;
mod summary;
mod target;

pub use builder::SpoolBuilder;
pub use config::directory_of;
pub use dead_letter::DeadLetter;
pub(crate) use dead_letter::DeadLetters;
pub use directory::{SpoolBacklog, SpoolDirectory};
pub use status::SpoolStatus;
pub use store::SpoolStore;
