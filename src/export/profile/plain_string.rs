//! Text without the characters that a format refuses.

use std::borrow::Cow;

/// Replaces control characters and noncharacters by U+FFFD: a `String` of CloudEvents has none of them.
pub(super) fn plain_string(text: &str) -> Cow<'_, str> {
    if text.contains(is_refused) { text.replace(is_refused, "\u{fffd}").into() } else { text.into() }
}

fn is_refused(character: char) -> bool {
    character.is_control() || matches!(character, '\u{fdd0}'..='\u{fdef}') || u32::from(character) & 0xfffe == 0xfffe
}
