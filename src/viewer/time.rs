//! Times, as people read them: in UTC, and how long ago.

use crate::event::Timestamp;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A moment, as seen from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelativeTime {
    at: Timestamp,
    now: Timestamp,
}

impl RelativeTime {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// By RFC 3339: what a machine reads.
    pub(super) fn full(&self) -> String {
        self.at.to_string()
    }

    /// `2026-05-25`
    pub(super) fn day(&self) -> String {
        self.full()[..10].to_owned()
    }

    /// `12:00:00`
    pub(super) fn clock(&self) -> String {
        self.full()[11..19].to_owned()
    }

    /// `.123456`
    pub(super) fn fraction(&self) -> String {
        self.full()[19..26].to_owned()
    }

    /// `3 min ago`
    pub(super) fn ago(&self) -> String {
        let passed = self.now.as_micros() - self.at.as_micros();
        let (length, ago) = (passed.abs(), passed >= 0);
        let text = match length {
            _ if length < MINUTE => format!("{} s", length / SECOND),
            _ if length < HOUR => format!("{} min", length / MINUTE),
            _ if length < 2 * DAY => format!("{} h", length / HOUR),
            _ if length < 60 * DAY => format!("{} days", length / DAY),
            _ if length < 730 * DAY => format!("{} months", length * 12 / (365 * DAY)),
            _ => format!("{} years", length / (365 * DAY)),
        };
        if length < SECOND {
            "just now".to_owned()
        } else if ago {
            text + " ago"
        } else {
            // The clock of another machine runs ahead.
            format!("in {text}")
        }
    }
}

/// A span of time: `2026-05-25 12:00 – 13:00`, or whole days by their names.
pub(super) fn span(since: Timestamp, until: Timestamp) -> String {
    let whole_days = since.as_micros() % DAY == 0 && until.as_micros() % DAY == 0;
    let (from, to) = (since.to_string(), until.to_string());
    if whole_days {
        let last = Timestamp::from_micros_clamped(until.as_micros() - 1).to_string();
        return if last[..10] == from[..10] {
            from[..10].to_owned()
        } else {
            format!("{} – {}", &from[..10], &last[..10])
        };
    }
    // Seconds where they tell something.
    let is_short = until.as_micros() - since.as_micros() < HOUR;
    let has_seconds = since.as_micros() % MINUTE != 0 || until.as_micros() % MINUTE != 0;
    let end = if is_short && has_seconds { 19 } else { 16 };
    let begin = format!("{} {}", &from[..10], &from[11..end]);
    if from[..10] == to[..10] {
        format!("{begin} – {}", &to[11..end])
    } else {
        format!("{begin} – {} {}", &to[..10], &to[11..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago() {
        let now = Timestamp::from_micros(1_700_000_000 * SECOND).unwrap();
        for (passed, text) in [
            (0, "just now"),
            (-999_999, "just now"),
            (5 * SECOND, "5 s ago"),
            (MINUTE, "1 min ago"),
            (90 * MINUTE, "1 h ago"),
            (47 * HOUR, "47 h ago"),
            (48 * HOUR, "2 days ago"),
            (59 * DAY, "59 days ago"),
            (100 * DAY, "3 months ago"),
            (800 * DAY, "2 years ago"),
            (-2 * MINUTE, "in 2 min"),
        ] {
            let at = Timestamp::from_micros(now.as_micros() - passed).unwrap();
            assert_eq!(RelativeTime::new(at, now).ago(), text);
        }
    }

    #[test]
    fn spans() {
        let at = |text: &str| text.parse().unwrap();
        for (since, until, text) in [
            ("2026-05-25T00:00:00Z", "2026-05-26T00:00:00Z", "2026-05-25"),
            ("2026-05-25T00:00:00Z", "2026-06-01T00:00:00Z", "2026-05-25 – 2026-05-31"),
            ("2026-05-25T12:00:00Z", "2026-05-25T13:00:00Z", "2026-05-25 12:00 – 13:00"),
            ("2026-05-25T23:00:00Z", "2026-05-26T01:00:00Z", "2026-05-25 23:00 – 2026-05-26 01:00"),
            ("2026-05-25T12:00:01Z", "2026-05-25T12:00:02Z", "2026-05-25 12:00:01 – 12:00:02"),
        ] {
            assert_eq!(span(at(since), at(until)), text);
        }
    }
}
