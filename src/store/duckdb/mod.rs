//! `duckdb:PATH`: one file for analysis, written by one process.
//!
//! # Guarantees
//! - **Durable**: an append is acknowledged when DuckDB has committed it: its rows are in the write-ahead log (`PATH.wal`), and that
//!   file is synced. A log that DuckDB has made anew since the last append is synced with its folder before the acknowledgement.
//! - **Exactly once**: appends come one after the other, and each looks for its ids first; of several events with one id, the
//!   first is kept. No other process can have the file open.
//! - **Readable at once**: a read is one statement, so one snapshot.
//!
//! # The library
//! DuckDB is not compiled and not linked: `libduckdb` is loaded when a store is opened, by its name or from the path in the URL
//! (`library.rs`). So the crate builds wherever Rust does. The calls are those of ADBC, which the library exports.
//!
//! # The tables
//! `audit_events` has IVRE's columns under IVRE's names, a column for each further field that filters use, and `event`, the whole event as
//! it was given. Times are without a zone, in UTC. There is no index: DuckDB skips the parts of a column whose least and greatest values
//! exclude a condition, and ids and times grow.
//!
//! # Checkpoints
//! A checkpoint moves the write-ahead log into the file, and appends wait for it. It is made while the log is idle; under load, only when
//! the write-ahead log has reached a bound (`shared_database.rs`).
//!
//! # Orphans
//! A `started` event is also a row of `audit_events_started`, with the number of the store that wrote it, until the event that
//! ends it arrives. The process has the file alone: so every number that is not of one of its own open stores is of a dead one.

mod admin;
mod append;
mod blocking_read;
mod config;
mod diagnostics;
mod dialect;
mod error;
mod event_columns;
mod health;
mod library;
mod orphan_recovery;
mod purge;
mod read_pool;
mod reader;
mod removal;
mod row;
mod schema;
mod session;
mod shared_database;
mod store;
mod value;
mod wal;

pub use config::path_of;
pub use store::DuckdbStore;
