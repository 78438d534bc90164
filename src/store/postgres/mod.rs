//! `postgres://…`: one log that many instances of a service share.
//!
//! # Guarantees
//! - **Durable**: an append is acknowledged when its transaction is committed with `synchronous_commit=on` or stronger
//!   by a server that has `fsync=on` and `full_page_writes=on` and is no standby, into tables that are not unlogged and
//!   have no trigger or rule. Checked when a session is opened and by [`health`](crate::store::AuditStore::health); triggers
//!   and rules by every append.
//! - **Exactly once**: the id is the key, over every partition, every writer and every time; of several events with
//!   one id, the first is kept.
//! - **Readable at once**: a read is one statement, so one snapshot, on the primary. Only a page with rows at the ends of
//!   time (`infinity`) is read by up to three.
//!
//! # The tables
//! `audit_events` has the columns that other readers of such logs know, and `event`, the whole event as it was given.
//! It is partitioned by the id, which begins with the time: so the id can be the key of the whole table, and still a
//! partition is a month, which retention drops whole. What is older than the first month is in one partition, and what
//! belongs to none of them is in the default partition; no event is ever without a place. Each writer creates the
//! partitions of the months to come, by a function that does nothing else and acts as the owner of the tables.
//!
//! # Writing
//! A batch is one statement, its values are arrays, and its transaction is its own. It reads nothing and takes no lock
//! that another writer waits for. A session that fails is abandoned and the next append opens another.
//!
//! # Orphans
//! A `started` event is also a row of `audit_events_started` until the event that ends it arrives. Each writing store is
//! a writer: a row, and an advisory lock that a session of its own holds. The server releases the lock when that session
//! ends, and never before; see `sql/writer_lease.rs` for what happens when only the session dies.

mod admin;
mod append;
mod append_statements;
mod cell_erasure;
mod column_arrays;
mod config;
mod diagnostics;
mod dialect;
mod durability;
mod error;
mod event_columns;
mod expected_schema;
mod grants;
mod health;
mod identifiers;
mod indexes;
mod interfering_objects;
mod ivre_table;
mod json_text;
mod orphan_recovery;
mod owner;
mod partition;
mod privileges;
mod purge;
mod reader;
mod removal;
mod replicas;
mod roles;
mod row;
mod schema;
mod schema_survey;
mod sealing;
mod servers;
mod session;
mod session_driver;
mod store;
mod table_identity;
mod timestamptz;
mod transactional;
mod url;
mod writer_locks;

pub use config::PostgresTable;
pub use ivre_table::IvreTable;
pub use roles::create_roles;
pub use store::PostgresStore;
pub(crate) use url::is_scheme;
