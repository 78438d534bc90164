//! Counts by value.

use serde::Serialize;

/// The number of events that share a value of a field.
///
/// Exhaustive, because stores make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct ValueCount {
    /// The value as text; `None` for events without one.
    pub value: Option<String>,
    /// The number of events, at least 1.
    pub count: u64,
}

impl ValueCount {
    /// Sorts by count, the largest first, then by the bytes of the value, `None` last; and truncates.
    ///
    /// For authors of stores: the order of [`Reader::top_values`](crate::store::Reader::top_values).
    pub fn sort_and_truncate(counts: &mut Vec<Self>, at_most: usize) {
        counts.sort_unstable_by(|a, b| {
            let last = |value_count: &Self| value_count.value.is_none();
            b.count.cmp(&a.count).then(last(a).cmp(&last(b))).then_with(|| a.value.cmp(&b.value))
        });
        counts.truncate(at_most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_have_one_order() {
        let value_count = |value: Option<&str>, events| ValueCount { value: value.map(str::to_owned), count: events };
        let mut counts =
            vec![value_count(None, 2), value_count(Some("b"), 2), value_count(Some("a"), 2), value_count(Some("c"), 3)];
        ValueCount::sort_and_truncate(&mut counts, 4);
        assert_eq!(
            counts,
            [value_count(Some("c"), 3), value_count(Some("a"), 2), value_count(Some("b"), 2), value_count(None, 2)]
        );
        ValueCount::sort_and_truncate(&mut counts, 1);
        assert_eq!(counts.len(), 1);
    }
}
