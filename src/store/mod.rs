//! Where events go: the contract of a store, and the stores.

mod capabilities;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod error;
mod finding;
mod in_transaction;
mod memory;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
mod redacted_url;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use capabilities::Capabilities;
pub use contract::{AuditStore, Keeper, Orphans, Purged, Reader, StoreFuture};
pub(crate) use error::chain;
pub use error::{StoreError, StoreErrorKind};
pub use finding::{Finding, Level};
pub use in_transaction::{AppConnection, AppTransaction, Fate, InTransaction, TransactionId};
pub use memory::MemoryStore;
pub use open::{Durability, OpenOptions, SCHEMES, open};
pub use redacted_url::RedactedUrl;
