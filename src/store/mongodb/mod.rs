//! `mongodb://…`: one log that many instances of a service share, in a collection that IVRE's reader knows.
//!
//! # Guarantees
//! - **Durable**: every write is sent with `w: "majority", j: true`, whatever the URL says. An append is acknowledged when the
//!   server has said for each event that it is in, and has reported no failure of the write concern.
//! - **Exactly once**: the id is the `_id` of the document, and has a unique index of its own; of several events with one id,
//!   the first is kept. A repeated id is acknowledged only after a later write of ours is durable.
//! - **Readable at once**: a read asks the primary with read concern `majority`.
//! - **No event expires**: a TTL index, a capped collection or a view in the place of the collection is refused.
//!
//! # The documents
//! A document has the fields that IVRE writes (`event_id`, `event_type`, `created_at`, `actor`, `resource`, `details`,
//! `outcome`), further ones for filters, and `event`, the whole event as it was given. `created_at` is a date of BSON and so
//! has milliseconds; `micros` has the microseconds below them, and is absent when there are none.
//!
//! # Writing
//! A batch is one `insert` with `ordered: false`, or several if it has more than 12 MiB. Each event is stored whole or not at
//! all; a batch is not one transaction. An append that fails leaves an unknown part of its events, and can be repeated.
//!
//! # Orphans
//! A `started` event is also a document of `audit_events_started` until the event that ends it arrives. MongoDB has no lock
//! that ends with its owner. So each writing store has a document with a counter, which it counts up twice a second; a
//! writer is dead when a server that answers has shown the same count for three seconds (`writer_lease.rs`, `orphan_recovery.rs`).

mod admin;
mod append;
mod cell_erasure;
mod collections;
mod condition;
mod config;
mod connection;
mod details;
mod diagnostics;
mod document;
mod error;
mod event_decode;
mod health;
mod open_list;
mod orphan_recovery;
mod purge;
mod reader;
mod removal;
mod schema;
mod store;
mod time;
mod url;
mod write_reply;
mod writer_lease;

pub use store::MongodbStore;
