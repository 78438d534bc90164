//! `mysql://…` and `mariadb://…`: one log that many instances of a service share.
//!
//! # Guarantees
//! - **Durable**: an append is acknowledged when its transaction is committed by a server with
//!   `innodb_flush_log_at_trx_commit=1`, with the doublewrite buffer, with an `innodb_flush_method` that syncs and, where it
//!   has a binary log, with `sync_binlog=1`, into tables of InnoDB. Checked when a session is opened and by
//!   [`health`](crate::store::AuditStore::health).
//! - **Exactly once**: the id is the key, over every partition, every writer and every time; of several events with
//!   one id, the first is kept.
//! - **Readable at once**: a read is one statement, so one snapshot.
//!
//! # The tables
//! `audit_events` has a column for each field that filters use, and `event`, the whole event as it was given. Texts have a
//! binary collation that does not ignore blanks at their ends. The table is partitioned by the id, which begins with the
//! time: so the id can be the key of the whole table, and still a partition is a month, which retention drops whole. What
//! is older than the first month is in one partition, what is later than the last month in another, and ids that are no
//! UUIDs of version 7 are mostly in a third; no event is ever without a place.
//!
//! # Writing
//! A batch is one `INSERT` of several rows, in as many statements as `max_allowed_packet` needs, in one transaction. It reads
//! nothing unless an id is there already.
//!
//! # Orphans
//! A `started` event is also a row of `audit_events_started` until the event that ends it arrives. Each writing store is
//! a writer: a row, and a named lock (`GET_LOCK`) that a session of its own holds. The server releases the lock when that
//! session ends, and never before; see `sql/writer_lease.rs` for what happens when only the session dies.

mod admin;
mod append;
mod cell_erasure;
mod config;
mod datetime;
mod diagnostics;
mod dialect;
mod durability;
mod error;
mod event_columns;
mod health;
mod identifiers;
mod indexes;
mod orphan_recovery;
mod partition;
mod purge;
mod reader;
mod removal;
mod row;
mod schema;
mod sealing;
mod server_facts;
mod server_identity;
mod session;
mod session_driver;
mod store;
mod transactional;
mod url;
mod writer_locks;

pub use config::MysqlTable;
pub use store::MysqlStore;
pub(crate) use url::is_scheme;
