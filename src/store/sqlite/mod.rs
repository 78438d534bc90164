//! `sqlite:PATH`: the embedded default, one SQLite file.
//!
//! # Guarantees
//! - **Durable**: an append is acknowledged when its transaction is in the write-ahead log and the log is synced
//!   (`journal_mode=WAL`, `synchronous=FULL`, both read back), and the file at PATH is still the one written to.
//! - **Exactly once**: the id is the key, over every process that writes the file and over restarts.
//! - **Readable at once**: every read is one snapshot of the journal and the segments together.
//!
//! # The life of an event
//! 1. **Journal.** A batch becomes one row of the table `audit_journal`: one statement, one commit, no secondary index.
//!    Indexes make a large SQLite table slow to append to, and a request waits for this step only.
//! 2. **Segment.** While nothing waits, [`maintain`](crate::store::AuditStore::maintain) moves the oldest journal rows into
//!    the newest table `audit_segment_N`, which has indexes of the ids and the times. Segments are small, so that the
//!    pages an insertion touches stay hot however many events the log holds. If the journal still grows past its bound,
//!    an append moves a chunk first.
//! 3. **Index.** Which rows of a segment have which values is in `audit_postings`: compact sets of rows, and for ids, targets and
//!    details digests with their rows, written once with each chunk and once more when the segment is full. So a filter
//!    reads matching events only, and none where no event matches.
//! 4. **Purge.** A segment that is wholly old loses its indexes, then its rows by the chunk, then its table.
//!
//! The file can be opened by several processes of one machine. It must not lie on a network file system: SQLite's
//! write-ahead log needs memory that all of its processes share.
//!
//! The file can also be an application's own, with the application's tables beside the log's
//! ([`SqliteStore::from_pool`]): then a transaction can hold an effect and its event.
//!
//! # Orphans
//! A `started` event is also a row of `audit_started` until the event that ends it arrives. Each writing store has a
//! writer id, a row, and a lock on the file `PATH-writer-ID`, which the kernel releases when the process dies. So a live
//! writer is never taken for dead because of a timeout.

mod abandoned;
mod admin;
mod backup;
mod cell_erasure;
mod checkpoint;
mod config;
mod corruption_latch;
mod database_file;
mod diagnostics;
mod error;
mod event_columns;
mod events_view;
mod file_connection;
mod file_identity;
mod file_key;
mod id_blob;
mod index_file;
mod journal;
mod liveness_lock;
mod lock_wait;
mod open_counts;
mod open_descriptors;
mod orphan_recovery;
mod own_mount;
mod own_text;
mod parked_connections;
mod private_file;
mod purge;
mod read;
mod read_pool;
mod removal;
mod repair;
mod schema;
mod sealing;
mod segments;
mod sqlite_version;
mod store;
mod store_registry;
#[cfg(test)]
mod tests;
mod transaction;
mod transactional;
mod untrusted_columns;
mod wal_file;
mod wal_gap;
mod write_connection;
mod write_lease;
mod writer;
mod writer_state;

pub use backup::Backup;
pub use config::path_of;
pub use store::SqliteStore;
