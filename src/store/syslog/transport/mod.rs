//! Ways to a collector.

mod certificates;
mod destination;

mod datagram;
mod stream;
mod tcp;
mod tls;
mod unix;

mod connection;

pub(super) use certificates::Certificates;
pub(super) use connection::{Channel, Connection, MAX_VERDICT, MIN_VERDICT, Times};
pub(super) use datagram::Sent;
pub(super) use destination::{Destination, Server};
pub use destination::{Framing, UnixSocket};

#[cfg(test)]
pub(super) use datagram::tests;
