//! Versions of SQLite, and the known fault that some of them have.

/// A version of SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    /// Reads `3.51.3`. A part that is no number is 0, so that an unknown version counts as an old one.
    pub(super) fn parse(text: &str) -> Self {
        let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self(next(), next(), next())
    }

    /// Returns true for a version with the WAL-reset bug, by which two connections that write and checkpoint at once
    /// may damage a file: 3.7.0 to 3.51.2, without 3.44.6 and 3.50.7, see <https://sqlite.org/wal.html#walresetbug>.
    pub(super) fn resets_logs_wrongly(self) -> bool {
        match self {
            Self(3, 44, patch) => patch < 6,
            Self(3, 50, patch) => patch < 7,
            other => other < Self(3, 51, 3),
        }
    }

    /// Returns true if `PRAGMA wal_checkpoint(NOOP)` only reads. Earlier versions run a checkpoint.
    pub(super) fn can_look_at_log(self) -> bool {
        self >= Self(3, 51, 0)
    }
}

/// The fault of a version that has it, and what to do about it.
pub(super) fn fault(version: &str) -> (String, &'static str) {
    (
        format!("SQLite {version} may damage a file that two connections write (the WAL-reset bug)"),
        "link SQLite 3.51.3 or later, 3.50.7 or 3.44.6: libsqlite3-sys 0.37 brings 3.51.3 along",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_with_the_fault_are_known() {
        for bad in ["3.7.0", "3.44.5", "3.45.0", "3.49.2", "3.50.4", "3.50.6", "3.51.0", "3.51.2", "", "x"] {
            assert!(Version::parse(bad).resets_logs_wrongly(), "{bad}");
        }
        for good in ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "3.53.4", "4.0.0"] {
            assert!(!Version::parse(good).resets_logs_wrongly(), "{good}");
        }
    }
}
