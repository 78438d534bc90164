//! Counts by value, in a bounded memory: clients choose some values, and how long they are.

use std::collections::HashMap;

use super::{StoreError, StoreErrorKind};
use crate::query::{Field, ValueCount};

/// The number of events for each value of a field, and without one.
#[derive(Debug)]
pub(crate) struct ValueCounts {
    values: HashMap<String, u64>,
    missing: u64,
    bytes: usize,
    max_bytes: usize,
}

impl Default for ValueCounts {
    fn default() -> Self {
        Self { values: HashMap::new(), missing: 0, bytes: 0, max_bytes: MAX_MIB << 20 }
    }
}

impl ValueCounts {
    /// Adds events with this value. Once there is no room for a further value, the counts are [full](Self::is_full).
    pub(crate) fn add(&mut self, value: Option<&str>, events: u64) {
        let Some(value) = value else {
            self.missing += events;
            return;
        };
        if let Some(count) = self.values.get_mut(value) {
            *count += events;
            return;
        }
        self.bytes = self.bytes.saturating_add(value.len() + ENTRY_BYTES);
        if !self.is_full() {
            self.values.insert(value.to_owned(), events);
        }
    }

    /// Returns true if values are missing.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes > self.max_bytes
    }

    /// Returns the most frequent values.
    ///
    /// # Errors
    /// If there was no room for all values.
    pub(crate) fn top(self, store: &'static str, by: Field, at_most: usize) -> Result<Vec<ValueCount>, StoreError> {
        if self.is_full() {
            let hint = format!("the values of {by} take more than {MAX_MIB} MiB: choose a shorter time");
            return Err(StoreError::new(StoreErrorKind::Permanent, store, "reading").with_hint(hint));
        }
        let missing = (self.missing > 0).then_some(ValueCount { value: None, count: self.missing });
        let values = self.values.into_iter().map(|(value, count)| ValueCount { value: Some(value), count });
        let mut counts = values.chain(missing).collect();
        ValueCount::sort_and_truncate(&mut counts, at_most);
        Ok(counts)
    }
}

/// The largest memory of the values, in MiB: more than a million short ones.
const MAX_MIB: usize = 128;
/// The bytes of an entry besides its text, about.
const ENTRY_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_memory_are_an_error_and_are_not_kept() {
        let counted = |values: &[&str]| {
            let mut counts = ValueCounts { max_bytes: 2 * (ENTRY_BYTES + 4), ..ValueCounts::default() };
            for value in values {
                counts.add(Some(value), 1);
                counts.add(None, 1);
            }
            assert!(counts.values.len() <= 2);
            counts.top("memory", Field::UserEmail, 10).map_err(|error| error.to_string())
        };
        let value_count = |value: Option<&str>, count| ValueCount { value: value.map(str::to_owned), count };
        let counts = counted(&["long", "word", "long"]).expect("there is room");
        assert_eq!(counts, [value_count(None, 3), value_count(Some("long"), 2), value_count(Some("word"), 1)]);
        for too_much in [["long", "words"].as_slice(), &["a", "b", "c"]] {
            let error = counted(too_much).expect_err("there is no room");
            assert!(error.contains("user_email take more than 128 MiB"), "{error}");
        }
    }
}
