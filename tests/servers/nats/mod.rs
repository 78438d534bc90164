//! The JetStream store by its behaviour, on private clusters of three servers.

mod conformance;
mod logins;
mod measurements;
mod opening;
mod outages;
mod servers_checked;
mod shipping;
mod stream_checked;
