//! The time grammar of the program and the API: WHEN is a moment, DURATION is how long ago.
//!
//! Both know the same shorthand: a whole number and one unit, case-sensitive, nothing before, between or after.
//! A bare number differs: as a WHEN it is a Unix timestamp, as a DURATION it is a number of seconds.

use std::fmt;
use std::time::Duration;

use jiff::civil::{ISOWeekDate, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use crate::event::{Timestamp, excerpt, is_of_a_day};

/// The units of the shorthand, in seconds. A year is 365.25 days; `m` is a minute, there are no months.
const UNITS: [(char, u64); 6] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800), ('y', 31_557_600)];

/// Reads a WHEN, the moment that `--since` and `since=` name.
///
/// - `30d`, `2h`, `90m`, `10s`, `1w`, `2y`: this long before `now`; `0s` is now.
/// - Digits alone, with or without a decimal fraction: a Unix timestamp, in seconds. So `2026` is in 1970, as is
///   `20260525`: a date has hyphens.
/// - ISO 8601: `2026-05-25`, `2026-05-25T12:00`, `2026-05-25 12:00:00,5+02:00`; without an offset it is UTC.
///
/// Digits beyond the microsecond are cut. A leap second, `23:59:60`, is the second before it.
///
/// ```
/// use tower_audit::Timestamp;
/// use tower_audit::query::parse_time;
///
/// let now: Timestamp = "2026-05-25T12:00:00Z".parse()?;
/// assert_eq!(parse_time("2h", now)?, "2026-05-25T10:00:00Z".parse()?);
/// assert_eq!(parse_time("2026-05-25 10:00", now)?, parse_time("1779703200", now)?);
/// assert!(parse_time("2 hours", now).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the text is none of these, or the moment is not in the years 0001 to 9999.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    if let Some((count, unit)) = shorthand(text) {
        let ago = seconds(text, count, unit)?;
        return subtract(now, ago)
            .ok_or_else(|| TimeError::new(text, "reaches back beyond the year 0001", EXPECTED_TIME));
    }
    if let Some(unix) = unix_micros(text) {
        return unix.and_then(Timestamp::from_micros).ok_or_else(|| {
            let what = "is a Unix timestamp beyond the year 9999";
            TimeError::new(text, what, "expected seconds since 1970, not milliseconds")
        });
    }
    iso_8601(text)
}

/// Reads a DURATION, the age that `--older-than` names: the shorthand of [`parse_time`], or a bare number of seconds.
///
/// [`cutoff`] makes a moment of it.
///
/// ```
/// use std::time::Duration;
/// use tower_audit::query::parse_duration;
///
/// assert_eq!(parse_duration("90m")?, Duration::from_secs(5400));
/// assert_eq!(parse_duration("5400")?, Duration::from_secs(5400));
/// assert!(parse_duration("-5").is_err());
/// # Ok::<(), tower_audit::query::TimeError>(())
/// ```
///
/// # Errors
/// If the text is neither, or is zero: nothing may be removed that has no age.
pub fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    let seconds = match shorthand(text) {
        Some((count, unit)) => seconds(text, count, unit)?,
        None if is_digits(text) => seconds(text, text, 1)?,
        None if text.starts_with('-') => {
            return Err(TimeError::new(
                text,
                "is a negative duration: its cutoff would be in the future",
                EXPECTED_DURATION,
            ));
        }
        None => return Err(TimeError::new(text, "is no duration", EXPECTED_DURATION)),
    };
    if seconds == 0 {
        return Err(TimeError::new(text, "is zero: every event would be older", EXPECTED_DURATION));
    }
    Ok(Duration::from_secs(seconds))
}

/// The moment before which an event is older than `age`: always in the past, as seen from `now`.
///
/// # Errors
/// If the age is less than a microsecond, or reaches back beyond the year 0001.
pub fn cutoff(age: Duration, now: Timestamp) -> Result<Timestamp, TimeError> {
    let micros = i64::try_from(age.as_micros()).ok();
    let cutoff = micros.and_then(|micros| now.as_micros().checked_sub(micros)).and_then(Timestamp::from_micros);
    match cutoff {
        Some(cutoff) if cutoff < now => Ok(cutoff),
        Some(_) => Err(TimeError::new(&format!("{age:?}"), "is no time at all", EXPECTED_DURATION)),
        None => {
            Err(TimeError::new(&format!("{}s", age.as_secs()), "reaches back beyond the year 0001", EXPECTED_DURATION))
        }
    }
}

/// Reads a DURATION, and the moment before which an event is older than it: always in the past, as seen from `now`.
///
/// ```
/// use tower_audit::Timestamp;
/// use tower_audit::query::parse_cutoff;
///
/// let now: Timestamp = "2026-05-25T12:00:00Z".parse()?;
/// let (_, cutoff) = parse_cutoff("2h", now)?;
/// assert_eq!(cutoff, "2026-05-25T10:00:00Z".parse()?);
/// assert!(parse_cutoff("3000y", now).unwrap_err().to_string().starts_with("\"3000y\" reaches back"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`parse_duration`] and [`cutoff`], about the text as it was given.
pub fn parse_cutoff(text: &str, now: Timestamp) -> Result<(Duration, Timestamp), TimeError> {
    let age = parse_duration(text)?;
    let cutoff = cutoff(age, now).map_err(|error| TimeError { input: excerpt(text), ..error })?;
    Ok((age, cutoff))
}

const EXPECTED_TIME: &str = "expected a time before now such as 30d, 2h, 90m, 10s, 1w or 2y, a Unix timestamp in seconds, or \
                    ISO 8601 such as 2026-05-25 or 2026-05-25T12:00:00Z";
const EXPECTED_DURATION: &str =
    "expected a whole number above 0 and a unit (s, m, h, d, w or y), such as 180d, or a bare number of seconds";

/// Not a time; the text says what was given and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeError {
    input: String,
    problem: &'static str,
    expected: &'static str,
}

impl TimeError {
    fn new(given: &str, problem: &'static str, expected: &'static str) -> Self {
        Self { input: excerpt(given), problem, expected }
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.input, self.problem, self.expected)
    }
}

impl std::error::Error for TimeError {}

/// The digits of the shorthand and the seconds of its unit.
fn shorthand(text: &str) -> Option<(&str, u64)> {
    UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds))).filter(|(n, _)| is_digits(n))
}

/// `FromStr` of a number would also take a sign.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn seconds(text: &str, count: &str, unit: u64) -> Result<u64, TimeError> {
    count
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| TimeError::new(text, "is too large a duration", "expected 2000y at the most"))
}

fn subtract(now: Timestamp, ago_seconds: u64) -> Option<Timestamp> {
    let micros = i64::try_from(ago_seconds).ok()?.checked_mul(1_000_000)?;
    Timestamp::from_micros(now.as_micros().checked_sub(micros)?)
}

/// `None` if the text is no Unix timestamp, `Some(None)` if it is one that no number holds.
fn unix_micros(text: &str) -> Option<Option<i64>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = fraction.as_bytes().get(place).map_or(0, |digit| i64::from(digit - b'0'));
        micros = micros * 10 + digit;
    }
    Some(whole.parse::<i64>().ok().and_then(|whole| whole.checked_mul(1_000_000)?.checked_add(micros)))
}

fn iso_8601(text: &str) -> Result<Timestamp, TimeError> {
    let none = || TimeError::new(text, "is no time", EXPECTED_TIME);
    let moment = |civil, offset| Timestamp::from_civil(civil, offset).ok_or_else(|| out_of_range(text));
    if let Ok(week_date) = text.parse::<ISOWeekDate>() {
        return moment(week_date.date().into(), Offset::UTC);
    }
    let pieces = Pieces::parse(text).map_err(|_| none())?;
    // `[Europe/Berlin]` is no ISO 8601, and an answer that depends on the host's time zone database is none here.
    if text.contains('[') {
        return Err(none());
    }
    let civil = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    if !is_of_a_day(&offset) {
        return Err(none());
    }
    moment(civil, offset)
}

fn out_of_range(text: &str) -> TimeError {
    TimeError::new(text, "is not in the years 0001 to 9999", EXPECTED_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        "2026-05-25T12:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn whens() {
        for (text, moment) in [
            ("0d", "2026-05-25T12:00:00.500000Z"),
            ("10s", "2026-05-25T11:59:50.500000Z"),
            ("90m", "2026-05-25T10:30:00.500000Z"),
            ("2h", "2026-05-25T10:00:00.500000Z"),
            ("30d", "2026-04-25T12:00:00.500000Z"),
            ("1w", "2026-05-18T12:00:00.500000Z"),
            ("2y", "2024-05-25T00:00:00.500000Z"),
            ("007d", "2026-05-18T12:00:00.500000Z"),
            ("0", "1970-01-01T00:00:00.000000Z"),
            ("3600", "1970-01-01T01:00:00.000000Z"),
            ("2026", "1970-01-01T00:33:46.000000Z"),
            ("20260525", "1970-08-23T11:55:25.000000Z"),
            ("1779703200.5", "2026-05-25T10:00:00.500000Z"),
            ("1779703200.1234569", "2026-05-25T10:00:00.123456Z"),
            ("2026-05-25", "2026-05-25T00:00:00.000000Z"),
            ("2026-05-25T10", "2026-05-25T10:00:00.000000Z"),
            ("2026-05-25T10:00", "2026-05-25T10:00:00.000000Z"),
            ("2026-05-25 10:00", "2026-05-25T10:00:00.000000Z"),
            ("2026-05-25T10:00:00", "2026-05-25T10:00:00.000000Z"),
            ("2026-05-25T10:00:00Z", "2026-05-25T10:00:00.000000Z"),
            ("2026-05-25T10:00:00z", "2026-05-25T10:00:00.000000Z"),
            ("2026-05-25T10:00:00+02:00", "2026-05-25T08:00:00.000000Z"),
            ("2026-05-25T10:00:00+0200", "2026-05-25T08:00:00.000000Z"),
            ("2026-05-25T10:00:00-05:30", "2026-05-25T15:30:00.000000Z"),
            ("2026-05-25 10:00+02:00", "2026-05-25T08:00:00.000000Z"),
            ("2026-05-25T10:00:00.25Z", "2026-05-25T10:00:00.250000Z"),
            ("2026-05-25T10:00:00,123Z", "2026-05-25T10:00:00.123000Z"),
            ("2026-05-25T10:00:00.123456789", "2026-05-25T10:00:00.123456Z"),
            ("2026-W22-1", "2026-05-25T00:00:00.000000Z"),
            ("2999-01-01", "2999-01-01T00:00:00.000000Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31", "9999-12-31T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999Z"),
            ("9999-W52-5", "9999-12-31T00:00:00.000000Z"),
            ("253402300799", "9999-12-31T23:59:59.000000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(parse_time(text, now()).map(|moment| moment.to_string()), Ok(moment.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_when() {
        for (text, why) in [
            ("", "is no time"),
            ("d", "is no time"),
            ("7D", "is no time"),
            ("7M", "is no time"),
            ("1.5d", "is no time"),
            ("-5d", "is no time"),
            ("+5d", "is no time"),
            (" 7d", "is no time"),
            ("7d ", "is no time"),
            ("7 d", "is no time"),
            ("1d12h", "is no time"),
            ("1_000d", "is no time"),
            ("٣d", "is no time"),
            ("1e3", "is no time"),
            ("1e40", "is no time"),
            ("nan", "is no time"),
            ("inf", "is no time"),
            ("-1", "is no time"),
            ("+5", "is no time"),
            ("1_000", "is no time"),
            ("1716595200 ", "is no time"),
            ("1.", "is no time"),
            (".5", "is no time"),
            ("2026-13-01", "is no time"),
            ("2026-02-30", "is no time"),
            ("2026-05-25T25:00", "is no time"),
            ("2026-05-25T10:00+24:00", "is no time"),
            ("2026-05-25T10:00-25:00", "is no time"),
            ("2026-05-25T10:00:00+25:59:59", "is no time"),
            ("2026-05-25T10:00:00+02:00[Europe/Berlin]", "is no time"),
            ("yesterday", "is no time"),
            ("253402300800", "beyond the year 9999"),
            ("1716595200000", "not milliseconds"),
            ("99999999999999999999999999", "beyond the year 9999"),
            ("3000y", "beyond the year 0001"),
            ("9223372036854775807s", "beyond the year 0001"),
            ("999999999999y", "too large"),
            ("99999999999999999999s", "too large"),
            ("-000001-01-01", "not in the years"),
            ("0000-12-31", "not in the years"),
            ("0001-01-01T00:00+00:01", "not in the years"),
            ("9999-12-31T23:59-00:01", "not in the years"),
        ] {
            let error = parse_time(text, now()).expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("expected"), "{text:?}: {error}");
            assert!(error.starts_with(&format!("{text:?}")), "{text:?}: {error}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("1", 1),
            ("3600", 3600),
            ("10s", 10),
            ("90m", 5400),
            ("2h", 7200),
            ("180d", 15_552_000),
            ("1w", 604_800),
            ("2y", 63_115_200),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration() {
        for (text, why) in [
            ("", "is no duration"),
            ("0", "is zero"),
            ("0d", "is zero"),
            ("000", "is zero"),
            ("-5", "negative"),
            ("-5d", "negative"),
            ("+5", "is no duration"),
            ("1.5", "is no duration"),
            ("1_000", "is no duration"),
            (" 5", "is no duration"),
            ("7D", "is no duration"),
            ("2026-05-25", "is no duration"),
            ("999999999999y", "too large"),
            ("99999999999999999999", "too large"),
        ] {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("expected"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_cutoff_is_in_the_past_and_in_range() {
        assert_eq!(cutoff(Duration::from_secs(3600), now()), Ok("2026-05-25T11:00:00.5Z".parse().unwrap()));
        for age in [Duration::ZERO, Duration::from_nanos(999)] {
            assert!(cutoff(age, now()).expect_err("no age").to_string().contains("no time at all"));
        }
        for text in ["3000y", "9223372036854775807", "18446744073709551615"] {
            let error = cutoff(parse_duration(text).unwrap(), now()).expect_err(text).to_string();
            assert!(error.contains("beyond the year 0001"), "{error}");
        }
    }

    #[test]
    fn an_error_shows_what_was_given_harmlessly() {
        let error = parse_time("\u{1b}[2J\u{202e}", now()).expect_err("no time").to_string();
        assert!(error.starts_with(r#""\u{1b}[2J\u{202e}" is no time"#), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in "\\PC*|[0-9]{0,25}[smhdwy.]?|[0-9TZ:+., -]{0,40}|[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}[Z+-]?[0-9:]{0,5}",
            micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(),
        ) {
            let now = Timestamp::from_micros(micros).expect("in range");
            let _ = parse_time(&text, now);
            if let Ok(age) = parse_duration(&text) && let Ok(cutoff) = cutoff(age, now) {
                prop_assert!(cutoff < now);
            }
        }

        #[test]
        fn what_a_timestamp_prints_is_a_when(micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()) {
            let moment = Timestamp::from_micros(micros).expect("in range");
            prop_assert_eq!(parse_time(&moment.to_string(), now()), Ok(moment));
        }
    }
}
