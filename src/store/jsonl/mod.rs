//! `jsonl:PATH`: one event a line, in a file that is rotated.
//!
//! # Guarantees
//! - **Durable**: an append is acknowledged when its lines are written by one `write`, `fdatasync` has returned, and the
//!   file at PATH is still the one written to, no shorter than its lines need.
//! - **Exactly once**: the id is the key, over every file of the log, every process that writes it and over restarts.
//!   A program that moves files itself (logrotate) can make it *at least once* for the events of one batch; readers
//!   then show one of two.
//! - **Readable at once**: a reader sees whole batches and whole lines, each event once, while others append, rotate and
//!   purge.
//!
//! # Files
//! `PATH` has the newest events. A rotated file is `PATH.20260525T120000Z-000001`, compressed with `.gz` behind it. Files that
//! logrotate has made of PATH (`PATH.1`, `PATH-20260525.gz`) are read as well. The folder `PATH.state` has no event: a lock
//! for the writers, a locked file for each of them, and an index of each rotated file, which is made again if it is missing.
//!
//! # Finding events
//! A file is cut into blocks of some hundred lines. In memory are the spans of time and of ids of each block. So a page reads a
//! few blocks of the file's end, an id leads to a block or two, and any other filter is a scan of the blocks in its span of time. A
//! compressed file is a sequence of gzip members, one for each block.
//!
//! # The seal
//! The folder `PATH.seal` has the leaves and checkpoints of a sealed log; see `sealing/mod.rs`.
//!
//! # Orphans
//! The line of a `started` event names its writer. A writer holds the lock on `PATH.state/writer-ID`, which the kernel
//! releases when the process dies; then its open events are closed by whoever recovers next.

mod active_file;
mod admin;
mod append_lock;
mod batch;
mod block_cache;
mod boot_id;
mod catalogue;
mod compression;
mod compression_state;
mod config;
mod diagnostics;
mod error;
mod external_change;
mod file_index;
mod file_layout;
mod known_ids;
mod line;
mod line_erasure;
mod line_reader;
mod listing;
mod liveness_lock;
mod log_file;
mod maintenance_lock;
mod orphan_recovery;
mod purge;
mod reader;
mod removal;
mod removed_file;
mod rewriting;
mod rlimit_fsize;
mod rotation;
mod rotation_failure;
mod scan;
mod sealing;
mod shared;
mod snapshot;
mod store;
mod writer;

pub use config::path_of;
pub use store::JsonlStore;
