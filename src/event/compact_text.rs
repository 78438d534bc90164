//! The text of a field.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::{SmolStr, ToSmolStr as _};

/// The text of a field: as `str` is, never changed in place, cheap to clone. Up to [23 bytes](Self::INLINE_BYTES) need
/// no memory of their own, so that the parts of most events are where the event is.
///
/// ```
/// use tower_audit::CompactText;
///
/// let text = CompactText::from("/users/{id}");
/// assert_eq!(text, "/users/{id}");
/// assert!(text.starts_with("/users"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompactText(SmolStr);

impl CompactText {
    /// The longest text without memory of its own, in bytes.
    pub const INLINE_BYTES: usize = 23;

    /// The text of a value, made without memory of its own while it is short.
    pub(crate) fn display(value: &impl fmt::Display) -> Self {
        Self(value.to_smolstr())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for CompactText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for CompactText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Equal texts have the hash and the order of their `str`.
impl Borrow<str> for CompactText {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for CompactText {
    fn from(text: &str) -> Self {
        Self(SmolStr::new(text))
    }
}

impl From<String> for CompactText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&String> for CompactText {
    fn from(text: &String) -> Self {
        Self(text.into())
    }
}

impl From<Cow<'_, str>> for CompactText {
    fn from(text: Cow<'_, str>) -> Self {
        Self(SmolStr::new(text))
    }
}

impl From<CompactText> for String {
    fn from(text: CompactText) -> Self {
        text.0.into()
    }
}

impl From<CompactText> for serde_json::Value {
    fn from(text: CompactText) -> Self {
        Self::String(text.into())
    }
}

impl PartialEq<str> for CompactText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for CompactText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for CompactText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for CompactText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for CompactText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for CompactText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = CompactText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<CompactText, E> {
                Ok(text.into())
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<CompactText, E> {
                Ok(text.into())
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
        fn a_text_is_as_its_str(text in "\\PC{0,40}") {
            let made = CompactText::from(text.as_str());
            prop_assert_eq!(made.as_str(), text.as_str());
            prop_assert_eq!(&made, &CompactText::from(text.clone()));
            prop_assert_eq!(format!("{made:?}{made:>50}"), format!("{text:?}{text:>50}"));
            let json = serde_json::to_string(&made).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&text).unwrap());
            prop_assert_eq!(serde_json::from_str::<CompactText>(&json).unwrap(), made);
        }
    }

    #[test]
    fn short_text_has_no_memory_of_its_own() {
        assert!(!CompactText::from("a".repeat(CompactText::INLINE_BYTES)).0.is_heap_allocated());
        assert_eq!(size_of::<Option<CompactText>>(), size_of::<Option<String>>());
    }
}
