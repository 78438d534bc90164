//! Errors of the sink.

use std::fmt;
use std::io;

use crate::store::{StoreError, StoreErrorKind};

pub(super) const NAME: &str = "syslog";
pub(super) const APPEND: &str = "append";

/// A setting that cannot be one.
pub(super) fn config(hint: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "configuration").with_hint(hint)
}

/// A file of certificates, or a pair of them, that cannot be used: the source of an [`io::Error`].
#[derive(Debug)]
pub(super) struct WrongFiles(pub(super) String);

impl fmt::Display for WrongFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongFiles {}

impl WrongFiles {
    pub(super) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|source| source.is::<Self>())
    }
}

/// A collector that is not reached, or no longer.
///
/// While events wait, a wrong setting may be right in a moment: a socket gets its rights after its path, a key its place after
/// its certificate.
pub(super) fn unreachable(operation: &'static str, error: io::Error) -> StoreError {
    let (kind, hint) = match error.kind() {
        _ if WrongFiles::is(&error) => (StoreErrorKind::Config, "the certificates cannot be used: correct their files"),
        io::ErrorKind::NotFound => {
            (StoreErrorKind::Transient, "there is no such socket or host: start the collector, or correct the URL")
        }
        io::ErrorKind::ConnectionRefused => {
            (StoreErrorKind::Transient, "nothing listens there: start the collector, or correct the URL")
        }
        io::ErrorKind::PermissionDenied => {
            (StoreErrorKind::Denied, "the socket may not be written to: correct the rights on it")
        }
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
    let kind = if operation == APPEND { StoreErrorKind::Transient } else { kind };
    StoreError::new(kind, NAME, operation).with_hint(hint).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_append_fails_for_good_because_of_what_may_be_mended() {
        let denied = || io::ErrorKind::PermissionDenied.into();
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, WrongFiles("`key_file`".into()));
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        for (error, at_start) in [
            (denied as fn() -> io::Error, StoreErrorKind::Denied),
            (wrong, StoreErrorKind::Config),
            (invalid, StoreErrorKind::Transient),
        ] {
            assert_eq!(unreachable("open", error()).kind(), at_start);
            assert_eq!(unreachable(APPEND, error()).kind(), StoreErrorKind::Transient);
        }
        let text = unreachable("open", invalid()).to_string();
        assert!(!text.contains("certificates"), "{text}");
    }
}
