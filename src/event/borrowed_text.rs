//! Text that is borrowed while an event is read.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer};

/// A text that is borrowed where it can be. `Cow` is a copy always.
#[derive(Debug)]
pub(crate) struct BorrowedText<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for BorrowedText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = BorrowedText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<BorrowedText<'de>, E> {
        Ok(BorrowedText(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BorrowedText<'de>, E> {
        Ok(BorrowedText(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<BorrowedText<'de>, E> {
        Ok(BorrowedText(Cow::Owned(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        let read = |json| serde_json::from_str::<BorrowedText<'_>>(json).unwrap().0;
        assert!(matches!(read("\"actor\""), Cow::Borrowed("actor")));
        assert!(matches!(read("\"act\\u006fr\""), Cow::Owned(text) if text == "actor"));
        let value = serde_json::Value::from("actor");
        assert_eq!(BorrowedText::deserialize(&value).unwrap().0, "actor");
    }
}
