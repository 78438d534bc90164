//! The sets of characters that Python has letters for.

/// The characters of `\d`, `\s`, `\w` and their opposites, as a set of the engine.
///
/// Python asks `str.isdecimal`, `str.isspace` and `str.isalnum`; the engine's own `\s` lacks U+001C to U+001F, and its `\w`
/// has marks.
pub(super) fn category(letter: char, ascii: bool) -> Option<&'static str> {
    Some(match (letter, ascii) {
        ('d', false) => r"[\p{Nd}]",
        ('D', false) => r"[^\p{Nd}]",
        ('s', false) => r"[\s\x1C-\x1F]",
        ('S', false) => r"[^\s\x1C-\x1F]",
        ('w', false) => r"[\p{L}\p{N}_]",
        ('W', false) => r"[^\p{L}\p{N}_]",
        ('d', true) => "[0-9]",
        ('D', true) => "[^0-9]",
        ('s', true) => r"[\t-\r ]",
        ('S', true) => r"[^\t-\r ]",
        ('w', true) => "[0-9A-Za-z_]",
        ('W', true) => "[^0-9A-Za-z_]",
        _ => return None,
    })
}
