//! A time as the server's `DATETIME(6)`, in UTC: as text to it, as microseconds since 1970 from it.

use crate::event::Timestamp;

/// `2026-05-25 12:00:00.123456`.
pub(super) fn datetime(moment: Timestamp) -> String {
    let mut text = moment.to_text();
    text[10] = b' ';
    text[..26].iter().map(|byte| char::from(*byte)).collect()
}

/// The microseconds of a row of the table `e`; null for a date that is none, such as 0000-00-00.
pub(super) const MICROS: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00.000000', e.created_at)";

/// The nearest time that an event can have, and true if the row has another.
pub(super) fn nearest(micros: Option<i64>) -> (Timestamp, bool) {
    let time = Timestamp::from_micros_clamped(micros.unwrap_or(i64::MIN));
    (time, micros != Some(time.as_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_microseconds() {
        for (text, expected) in [
            ("2026-05-25T12:00:00.123456Z", "2026-05-25 12:00:00.123456"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00.000000"),
        ] {
            assert_eq!(datetime(text.parse().expect("a time")), expected);
        }
        assert_eq!(nearest(Some(5)), (Timestamp::from_micros(5).expect("a time"), false));
        assert_eq!(nearest(None), (Timestamp::MIN, true));
    }
}
