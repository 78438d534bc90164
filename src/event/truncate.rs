//! Visible truncation of values that are longer than their limit.
//!
//! A truncated value ends in a note with the original length and SHA-256, so that a copy kept elsewhere can be matched.
//! U+0000, which PostgreSQL cannot store, becomes U+FFFD.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::hex;

/// Makes `text` fit: without U+0000 and no longer than `limit` bytes.
///
/// ```
/// use tower_audit::event::truncate;
///
/// assert_eq!(truncate("short", 128), "short");
/// let long = "x".repeat(1_000_000);
/// let cut = truncate(&long, 128);
/// assert!(cut.len() <= 128 && cut.contains("[cut: 1000000 bytes, sha256 "));
/// ```
pub fn truncate(text: &str, limit: usize) -> Cow<'_, str> {
    if fits(text, limit) {
        return Cow::Borrowed(text);
    }
    shorten(text, limit)
}

/// Returns true if `text` is without U+0000 and no longer than `limit` bytes, as nearly every text is.
#[inline]
pub(super) fn fits(text: &str, limit: usize) -> bool {
    text.len() <= limit && !has_nul(text.as_bytes())
}

#[cold]
fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() > limit {
        return Cow::Owned(with_digest(text.as_bytes(), text, limit));
    }
    let clean = text.replace('\0', "\u{fffd}");
    // A replacement is longer than what it replaces, so that the clean text may be too long by now.
    if clean.len() > limit { Cow::Owned(with_digest(text.as_bytes(), &clean, limit)) } else { Cow::Owned(clean) }
}

/// Returns true if one of the bytes is zero. Eight bytes at a time, for every text of an event is looked at: a word has a zero
/// byte if subtracting one from each of its bytes sets a high bit that was not set.
fn has_nul(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zeros_in = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    };
    // The last word overlaps the one before.
    let Some(last) = bytes.last_chunk() else { return bytes.contains(&0) };
    bytes.as_chunks().0.iter().fold(zeros_in(last), |zeros, word| zeros | zeros_in(word)) != 0
}

/// Truncates bytes that may not be UTF-8; invalid ones become U+FFFD.
pub fn truncate_bytes(bytes: &[u8], limit: usize) -> Cow<'_, str> {
    if bytes.len() <= limit
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return truncate(text, limit);
    }
    // A long value is read no further than it can be shown: lossy conversion triples its length at most.
    let shown = &bytes[..bytes.len().min(limit.max(1))];
    let lossy = String::from_utf8_lossy(shown);
    if bytes.len() <= limit && lossy.len() <= limit && !lossy.as_bytes().contains(&0) {
        return lossy;
    }
    Cow::Owned(with_digest(bytes, &lossy, limit))
}

/// As much of `shown` as fits, and the length and digest of the `original`.
pub(super) fn with_digest(original: &[u8], shown: &str, limit: usize) -> String {
    let mut note = format!("…[cut: {} bytes, sha256 ", original.len());
    note.push_str(hex::encode(&Sha256::digest(original), &mut [0; 64]));
    note.push(']');
    let mut room = limit.saturating_sub(note.len());
    // The replacement of U+0000 takes three bytes; a third of the room is enough text to be sure that it fits.
    let mut text = String::with_capacity(limit);
    for character in shown.chars() {
        let character = if character == '\0' { '\u{fffd}' } else { character };
        let Some(left) = room.checked_sub(character.len_utf8()) else { break };
        room = left;
        text.push(character);
    }
    text.push_str(&note);
    text
}

/// The beginning of a value, as an error message quotes it.
pub(crate) fn excerpt(given: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    let mut shown: String = given.chars().take(SHOWN_CHARS).collect();
    if shown.len() < given.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn clipped_text_fits_and_is_stable(text in "\\PC*|[\\x00-\\x10]{0,400}|é{0,300}", limit in 128usize..400) {
            let once = truncate(&text, limit).into_owned();
            prop_assert!(once.len() <= limit);
            prop_assert!(!once.contains('\0'));
            prop_assert_eq!(truncate(&once, limit), once.as_str());
        }

        #[test]
        fn clipped_bytes_fit(bytes in proptest::collection::vec(any::<u8>(), 0..600), limit in 128usize..400) {
            let text = truncate_bytes(&bytes, limit);
            prop_assert!(text.len() <= limit && !text.contains('\0'));
        }
    }

    #[test]
    fn a_nul_is_found_at_every_place() {
        for length in 0..40 {
            for fill in [1_u8, 0x7f, 0x80, 0x81, 0xff] {
                let mut bytes = vec![fill; length];
                assert!(!has_nul(&bytes), "{length} {fill}");
                for place in 0..length {
                    bytes[place] = 0;
                    assert!(has_nul(&bytes), "{length} {fill} {place}");
                    bytes[place] = fill;
                }
            }
        }
    }

    #[test]
    fn a_cut_names_length_and_digest() {
        let cut = truncate(&"a".repeat(1_000_000), 512).into_owned();
        assert!(cut.starts_with("aaaa"));
        assert!(
            cut.ends_with(
                "…[cut: 1000000 bytes, sha256 cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0]"
            ),
            "{cut}"
        );
    }
}
