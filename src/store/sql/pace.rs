//! The pace of work that may take long and is not urgent.

use std::time::{Duration, Instant};

/// Work that takes a tenth of the time at most: after each piece it rests nine times as long.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Instant>,
}

impl Pace {
    /// Returns true if a piece may begin.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// Notes a piece that took so long and ends now.
    pub(super) fn note(&mut self, took: Duration, now: Instant) {
        self.due = now.checked_add(took.saturating_mul(9));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_time_is_spent() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        assert!(pace.is_due(begun));
        let ended = begun + Duration::from_secs(35);
        pace.note(ended - begun, ended);
        assert!(!pace.is_due(begun + Duration::from_secs(349)));
        assert!(pace.is_due(begun + Duration::from_secs(350)));
    }
}
