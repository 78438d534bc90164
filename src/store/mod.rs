//! Stores: their contract, and the implementations.

mod audit_store;
mod capabilities;
#[cfg(feature = "conformance")]
pub mod conformance;
mod diagnostic;
mod error;
mod memory;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
mod redacted_url;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod transactional;

pub use audit_store::{AuditStore, PurgeOutcome, Reader, Recovery, StoreAdmin, StoreFuture};
pub use capabilities::Capabilities;
pub use diagnostic::{Diagnostic, Severity};
pub(crate) use error::chain;
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use open::{Durability, OpenOptions, SCHEMES, open};
pub use redacted_url::RedactedUrl;
pub use transactional::{AppConnection, AppTransaction, TransactionId, TransactionStatus, Transactional};
