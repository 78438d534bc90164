//! The number of a record among equal ones.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};

/// Counts equal records. Two lines that are equal are two events: somebody has signed in twice within a millisecond.
///
/// It knows the newest [`KNOWN`](Self::KNOWN) different records, so that its memory is bounded. Equal records have the same time,
/// and a log is ordered by time: they are close together.
#[derive(Debug, Default)]
pub(super) struct EqualRecords {
    counts: HashMap<[u8; 16], u64>,
    order: VecDeque<[u8; 16]>,
}

impl EqualRecords {
    /// The number of different records that are known.
    const KNOWN: usize = 65_536;

    /// Returns the number of equal records before this one.
    pub(super) fn number(&mut self, record: &[u8]) -> u64 {
        let digest = Sha256::digest(record);
        let key: [u8; 16] = std::array::from_fn(|byte| digest[byte]);
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
            return *count;
        }
        if self.order.len() == Self::KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.order.push_back(key);
        self.counts.insert(key, 0);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_records_are_counted_and_old_ones_are_forgotten() {
        let mut records = EqualRecords::default();
        assert_eq!(
            [records.number(b"a"), records.number(b"b"), records.number(b"a"), records.number(b"a")],
            [0, 0, 1, 2]
        );
        for n in 0..EqualRecords::KNOWN {
            records.number(&n.to_be_bytes());
        }
        assert_eq!(records.order.len(), EqualRecords::KNOWN);
        assert_eq!(records.counts.len(), EqualRecords::KNOWN);
        assert_eq!(records.number(b"a"), 0);
    }
}
