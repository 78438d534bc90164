//! Untrusted text, made safe to display.

use unicode_width::UnicodeWidthChar as _;

use super::is_unsafe_to_display;

/// A piece of a text: plain, or a character to be escaped.
///
/// Exhaustive: a piece that is shown in neither way would be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a piece that is shown in neither way would be lost")]
pub enum SanitizedPiece<'a> {
    /// Safe to display.
    Plain(&'a str),
    /// Unsafe to display: show it as `\u{202e}`, set apart from plain text that looks alike.
    Escaped(char),
}

/// Splits a text into pieces to be shown plain or escaped.
///
/// Terminals and browsers act on some characters, show others in another order than they are stored (bidirectional
/// controls), and show some not at all ([`is_unsafe_to_display`]). So do marks without end on one character: from the fourth on
/// they are escaped.
///
/// ```
/// use tower_audit::export::{SanitizedPiece, SanitizedText};
///
/// let pieces: Vec<_> = SanitizedText::new("ali\u{200b}ce").collect();
/// assert_eq!(pieces, [SanitizedPiece::Plain("ali"), SanitizedPiece::Escaped('\u{200b}'), SanitizedPiece::Plain("ce")]);
/// ```
#[derive(Debug, Clone)]
pub struct SanitizedText<'a> {
    remaining: &'a str,
    escape_blanks: bool,
    marks: usize,
    after_blank: bool,
}

/// The largest number of marks on one character, enough for every living script. Further marks are escaped.
const MAX_MARKS: usize = 3;

impl<'a> SanitizedText<'a> {
    /// The pieces of a text.
    pub fn new(text: &'a str) -> Self {
        // At the start, a mark would stack on what was shown before the text.
        Self { remaining: text, escape_blanks: false, marks: MAX_MARKS, after_blank: true }
    }

    /// Blanks that could pass for the border of a column are escaped, too: those at either end, and all but the first
    /// of several.
    #[must_use]
    pub fn escape_blanks(mut self) -> Self {
        self.escape_blanks = true;
        self
    }

    /// Returns true if the character is to be escaped; `is_last`: no character follows.
    fn needs_escape(&mut self, character: char, is_last: bool) -> bool {
        let blank_at_border = character == ' ' && self.escape_blanks && (self.after_blank || is_last);
        let is_mark = !character.is_ascii() && character.width() == Some(0);
        if is_unsafe_to_display(character) || blank_at_border || (is_mark && self.marks == MAX_MARKS) {
            (self.marks, self.after_blank) = (MAX_MARKS, false);
            return true;
        }
        self.marks = if is_mark { self.marks + 1 } else { 0 };
        self.after_blank = character == ' ';
        false
    }
}

impl<'a> Iterator for SanitizedText<'a> {
    type Item = SanitizedPiece<'a>;

    fn next(&mut self) -> Option<SanitizedPiece<'a>> {
        let mut characters = self.remaining.char_indices();
        let (_, first) = characters.next()?;
        let mut before = self.clone();
        if self.needs_escape(first, self.remaining.len() == first.len_utf8()) {
            self.remaining = characters.as_str();
            return Some(SanitizedPiece::Escaped(first));
        }
        let end = loop {
            before.clone_from(self);
            let at = self.remaining.len() - characters.as_str().len();
            match characters.next() {
                None => break at,
                Some((_, next)) if self.needs_escape(next, characters.as_str().is_empty()) => {
                    // It is the next piece, and is judged again.
                    break at;
                }
                Some(_) => {}
            }
        };
        let (plain, rest) = self.remaining.split_at(end);
        *self = Self { remaining: rest, ..before };
        Some(SanitizedPiece::Plain(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(pieces: SanitizedText<'_>) -> String {
        pieces
            .map(|piece| match piece {
                SanitizedPiece::Plain(text) => text.to_owned(),
                SanitizedPiece::Escaped(character) => format!("<{:x}>", u32::from(character)),
            })
            .collect()
    }

    #[test]
    fn what_is_not_safe_is_escaped_and_nothing_else() {
        for (text, expected) in [
            ("", ""),
            ("Zoë 日本語 שלום", "Zoë 日本語 שלום"),
            ("\u{202e}ecila", "<202e>ecila"),
            ("x\r\ny\u{2028}", "x<d><a>y<2028>"),
            ("a\u{301}\u{301}\u{301}\u{301}\u{301}b", "a\u{301}\u{301}\u{301}<301><301>b"),
            ("\u{301}a", "<301>a"),
            (" a  b ", " a  b "),
        ] {
            assert_eq!(shown(SanitizedText::new(text)), expected);
        }
        assert_eq!(shown(SanitizedText::new(" a  b ").escape_blanks()), "<20>a <20>b<20>");
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_whole(text in "[a \u{301}\u{202e}é\n]{0,20}", blanks: bool) {
            let pieces = if blanks { SanitizedText::new(&text).escape_blanks() } else { SanitizedText::new(&text) };
            let mut whole = String::new();
            let mut after_plain = false;
            for piece in pieces {
                match piece {
                    SanitizedPiece::Plain(plain) => {
                        prop_assert!(!plain.is_empty() && !after_plain && !plain.contains(is_unsafe_to_display));
                        whole.push_str(plain);
                    }
                    SanitizedPiece::Escaped(character) => whole.push(character),
                }
                after_plain = matches!(piece, SanitizedPiece::Plain(_));
            }
            prop_assert_eq!(whole, text);
        }
    }
}
