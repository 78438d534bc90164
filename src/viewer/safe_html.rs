//! Untrusted text as HTML.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;

use crate::export::{SanitizedPiece, SanitizedText, escape_unsafe_chars};

/// Untrusted text, shown as text. `<bdi>` isolates its direction, unsafe characters are shown escaped in boxes, and long
/// text is cut with an ellipsis.
#[derive(Debug, Clone, Copy)]
pub(super) struct SafeText<'a> {
    text: &'a str,
    at_most: usize,
}

/// The largest number of characters in a table cell.
const LINE_CHARS: usize = 80;

/// The largest number of characters on a page: the size limit of an event.
const MOST_CHARS: usize = 65_536;

impl<'a> SafeText<'a> {
    /// Cuts the text to a table cell.
    pub(super) fn line(text: &'a str) -> Self {
        Self { text, at_most: LINE_CHARS }
    }

    /// Cuts the text to three lines.
    pub(super) fn beginning(text: &'a str) -> Self {
        Self { text, at_most: 3 * LINE_CHARS }
    }

    /// Cuts the text to the limit of a page.
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text, at_most: MOST_CHARS }
    }

    /// Returns true if text is left out.
    pub(super) fn is_cut(&self) -> bool {
        self.text.len() > self.at_most && self.text.char_indices().nth(self.at_most).is_some()
    }

    /// Returns the number of characters.
    pub(super) fn chars(&self) -> usize {
        self.text.chars().count()
    }
}

impl fmt::Display for SafeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.text.char_indices().nth(self.at_most).map(|(at, _)| at);
        f.write_str("<bdi>")?;
        write_visible(f, &self.text[..end.unwrap_or(self.text.len())])?;
        f.write_str(if end.is_some() { "<span class=\"cut\">…</span></bdi>" } else { "</bdi>" })
    }
}

/// Safe because `Display` escapes the text.
impl HtmlSafe for SafeText<'_> {}

/// Indented JSON as HTML.
#[derive(Debug, Clone)]
pub(super) struct PrettyJson(String);

impl PrettyJson {
    pub(super) fn of(value: &impl serde::Serialize) -> Self {
        // An event is valid JSON.
        Self(escape_unsafe_chars(serde_json::to_string_pretty(value).unwrap_or_default()))
    }

    /// Returns true if text is left out.
    pub(super) fn is_cut(&self) -> bool {
        self.0.len() > MOST_CHARS
    }
}

impl fmt::Display for PrettyJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.char_indices().nth(MOST_CHARS).map_or(self.0.as_str(), |(end, _)| &self.0[..end]);
        for (n, line) in shown.split('\n').enumerate() {
            f.write_str(if n == 0 { "" } else { "\n" })?;
            write_visible(f, line)?;
        }
        Ok(())
    }
}

/// Safe because `Display` escapes the text.
impl HtmlSafe for PrettyJson {}

fn write_visible(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for piece in SanitizedText::new(text) {
        match piece {
            SanitizedPiece::Plain(plain) => write_escaped(f, plain)?,
            SanitizedPiece::Escaped(character) => {
                write!(f, "<span class=\"odd\">{}</span>", character.escape_unicode())?;
            }
        }
    }
    Ok(())
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['<', '>', '&', '"', '\'']) {
        f.write_str(&rest[..at])?;
        f.write_str(match rest.as_bytes()[at] {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    f.write_str(rest)
}

/// A number with commas between thousands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thousands(pub(super) u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

impl HtmlSafe for Thousands {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text_and_what_hides_is_seen() {
        let text = SafeText::line("<b a='\"'>&\u{202e}\u{0}").to_string();
        let expected = "<bdi>&lt;b a=&#39;&quot;&#39;&gt;&amp;<span class=\"odd\">\\u{202e}</span>\
                        <span class=\"odd\">\\u{0}</span></bdi>";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let long = "é".repeat(130);
        assert!(SafeText::line(&long).is_cut() && !SafeText::whole(&long).is_cut());
        assert_eq!(SafeText::line(&long).to_string().matches('é').count(), 80);
        assert!(!SafeText::line(&"é".repeat(80)).is_cut());
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Thousands(number).to_string(), text);
        }
    }
}
