//! Errors of the sink.

use std::io;

use crate::store::{StoreError, StoreErrorKind};

pub(super) const NAME: &str = "syslog";
pub(super) const APPEND: &str = "append";

/// A setting that cannot be one.
pub(super) fn config(hint: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "configuration").with_hint(hint)
}

/// A collector that is not reached, or no longer.
pub(super) fn unreachable(operation: &'static str, error: io::Error) -> StoreError {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => {
            (StoreErrorKind::Transient, "there is no such socket or host: start the collector, or correct the URL")
        }
        io::ErrorKind::ConnectionRefused => {
            (StoreErrorKind::Transient, "nothing listens there: start the collector, or correct the URL")
        }
        io::ErrorKind::PermissionDenied => {
            (StoreErrorKind::Denied, "the socket may not be written to: correct the rights on it")
        }
        io::ErrorKind::InvalidInput => (StoreErrorKind::Config, "the certificates cannot be used: correct their files"),
        io::ErrorKind::InvalidData => (
            StoreErrorKind::Transient,
            "the collector does not speak TLS as it should: check its certificate, its port and `ca_file`",
        ),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => (
            StoreErrorKind::Transient,
            "the collector has ended the connection: look at its own log; over TLS, does it accept this sink's certificate?",
        ),
        io::ErrorKind::TimedOut => {
            (StoreErrorKind::Transient, "the collector does not answer, or takes nothing: look at it")
        }
        _ => (StoreErrorKind::Transient, "the collector is not reached: look at it and at the network"),
    };
    StoreError::new(kind, NAME, operation).with_hint(hint).with_source(error)
}
