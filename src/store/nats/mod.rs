//! `nats://`, `tls://`: events in a JetStream cluster that acknowledges by quorum.
//!
//! - **Durable:** when a majority of the stream's servers has the message. That survives a loss of power only if each of them syncs
//!   each write (`sync_interval: always`), in three or more copies in files. This is looked at, or declared, or refused.
//! - **Ordered:** by the stream of a partition. A writer has one partition.
//! - **Readable:** not here; a consumer moves events to a readable store.
//!
//! A batch of events is one message, because a server syncs per message. Its id is a digest of the ids of its events, so a
//! message that is published again is recognised.

mod error;
mod url;
mod url_settings;

mod message;

mod replies;

mod connection;
mod connections;

mod api;
mod stream;

mod monitoring_port;
mod sync;

mod loss_detection;

mod inspection;

mod publish;

mod consumer;
mod stream_reader;

mod diagnostics;

mod store;

pub use store::NatsStore;
pub use stream_reader::StreamProgress;
pub(crate) use stream_reader::{ReplayFrom, StreamReader};
