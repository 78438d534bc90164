//! Shipping: moving events from one place to a store, in order, each once by its id.
//!
//! A [`Shipper`] takes events from a [`ShipSource`] and appends them to a durable store. The source forgets them, or notes its progress,
//! after the store has acknowledged them. Whatever is killed in between, the events are appended again, and the store ignores the ids that it
//! has.
//!
//! [`StoreSource`] reads any readable store, oldest event first, with its progress in a file. The events of a spool are moved by the
//! [spool](crate::store::spool) itself. `tower-audit ship` is all of this as a program.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower_audit::shipping::{ShipProgress, Shipper, StoreSource};
//! use tower_audit::store::{AuditStore as _, Durability, MemoryStore};
//! use tower_audit::{AuditEvent, EventType};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let (from, to) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
//! from.append(&[AuditEvent::new(EventType::UPLOAD)]).await?;
//! let progress = ShipProgress::lock(folder.path().join("ship.json"), "from memory to memory").await?;
//! let source = StoreSource::new(from)?.progress(progress);
//! // In production both are durable, and this is left out.
//! let mut shipper = Shipper::with_durability(source, to.clone(), Durability::Warn)?;
//! while shipper.step().await?.events > 0 {}
//! assert_eq!(to.events().len(), 1);
//! # Ok(())
//! # }
//! ```

mod progress_file;
mod source;

mod store_source;
#[cfg(feature = "nats")]
mod stream_source;

mod shipper;

pub use progress_file::ShipProgress;
pub use shipper::{ShipStatus, ShipStatusView, ShipStep, Shipper};
pub use source::ShipSource;
pub use store_source::StoreSource;
#[cfg(feature = "nats")]
pub use stream_source::StreamSource;
