//! Text that others chose, made safe to look at.
//!
//! A terminal acts on some characters (ESC sequences, carriage returns), shows others in another order than they are
//! stored (bidirectional controls), and shows some not at all. Each of them is written as `\u{…}` instead, so that what
//! is seen is what is there. JSON output keeps its value: there, the same characters take JSON's own escapes.

use std::borrow::Cow;

use tower_audit::export::{SanitizedPiece, SanitizedText};

/// Makes `text` safe to be shown in one line.
pub(crate) fn sanitize_line(text: &str) -> Cow<'_, str> {
    shown(text, SanitizedText::new(text))
}

/// Makes `text` safe to be shown in a table cell: also escapes blanks that look like a column border.
pub(crate) fn sanitize_cell(text: &str) -> Cow<'_, str> {
    shown(text, SanitizedText::new(text).escape_blanks())
}

fn shown<'a>(text: &'a str, pieces: SanitizedText<'a>) -> Cow<'a, str> {
    if pieces.clone().all(|piece| matches!(piece, SanitizedPiece::Plain(_))) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for piece in pieces {
        match piece {
            SanitizedPiece::Plain(plain) => shown.push_str(plain),
            SanitizedPiece::Escaped(character) => shown.extend(character.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays() {
        for text in ["", "alice@example.org", "/users/{id}", r"CORP\alice", "Zoë 日本語 שלום", "e\u{301}t", "a b"]
        {
            assert_eq!(sanitize_line(text), text);
            assert_eq!(sanitize_cell(text), text);
        }
    }

    #[test]
    fn escape_sequence_that_clears_the_screen() {
        assert_eq!(sanitize_line("\u{1b}[2J\u{1b}[1;1H"), r"\u{1b}[2J\u{1b}[1;1H");
    }

    #[test]
    fn eight_bit_escape_sequence() {
        assert_eq!(sanitize_line("\u{9b}31mred"), r"\u{9b}31mred");
    }

    #[test]
    fn carriage_return_that_overwrites_the_line() {
        assert_eq!(sanitize_line("mallory\ralice"), r"mallory\u{d}alice");
    }

    #[test]
    fn line_feed_that_forges_a_row() {
        assert_eq!(sanitize_line("x\n2026-05-25"), r"x\u{a}2026-05-25");
        assert_eq!(sanitize_line("x\u{2028}y\u{2029}z\u{85}"), r"x\u{2028}y\u{2029}z\u{85}");
    }

    #[test]
    fn backspace_that_deletes_what_was_there() {
        assert_eq!(sanitize_line("403\u{8}\u{8}\u{8}200\u{7f}"), r"403\u{8}\u{8}\u{8}200\u{7f}");
    }

    #[test]
    fn right_to_left_override_that_reverses_a_name() {
        assert_eq!(sanitize_line("\u{202e}ecila"), r"\u{202e}ecila");
        assert_eq!(sanitize_line("\u{2066}a\u{2069}\u{61c}"), r"\u{2066}a\u{2069}\u{61c}");
    }

    #[test]
    fn bell_that_annoys() {
        assert_eq!(sanitize_line("\u{7}"), r"\u{7}");
    }

    #[test]
    fn osc_52_that_writes_the_clipboard() {
        assert_eq!(sanitize_line("\u{1b}]52;c;cm0gLXJm\u{7}"), r"\u{1b}]52;c;cm0gLXJm\u{7}");
    }

    #[test]
    fn osc_8_that_hides_a_link() {
        assert_eq!(sanitize_line("\u{1b}]8;;http://x\u{1b}\\"), "\\u{1b}]8;;http://x\\u{1b}\\");
    }

    #[test]
    fn zero_width_characters_that_make_a_twin() {
        assert_eq!(sanitize_line("ali\u{200b}ce\u{feff}\u{ad}"), r"ali\u{200b}ce\u{feff}\u{ad}");
        assert_eq!(sanitize_line("a\u{2060}\u{3164}\u{2800}"), r"a\u{2060}\u{3164}\u{2800}");
    }

    #[test]
    fn tags_that_smuggle_text() {
        assert_eq!(sanitize_line("ok\u{e0041}\u{e007f}"), r"ok\u{e0041}\u{e007f}");
    }

    #[test]
    fn blanks_that_are_none() {
        assert_eq!(sanitize_line("a\u{a0}b\u{3000}c\td"), r"a\u{a0}b\u{3000}c\u{9}d");
    }

    #[test]
    fn blanks_that_forge_a_column() {
        assert_eq!(sanitize_cell(" a  b "), r"\u{20}a \u{20}b\u{20}");
        assert_eq!(sanitize_line(" a  b "), " a  b ");
    }

    #[test]
    fn marks_that_pile_up() {
        let shown = sanitize_line("\u{301}a\u{301}\u{301}\u{301}\u{301}\u{301}").into_owned();
        assert_eq!(shown, "\\u{301}a\u{301}\u{301}\u{301}\\u{301}\\u{301}");
    }
}
