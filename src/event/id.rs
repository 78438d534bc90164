//! The id of an event.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{EventError, Timestamp, hex};
use crate::clock;
use crate::random::random;

/// The id of an event: a UUID, made as version 7 (RFC 9562), so that ids sort by time.
///
/// It is written as 32 lower-case hexadecimal digits and read in any textual form of a UUID: simple, hyphenated,
/// braced, or with `urn:uuid:` before it; in any letter case.
///
/// ```
/// use tower_audit::EventId;
///
/// let id: EventId = "{0199A7B0-0000-7000-8000-000000000001}".parse()?;
/// assert_eq!(id.to_string(), "0199a7b0000070008000000000000001");
/// # Ok::<(), tower_audit::EventError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

#[expect(clippy::new_without_default, reason = "a default is a value, and this is another one each time")]
impl EventId {
    /// A new id. Each id made by a process is greater than those it made before.
    pub fn new() -> Self {
        Self::new_with_time().0
    }

    /// Returns a new id and the time it was made at: one reading of the clock, so that sorting by either agrees.
    pub(crate) fn new_with_time() -> (Self, Timestamp) {
        let stamp = clock::stamp();
        let id = Self::from_micros(stamp.id_micros, random());
        (id, Timestamp::from_micros_clamped(stamp.micros))
    }

    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits of the id.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The 16 bytes of the id, most significant first: they sort as the id does.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id with these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The 32 hexadecimal digits, without an allocation.
    pub fn to_hex(self) -> EventIdHex {
        let mut text = [0; 32];
        hex::fill(&self.to_bytes(), &mut text);
        EventIdHex(text)
    }

    /// Version 7 by method 3 of RFC 9562 section 6.2: the milliseconds, then the rest of the microsecond as a
    /// fraction of 1/4096 ms, then 62 random bits.
    pub(crate) fn from_micros(micros: i64, random: u64) -> Self {
        let micros = micros.max(0) as u128;
        let millis = (micros / 1000) & 0xffff_ffff_ffff;
        let fraction = (micros % 1000) * 4096 / 1000;
        let random = u128::from(random) & 0x3fff_ffff_ffff_ffff;
        Self(millis << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_hex().as_str())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl FromStr for EventId {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        let folded;
        let known = match text.get(..9) {
            Some(scheme) if scheme.eq_ignore_ascii_case("urn:uuid:") => {
                folded = format!("urn:uuid:{}", &text[9..]);
                folded.as_str()
            }
            _ => text,
        };
        // The library reads braces around hyphens alone.
        let known = known
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|digits| digits.len() == 32)
            .unwrap_or(known);
        match Uuid::try_parse(known) {
            Ok(uuid) => Ok(uuid.into()),
            Err(_) => Err(EventError::id(text)),
        }
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
    }
}

impl From<EventId> for Uuid {
    fn from(id: EventId) -> Self {
        Uuid::from_u128(id.0)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.to_hex().as_str())
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = EventId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EventId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The 32 digits of an [`EventId`]; see [`EventId::to_hex`].
#[derive(Clone, Copy)]
pub struct EventIdHex([u8; 32]);

impl EventIdHex {
    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for EventIdHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_textual_form_is_read() {
        let id = EventId::from_u128(0x0199_a7b0_0000_7000_8000_0000_0000_00ff);
        for text in [
            "0199a7b00000700080000000000000ff",
            "0199A7B00000700080000000000000FF",
            "0199a7b0-0000-7000-8000-0000000000ff",
            "{0199a7b0-0000-7000-8000-0000000000FF}",
            "{0199a7b00000700080000000000000Ff}",
            "urn:uuid:0199a7b0-0000-7000-8000-0000000000ff",
            "URN:UUID:0199a7b0-0000-7000-8000-0000000000ff",
        ] {
            assert_eq!(text.parse::<EventId>().unwrap(), id, "{text}");
        }
    }

    #[test]
    fn lookalikes_are_refused() {
        for text in [
            "",
            "0199a7b00000700080000000000000f",
            " 0199a7b00000700080000000000000ff",
            "{{0199a7b0-0000-7000-8000-0000000000ff}}",
            "uuid:0199a7b0-0000-7000-8000-0000000000ff",
            "{0199a7b00000700080000000000000ff",
            "{0199a7b0000070008000000000000ff}",
            "{urn:0199a7b000007000800000000000}",
            "01-99a7b00000700080000000000000ff",
            "0x99a7b00000700080000000000000ff",
            "+199a7b00000700080000000000000ff",
            "é199a7b00000700080000000000000ff",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    /// Within a process the times differ; the random bits must differ between processes.
    #[test]
    fn an_app_that_seeds_its_random_numbers_makes_no_equal_ids() {
        let draw = || {
            fastrand::seed(7);
            (0..1000).map(|_| EventId::new().as_u128() as u64).collect::<std::collections::HashSet<_>>()
        };
        assert!(draw().is_disjoint(&draw()));
    }

    #[test]
    fn version_and_variant_are_those_of_uuid_7() {
        let uuid = Uuid::from(EventId::new());
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }
}
