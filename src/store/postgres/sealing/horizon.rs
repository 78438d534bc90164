//! The time before which no transaction is open any more.

use std::collections::VecDeque;

/// Moments of the server, each with the number of the next transaction then.
///
/// PostgreSQL commits in another order than it numbers, and an app's own transaction may be open for hours:
///
/// - t0: transaction 41 inserts event A, and goes on.
/// - t1: transaction 42 inserts event B and commits. A look at the log sees B, and not A.
/// - t2: 41 commits. A's id is smaller than B's.
///
/// At each look, the oldest open transaction is known. Once it is not below the number of t0, everything that was inserted before
/// t0 is either visible or gone.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    looks: VecDeque<(i64, i64)>,
    /// Number of times that the least time between two looks was doubled, so that a transaction of many days costs no more
    /// memory.
    doublings: u32,
}

impl Horizon {
    /// Notes a look: the time, the number of the oldest open transaction, and that of the next one. Returns the time before which every
    /// transaction is over; none before there is one.
    pub(super) fn note(&mut self, now_micros: i64, oldest_open: i64, next: i64) -> Option<i64> {
        // After a failover, numbers may go back; a clock that was set right goes back, too.
        if self.looks.back().is_some_and(|(at, known)| *known > next || *at > now_micros) {
            self.looks.clear();
        }
        let spacing = SPACING_MICROS << self.doublings;
        if self.looks.back().is_none_or(|(at, _)| now_micros - at >= spacing) {
            self.looks.push_back((now_micros, next));
        }
        // The first stays until a later one is behind every open transaction.
        while self.looks.get(1).is_some_and(|(_, next)| *next <= oldest_open) {
            self.looks.pop_front();
        }
        if self.looks.len() < MAX_LOOKS / 4 {
            self.doublings = 0;
        }
        if self.looks.len() > MAX_LOOKS {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
            let mut number = 0;
            self.looks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.looks.front().filter(|(_, next)| *next <= oldest_open).map(|(at, _)| *at)
    }
}

const SPACING_MICROS: i64 = 500_000;
const MAX_LOOKS: usize = 1024;
/// Half a second becomes six days.
const MAX_DOUBLINGS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn an_open_transaction_holds_the_horizon() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.note(SECOND, 41, 43), None, "41 is open");
        assert_eq!(horizon.note(2 * SECOND, 41, 60), None, "41 is open");
        assert_eq!(horizon.note(3 * SECOND, 43, 61), Some(SECOND), "41 and 42 are over, 43 is open");
        assert_eq!(horizon.note(4 * SECOND, 61, 61), Some(4 * SECOND), "nothing is open");
        assert_eq!(horizon.note(5 * SECOND, 61, 99), Some(4 * SECOND), "61 is open");
        assert_eq!(horizon.note(6 * SECOND, 7, 8), None, "another server");
        assert_eq!(horizon.note(2 * SECOND, 8, 8), Some(2 * SECOND), "a clock that went back");
    }

    #[test]
    fn a_transaction_of_many_days_costs_no_more_memory() {
        let mut horizon = Horizon::default();
        for second in 0..100_000 {
            assert_eq!(horizon.note(second * SECOND, 5, 6 + second), None);
        }
        assert!(horizon.looks.len() <= MAX_LOOKS);
        let settled = horizon.note(100_000 * SECOND, 50_000, 200_000).unwrap();
        assert!((40_000 * SECOND..50_000 * SECOND).contains(&settled), "{settled}");
    }
}
