//! Facts about the server that decide how a statement is written.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::error::config;
use crate::event::limits::MAX_EVENT_BYTES;
use crate::store::StoreError;

/// The kind of server and the size of its packets, as the last session was told.
#[derive(Debug)]
pub(super) struct ServerFacts {
    is_mariadb: AtomicBool,
    max_packet: AtomicUsize,
}

impl Default for ServerFacts {
    fn default() -> Self {
        Self { is_mariadb: AtomicBool::new(true), max_packet: AtomicUsize::new(LEAST_PACKET) }
    }
}

impl ServerFacts {
    /// Notes the version of the server and its `max_allowed_packet`. An error if the log cannot be kept there.
    pub(super) fn note(&self, version: &str, max_packet: u64) -> Result<(), StoreError> {
        let is_mariadb = version.contains("MariaDB");
        let numbers = release(version);
        let least = if is_mariadb { LEAST_MARIADB } else { LEAST_MYSQL };
        if numbers < least {
            let kind = if is_mariadb { "MariaDB" } else { "MySQL" };
            return Err(config(format!(
                "the server is {kind} {}.{}: expected MariaDB 10.6 or MySQL 8.0, or newer",
                numbers.0, numbers.1
            )));
        }
        let max_packet = usize::try_from(max_packet).unwrap_or(usize::MAX);
        if max_packet < LEAST_PACKET {
            return Err(config(format!(
                "max_allowed_packet of the server is {max_packet}, too small for an event: set it to 16M, at least to \
                 {LEAST_PACKET}"
            )));
        }
        self.is_mariadb.store(is_mariadb, Ordering::Relaxed);
        self.max_packet.store(max_packet, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.is_mariadb.load(Ordering::Relaxed)
    }

    /// The largest number of bytes of a statement.
    pub(super) fn max_packet(&self) -> usize {
        self.max_packet.load(Ordering::Relaxed)
    }
}

/// The release of a version such as `10.11.19-MariaDB-0+deb12u1`.
fn release(version: &str) -> (u16, u16) {
    // A MariaDB of before 11 may have `5.5.5-` before its own version.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

const LEAST_MARIADB: (u16, u16) = (10, 6);
const LEAST_MYSQL: (u16, u16) = (8, 0);
/// Room for two of the largest events with their columns.
pub(super) const LEAST_PACKET: usize = 8 * MAX_EVENT_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_too_old_or_too_small_are_named() {
        let facts = ServerFacts::default();
        for (version, packet, expected) in [
            ("10.11.19-MariaDB-0+deb12u1", 16 << 20, Ok(true)),
            ("5.5.5-10.6.2-MariaDB-log", 16 << 20, Ok(true)),
            ("11.4.2-MariaDB", 1 << 20, Ok(true)),
            ("8.4.3", 64 << 20, Ok(false)),
            ("10.5.9-MariaDB", 16 << 20, Err("10.6")),
            ("5.7.44-log", 16 << 20, Err("MySQL 8.0")),
            ("8.0.40", 1 << 19, Err("max_allowed_packet")),
        ] {
            match (facts.note(version, packet), expected) {
                (Ok(()), Ok(is_mariadb)) => assert_eq!(facts.is_mariadb(), is_mariadb, "{version}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{version}: {error}"),
                (noted, _) => panic!("{version}: {noted:?}"),
            }
        }
    }
}
