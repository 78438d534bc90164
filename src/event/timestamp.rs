//! The time of an event.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EventError;

/// A moment in UTC, to the microsecond, in the years 0001 to 9999.
///
/// Written by RFC 3339 with six fractional digits and `Z`, always: `2026-05-25T12:00:00.123456Z`.
///
/// ```
/// use tower_audit::Timestamp;
///
/// let time: Timestamp = "2026-05-25T14:00:00+02:00".parse()?;
/// assert_eq!(time.to_string(), "2026-05-25T12:00:00.000000Z");
/// # Ok::<(), tower_audit::EventError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment, `0001-01-01T00:00:00.000000Z`: what every store and reader can represent.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// The latest moment, `9999-12-31T23:59:59.999999Z`.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The current time.
    pub fn now() -> Self {
        Self::from_micros_clamped(crate::clock::now_micros())
    }

    /// The moment this many microseconds after 1970-01-01T00:00Z, or `None` outside of [`MIN`](Self::MIN) to
    /// [`MAX`](Self::MAX).
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(Self(micros)) }
    }

    /// The microseconds since 1970-01-01T00:00Z; negative before.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment this much later, cut to the microsecond; none after [`MAX`](Self::MAX).
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        Self::from_micros(self.0.checked_add(i64::try_from(duration.as_micros()).ok()?)?)
    }

    /// The moment this much earlier, cut to the microsecond; none before [`MIN`](Self::MIN).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_audit::Timestamp;
    /// use tower_audit::query::Filter;
    ///
    /// let last_hour = Filter::new().since(Timestamp::now().checked_sub(Duration::from_secs(3600)));
    /// ```
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        Self::from_micros(self.0.checked_sub(i64::try_from(duration.as_micros()).ok()?)?)
    }

    /// The moment of a civil time; digits beyond the microsecond are cut. A leap second, `23:59:60`, is the second before
    /// it: Unix time has none.
    pub(crate) fn from_civil(civil: DateTime, offset: Offset) -> Option<Self> {
        const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        let since_epoch = civil.duration_since(EPOCH).as_nanos() - i128::from(offset.seconds()) * 1_000_000_000;
        Self::from_micros(i64::try_from(since_epoch.div_euclid(1000)).ok()?)
    }

    pub(crate) fn from_micros_clamped(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The 27 characters of the textual form, without an allocation.
    pub(crate) fn to_text(self) -> [u8; 27] {
        let days = self.0.div_euclid(MICROS_PER_DAY);
        let mut rest = self.0.rem_euclid(MICROS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        write_digits(&mut text[0..4], year);
        write_digits(&mut text[5..7], month);
        write_digits(&mut text[8..10], day);
        write_digits(&mut text[20..26], rest % 1_000_000);
        rest /= 1_000_000;
        write_digits(&mut text[17..19], rest % 60);
        write_digits(&mut text[14..16], rest / 60 % 60);
        write_digits(&mut text[11..13], rest / 3600);
        text
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Writes `value` right-aligned, in decimal, over the zeros in `digits`.
fn write_digits(digits: &mut [u8], mut value: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Days since 1970-01-01 to year, month and day of the proleptic Gregorian calendar, counted in eras of 400 years
/// that begin on the first of March. A property test holds it against `jiff`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`civil_from_days`], for any month and day of it.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Digits beyond the microsecond are cut, towards the past. Fails outside of the years 0001 to 9999.
impl TryFrom<SystemTime> for Timestamp {
    type Error = EventError;

    fn try_from(time: SystemTime) -> Result<Self, EventError> {
        let micros = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).ok(),
            Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1000)).ok().and_then(i64::checked_neg),
        };
        micros.and_then(Self::from_micros).ok_or_else(|| EventError::timestamp(&format!("{time:?}")))
    }
}

/// Fails where the platform's clock does not reach: on Windows before the year 1601.
impl TryFrom<Timestamp> for SystemTime {
    type Error = EventError;

    fn try_from(time: Timestamp) -> Result<Self, EventError> {
        let distance = Duration::from_micros(time.0.unsigned_abs());
        let moment = if time.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        moment.ok_or_else(|| EventError::timestamp(&time.to_string()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number that these digits are; none if there is something else.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// The moment in a text of the one form that is written here, as nearly every text is; none if it is in another form.
fn from_own_text(text: &[u8]) -> Option<Timestamp> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        mo1,
        mo2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        mi1,
        mi2,
        b':',
        s1,
        s2,
        b'.',
        fraction @ ..,
        b'Z',
    ] = text
    else {
        return None;
    };
    if fraction.len() != 6 {
        return None;
    }
    let year = digits(&[*y1, *y2, *y3, *y4])?;
    let [month, day] = [digits(&[*mo1, *mo2])?, digits(&[*d1, *d2])?];
    let [hour, minute, second] = [digits(&[*h1, *h2])?, digits(&[*mi1, *mi2])?, digits(&[*s1, *s2])?];
    let days = days_from_civil(year, month, day);
    // A day beyond the end of its month comes back as one of the next month.
    if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Timestamp::from_micros(seconds * 1_000_000 + digits(fraction)?)
}

/// Returns true for an offset of less than 24 hours; longer ones are no RFC 3339 (section 5.6, `time-hour`).
pub(crate) fn is_of_a_day(offset: &Offset) -> bool {
    offset.seconds().abs() < 24 * 60 * 60
}

/// Reads RFC 3339, with any offset; digits beyond the microsecond are cut, and a leap second is the second before it.
impl FromStr for Timestamp {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        if let Some(moment) = from_own_text(text.as_bytes()) {
            return Ok(moment);
        }
        let civil = || {
            let pieces = Pieces::parse(text).ok()?;
            let offset = pieces.to_numeric_offset().filter(is_of_a_day)?;
            Self::from_civil(pieces.date().to_datetime(pieces.time()?), offset)
        };
        civil().ok_or_else(|| EventError::timestamp(text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in RFC 3339")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_agrees_with_jiff_and_round_trips(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let time = Timestamp(micros);
            let text = time.to_string();
            prop_assert_eq!(text.len(), 27);
            prop_assert_eq!(from_own_text(text.as_bytes()), Some(time));
            let civil: DateTime = text.trim_end_matches('Z').parse().unwrap();
            prop_assert_eq!(Timestamp::from_civil(civil, Offset::UTC), Some(time));
            if let Ok(jiff) = jiff::Timestamp::from_microsecond(micros) {
                prop_assert_eq!(&text, &format!("{jiff:.6}"));
            }
        }

        #[test]
        fn both_ways_to_read_agree(
            text in "(00[0-9]{2}|20[0-9]{2}|9999)-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{6}Z",
        ) {
            let jiff = text.parse::<jiff::Timestamp>().ok().map(|jiff| jiff.as_microsecond());
            let read = text.parse::<Timestamp>().ok().map(Timestamp::as_micros);
            // The last hours of 9999 are beyond jiff's, and the first year is 0001.
            let is_beyond = text.starts_with("9999-12-3") || text.starts_with("0000");
            prop_assert!(read == jiff || is_beyond, "{} {:?} {:?}", text, read, jiff);
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(Timestamp::MAX.0 + 1), None);
        for (text, moment) in [
            ("9999-12-31T23:59:59.9999999Z", Some(Timestamp::MAX)),
            ("9999-12-31T22:59:59.999999-01:00", Some(Timestamp::MAX)),
            ("9999-12-31T23:59:59-00:01", None),
            ("0001-01-01T00:00:00+00:00", Some(Timestamp::MIN)),
            ("0001-01-01T00:00:00+00:01", None),
            ("0000-12-31T23:59:59.999999Z", None),
        ] {
            assert_eq!(text.parse().ok(), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_and_what_is_one_in_another_form() {
        for text in [
            "2026-02-29T00:00:00.000000Z",
            "2026-00-01T00:00:00.000000Z",
            "2026-05-25T24:00:00.000000Z",
            "2026-05-25",
            "2026-05-25T10:00:00",
            "",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        let noon: Timestamp = "2026-05-25T12:00:00.000000Z".parse().unwrap();
        for text in
            ["2026-05-25T12:00:00Z", "2026-05-25T14:00:00+02:00", "2026-05-25t12:00:00z", "2026-05-25T12:00:00-00:00"]
        {
            assert_eq!(text.parse(), Ok(noon), "{text}");
        }
        let leap: Timestamp = "2016-12-31T23:59:60.5Z".parse().unwrap();
        assert_eq!(leap, "2016-12-31T23:59:59.5Z".parse().unwrap());
    }

    #[test]
    fn it_is_a_time_of_the_system_and_comes_back() {
        for micros in [Timestamp::MIN.0, -1_500_000, -1, 0, 1, 1_780_000_000_123_456, Timestamp::MAX.0] {
            let time = Timestamp(micros);
            assert_eq!(SystemTime::try_from(time).and_then(Timestamp::try_from), Ok(time));
        }
        let before = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(Timestamp::try_from(before), Ok(Timestamp(-1)));
        assert_eq!(Timestamp::try_from(UNIX_EPOCH + Duration::from_nanos(1999)), Ok(Timestamp(1)));
        let late = SystemTime::try_from(Timestamp::MAX).unwrap() + Duration::from_micros(1);
        assert!(Timestamp::try_from(late).is_err());
    }

    #[test]
    fn it_is_moved_within_its_years_alone() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp(0).checked_sub(second), Some(Timestamp(-1_000_000)));
        assert_eq!(Timestamp(0).checked_add(Duration::from_nanos(1999)), Some(Timestamp(1)));
        assert_eq!(Timestamp::MAX.checked_add(second), None);
        assert_eq!(Timestamp::MIN.checked_sub(second), None);
        assert_eq!(Timestamp(0).checked_add(Duration::MAX), None);
    }

    /// RFC 3339 section 5.6: `time-numoffset` has hours to 23 and minutes to 59.
    #[test]
    fn any_offset_of_the_standard_is_read() {
        for (text, utc) in [
            ("2026-05-25T12:00:00+05:45", Some("2026-05-25T06:15:00Z")),
            ("2026-05-25T12:00:00-03:30", Some("2026-05-25T15:30:00Z")),
            ("2026-05-25T12:00:00+14:00", Some("2026-05-24T22:00:00Z")),
            ("2026-05-25T12:00:00-12:00", Some("2026-05-26T00:00:00Z")),
            ("2026-05-25T12:00:00+23:59", Some("2026-05-24T12:01:00Z")),
            ("2026-05-25T12:00:00-23:59", Some("2026-05-26T11:59:00Z")),
            ("2026-03-01T00:30:00.000001+01:00", Some("2026-02-28T23:30:00.000001Z")),
            ("2026-05-25T12:00:00+24:00", None),
            ("2026-05-25T12:00:00-24:00", None),
            ("2026-05-25T12:00:00+25:00", None),
            ("2026-05-25T12:00:00+05:60", None),
            ("2026-05-25T12:00:00+5:00", None),
        ] {
            let utc = utc.map(|utc| utc.parse::<Timestamp>().unwrap());
            assert_eq!(text.parse::<Timestamp>().ok(), utc, "{text}");
        }
    }
}
