//! Stores: their contract, and the implementations.

mod error;
mod redacted_url;
mod url_parameters;

mod app_transaction;
mod capabilities;
mod cell_erasure;
mod diagnostic;
mod options;
mod store_future;

mod orphan_recovery;
mod reader;
mod removal;
mod sealing;
mod statistics;
mod store_admin;
mod stored_page;
mod transactional;

mod parts;

mod audit_store;

mod sink_diagnostics;

#[cfg(any(feature = "nats", all(feature = "syslog", unix)))]
mod client_tls;

#[cfg(unix)]
pub(crate) mod delivery;
#[cfg(all(feature = "duckdb", unix))]
pub mod duckdb;
#[cfg(unix)]
pub(crate) mod files;
#[cfg(all(feature = "jsonl", unix))]
pub mod jsonl;
mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
#[cfg(any(feature = "sqlite", unix))]
mod mount;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "mongodb", all(feature = "duckdb", unix)))]
mod rehearsal;
#[cfg(any(feature = "sqlite", all(unix, any(feature = "duckdb", feature = "jsonl"))))]
mod resolved_path;
#[cfg(unix)]
pub mod spool;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(all(feature = "syslog", unix))]
pub mod syslog;
pub mod tee;
pub mod tracing;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "mongodb"))]
mod unindexed_conditions;

mod open;

mod event_extent;
mod pages;
mod retention_floor;
#[cfg(any(feature = "sqlite", all(feature = "jsonl", unix)))]
mod value_counts;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use app_transaction::{AppConnection, AppTransaction};
pub use audit_store::AuditStore;
pub use capabilities::Capabilities;
pub use cell_erasure::{CellErasure, ErasedEvent, ReplaceEventFn};
pub use diagnostic::{Diagnostic, Severity};
pub(crate) use error::chain;
pub use error::{StoreError, StoreErrorKind};
pub use event_extent::EventExtent;
pub use memory::MemoryStore;
pub use open::{SCHEMES, open};
pub use options::{Durability, OpenOptions};
pub use orphan_recovery::OrphanRecovery;
pub use pages::pages;
pub use parts::Parts;
pub use reader::Reader;
pub use redacted_url::RedactedUrl;
pub use removal::{MAX_REMOVED, Removal};
pub use retention_floor::RetentionFloor;
pub(crate) use retention_floor::in_words as duration_in_words;
pub use sealing::{
    ForeignRow, SealBatch, Sealing, StoredCheckpoint, StoredLeaf, StoredNode, StoredRemoval, StoredSeed, UnsealedEvents,
};
pub use statistics::statistics;
pub use store_admin::{OPEN_COPY_AGE, PurgeOutcome, StoreAdmin};
pub use store_future::StoreFuture;
pub use stored_page::StoredPage;
pub use transactional::{TransactionId, TransactionStatus, Transactional};
