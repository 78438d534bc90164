//! The JetStream store by its behaviour, on private clusters of three servers.

mod conformance;
mod logins;
mod opening;
mod servers_checked;
mod stream_checked;
