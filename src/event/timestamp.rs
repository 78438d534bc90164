//! The time of an event.

use std::fmt;
use std::str::FromStr;

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
    /// The latest moment, `9999-12-30T22:00:00.999999Z`: the latest that has a civil time in every zone.
    pub const MAX: Self = Self(253_402_207_200_999_999);

    /// The current time.
    pub fn now() -> Self {
        crate::clock::now()
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

    pub(crate) fn from_micros_clamped(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The 27 characters of the textual form, without an allocation.
    fn to_text(self) -> [u8; 27] {
        let days = self.0.div_euclid(MICROS_PER_DAY);
        let mut rest = self.0.rem_euclid(MICROS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[20..26], rest % 1_000_000);
        rest /= 1_000_000;
        put(&mut text[17..19], rest % 60);
        put(&mut text[14..16], rest / 60 % 60);
        put(&mut text[11..13], rest / 3600);
        text
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Writes `value` right-aligned, in decimal, over the zeros in `digits`.
fn put(digits: &mut [u8], mut value: i64) {
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

/// Reads RFC 3339, with any offset; digits beyond the microsecond are cut.
impl FromStr for Timestamp {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| EventError::timestamp(text))?;
        let micros = parsed.as_nanosecond().div_euclid(1000);
        i64::try_from(micros).ok().and_then(Self::from_micros).ok_or_else(|| EventError::timestamp(text))
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
            prop_assert_eq!(text.parse::<Timestamp>().unwrap(), time);
            prop_assert_eq!(text, format!("{:.6}", jiff::Timestamp::from_microsecond(micros).unwrap()));
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.999999Z");
        assert_eq!(Timestamp::from_micros(Timestamp::MAX.0 + 1), None);
    }
}
