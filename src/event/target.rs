//! The object that an event was about: `order/7`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::details::{self, Details, truncate_map};
use super::extensible_struct::once;
use super::limits::{MAX_TARGET_EXTRA_BYTES, MAX_TARGET_ID_BYTES, MAX_TARGET_LABEL_BYTES, MAX_TARGET_TYPE_BYTES};
use super::truncate::{fits, truncate};
use super::{BorrowedText, CompactText, EventError, hex};

/// An object that an event was about: its type, its id, and optionally a label for people.
///
/// Its text form is `TYPE/ID`: the type ends at the first `/`, and an id may contain more of them. [`FromStr`] reads it,
/// [`Display`](fmt::Display) writes it.
///
/// ```
/// use tower_audit::event::Target;
///
/// let order = Target::new("order", 7).with_label("Order of Alice");
/// assert_eq!(order.to_string(), "order/7");
///
/// let file: Target = "file/etc/hosts".parse()?;
/// assert_eq!((file.target_type.as_str(), file.id.as_str()), ("file", "etc/hosts"));
/// assert!("order".parse::<Target>().is_err());
/// # Ok::<(), tower_audit::EventError>(())
/// ```
///
/// # Limits
/// A type is a name of at most 64 lower-case letters, digits, `.`, `_` and `-`. [`new`](Self::new) makes one of any text:
/// letters of ASCII become lower case, other characters `_`, and a long type is cut to 47 bytes, `-` and 16 digits of its SHA-256.
/// An id has 1 to 256 bytes, a label 256; longer ones are [cut visibly](super::truncate). An empty id becomes U+FFFD.
/// [`AuditEvent::truncate_to_limits`](super::AuditEvent::truncate_to_limits) makes fields that were set directly fit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Target {
    /// The type, such as `order`; `type` in JSON.
    pub target_type: CompactText,
    /// The id among those of its type.
    pub id: CompactText,
    /// A name for people; it identifies nothing.
    pub label: Option<CompactText>,
    /// Fields of a later version of the format, kept as they were read.
    pub extra: Details,
}

impl Target {
    /// The names that the format has for itself in this object.
    pub(super) const NAMES: &'static [&'static str] = &["type", "id", "label"];

    /// The longest [text form](Self), in bytes.
    pub const MAX_TEXT_BYTES: usize = MAX_TARGET_TYPE_BYTES + 1 + MAX_TARGET_ID_BYTES;

    /// A target of this type and id, made to fit the [limits](Self#limits).
    pub fn new(target_type: impl Into<CompactText>, id: impl fmt::Display) -> Self {
        let mut target =
            Self { target_type: target_type.into(), id: CompactText::display(&id), label: None, extra: Details::new() };
        target.truncate_to_limits();
        target
    }

    /// Sets the label. An empty one is none.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<CompactText>) -> Self {
        self.label = Some(label.into());
        self.truncate_to_limits();
        self
    }

    /// Returns true if both are the same object: type and id are equal.
    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.target_type == other.target_type
    }

    /// Returns true if every part fits its limit, so that [`truncate_to_limits`](Self::truncate_to_limits) has nothing to do. One with
    /// `extra` is not looked at so closely.
    pub(super) fn fits(&self) -> bool {
        is_type(&self.target_type)
            && !self.id.is_empty()
            && fits(&self.id, MAX_TARGET_ID_BYTES)
            && self.label.as_ref().is_none_or(|label| !label.is_empty() && fits(label, MAX_TARGET_LABEL_BYTES))
            && self.extra.is_empty()
    }

    /// Makes every part fit its limit. Doing it twice changes nothing more.
    pub(super) fn truncate_to_limits(&mut self) {
        if self.fits() {
            return;
        }
        if !is_type(&self.target_type) {
            self.target_type = type_of(&self.target_type);
        }
        if self.id.is_empty() {
            self.id = "\u{fffd}".into();
        } else if let Cow::Owned(fitting) = truncate(&self.id, MAX_TARGET_ID_BYTES) {
            self.id = fitting.into();
        }
        if let Some(label) = &self.label {
            if label.is_empty() {
                self.label = None;
            } else if let Cow::Owned(fitting) = truncate(label, MAX_TARGET_LABEL_BYTES) {
                self.label = Some(fitting.into());
            }
        }
        truncate_map(&mut self.extra, Self::NAMES, MAX_TARGET_EXTRA_BYTES);
    }
}

/// Returns true if the text is a type as it stands.
fn is_type(text: &str) -> bool {
    (1..=MAX_TARGET_TYPE_BYTES).contains(&text.len()) && text.bytes().all(is_type_byte)
}

fn is_type_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')
}

/// Returns the type that stands for a text that is none.
fn type_of(text: &str) -> CompactText {
    const DIGITS: usize = 16;
    const KEPT_BYTES: usize = MAX_TARGET_TYPE_BYTES - 1 - DIGITS;
    let mapped = text.chars().map(|character| match u8::try_from(character.to_ascii_lowercase()) {
        Ok(byte) if is_type_byte(byte) => char::from(byte),
        _ => '_',
    });
    // One more than fits tells that there are more.
    let mut name: String = mapped.take(MAX_TARGET_TYPE_BYTES + 1).collect();
    if name.is_empty() {
        name.push('_');
    }
    if name.len() > MAX_TARGET_TYPE_BYTES {
        name.truncate(KEPT_BYTES);
        name.push('-');
        name.push_str(&hex::encode(&Sha256::digest(text.as_bytes()), &mut [0; 64])[..DIGITS]);
    }
    name.into()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.target_type, self.id)
    }
}

/// Reads the text form. An id that is over its limit is cut as in an event, so that it is equal to the one that is stored.
impl FromStr for Target {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        match text.split_once('/') {
            Some((target_type, id)) if is_type(target_type) && !id.is_empty() => Ok(Self::new(target_type, id)),
            _ => Err(EventError::target(text)),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.target_type)?;
        map.serialize_entry("id", &self.id)?;
        if let Some(label) = &self.label {
            map.serialize_entry("label", label)?;
        }
        for (key, value) in &*details::apart(&self.extra, Self::NAMES) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a target: an object with `type` and `id`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
        let (mut target_type, mut id, mut label) = (None, None, None);
        let mut extra = Details::new();
        let mut seen = [false; Target::NAMES.len()];
        while let Some(BorrowedText(key)) = map.next_key()? {
            if let Some((field, seen)) = Target::NAMES.iter().zip(&mut seen).find(|(field, _)| **field == key) {
                once(seen, field)?;
            }
            match key.as_ref() {
                "type" => target_type = Some(map.next_value()?),
                "id" => id = Some(map.next_value()?),
                "label" => label = map.next_value()?,
                _ => {
                    let value = map.next_value()?;
                    extra.insert(key.into_owned(), value);
                }
            }
        }
        Ok(Target {
            target_type: target_type.ok_or_else(|| A::Error::missing_field("type"))?,
            id: id.ok_or_else(|| A::Error::missing_field("id"))?,
            label,
            extra,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn any_text_makes_a_target_that_its_text_form_reads_back(
            target_type in "\\PC{0,70}|[\\x00-/a-zA-Z._-]{0,200}", id in "\\PC{0,20}|[\\x00-\\x10é/]{0,400}",
        ) {
            let target = Target::new(target_type, &id);
            prop_assert!(is_type(&target.target_type), "{:?}", target.target_type);
            prop_assert!((1..=MAX_TARGET_ID_BYTES).contains(&target.id.len()) && !target.id.contains('\0'));
            let text = target.to_string();
            prop_assert!(text.len() <= Target::MAX_TEXT_BYTES);
            prop_assert_eq!(&text.parse::<Target>().unwrap(), &target);
            let mut again = target.clone();
            again.truncate_to_limits();
            prop_assert_eq!(&again, &target);
            let json = serde_json::to_string(&target).unwrap();
            prop_assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target);
        }
    }

    #[test]
    fn a_text_that_is_no_type_is_made_one() {
        let types = |text: &str| Target::new(text, 1).target_type.to_string();
        assert_eq!(
            [types("order"), types("Order"), types("Order Item"), types("a/b\0é")],
            ["order", "order", "order_item", "a_b__"]
        );
        assert_eq!(types(""), "_");
        let (long, other) = ("x".repeat(65), "x".repeat(66));
        assert_eq!(types(&long).len(), MAX_TARGET_TYPE_BYTES);
        assert_ne!(types(&long), types(&other), "they are told apart by their digest");
    }

    #[test]
    fn text_that_is_no_target_is_refused_with_the_right_form() {
        for bad in ["", "order", "/7", "order/", "Order/7", "or der/7", &format!("{}/7", "x".repeat(65))] {
            let error = bad.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("TYPE/ID"), "{error}");
        }
        assert_eq!("a/b//c/".parse::<Target>().unwrap(), Target::new("a", "b//c/"));
    }

    #[test]
    fn an_id_that_was_cut_is_found_by_the_whole_of_it() {
        let id = "7".repeat(10_000);
        let stored = Target::new("order", &id);
        assert!(stored.id.contains("…[cut: 10000 bytes, sha256 "));
        assert_eq!(format!("order/{id}").parse::<Target>().unwrap(), stored);
    }

    #[test]
    fn json_is_read_strictly_where_it_is_known_and_kept_where_it_is_not() {
        let given = json!({"type": "order", "id": "7", "label": "L", "region": "eu", "n": [1]});
        let target: Target = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(target.extra["region"], "eu");
        assert_eq!(serde_json::to_value(&target).unwrap(), given);
        for bad in [
            r#"{"type":"order"}"#,
            r#"{"id":"7"}"#,
            r#"{"type":"order","id":7}"#,
            r#"{"type":null,"id":"7"}"#,
            r#"{"type":"order","id":"7","id":"8"}"#,
            r#"{"type":"order","type":"order","id":"7"}"#,
            r#"{"type":"order","id":"\ud800"}"#,
            r#""order/7""#,
            "7",
        ] {
            assert!(serde_json::from_str::<Target>(bad).is_err(), "{bad}");
        }
    }
}
