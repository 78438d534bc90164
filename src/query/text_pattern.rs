//! Text patterns with `*` as a wildcard.

use std::fmt;
use std::str::FromStr;

use crate::event::excerpt;
use crate::event::limits::MAX_DETAIL_STRING_BYTES;

/// A text pattern. In its textual form `*` matches any run of characters, an empty one too. Every other character matches
/// itself, case-sensitively, also `%`, `_` and `?`. A backslash escapes `*`, `!` and a backslash.
///
/// No pattern matches a missing value, not even `*`.
///
/// ```
/// use tower_audit::query::TextPattern;
///
/// assert!("/scans*".parse::<TextPattern>()?.matches("/scans/{id}"));
/// assert!(r"CORP\\*".parse::<TextPattern>()?.matches(r"CORP\alice"));
/// assert!(!TextPattern::exact("a*").matches("ab"));
/// assert_eq!(TextPattern::exact("a*").to_string(), r"a\*");
/// # Ok::<(), tower_audit::query::FilterError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TextPattern {
    /// The literals around the stars: one more than there are stars.
    literals: Vec<String>,
}

/// The largest number of `*`: each makes a pattern more expensive for a database.
const MAX_STARS: usize = 8;

impl TextPattern {
    /// The longest textual form in bytes: the longest value of an event, with every character escaped.
    pub const MAX_BYTES: usize = 2 * MAX_DETAIL_STRING_BYTES;

    /// Matches exactly this text.
    pub fn exact(text: impl Into<String>) -> Self {
        Self { literals: vec![text.into()] }
    }

    /// Matches every text with this prefix.
    pub fn prefix(text: impl Into<String>) -> Self {
        Self { literals: vec![text.into(), String::new()] }
    }

    /// Matches any text, but not a missing one.
    pub fn any() -> Self {
        Self::prefix("")
    }

    /// Returns true if the text matches.
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.literals.as_slice() else {
            return self.as_exact() == Some(text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for literal in middle {
            // The leftmost place leaves the most for what comes after.
            match rest.find(literal.as_str()) {
                Some(at) => rest = &rest[at + literal.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// Returns the text if the pattern has no star.
    pub fn as_exact(&self) -> Option<&str> {
        match self.literals.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Returns the literals around the stars: one more than there are stars.
    pub fn literals(&self) -> &[String] {
        &self.literals
    }
}

impl From<&str> for TextPattern {
    /// Matches exactly this text.
    fn from(text: &str) -> Self {
        Self::exact(text)
    }
}

impl From<String> for TextPattern {
    /// Matches exactly this text.
    fn from(text: String) -> Self {
        Self::exact(text)
    }
}

/// Parses the textual form. Fails if a backslash is before a character that needs no escape, a `!` at the beginning is not
/// escaped, or the text has more than 8 `*` or [`MAX_BYTES`](TextPattern::MAX_BYTES).
impl FromStr for TextPattern {
    type Err = super::FilterError;

    fn from_str(text: &str) -> Result<Self, super::FilterError> {
        let wrong = |why: &str| super::FilterError::new(format!("{:?} {why}", excerpt(text)));
        if text.len() > Self::MAX_BYTES {
            return Err(wrong(&format!("has {} bytes: expected {} at the most", text.len(), Self::MAX_BYTES)));
        }
        if text.starts_with('!') {
            return Err(wrong(r"negates twice: expected \! where a text begins with one"));
        }
        let mut literals = vec![String::new()];
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let plain = match c {
                '*' => {
                    // Two stars are one.
                    if literals.len() == 1 || literals.last().is_some_and(|literal| !literal.is_empty()) {
                        literals.push(String::new());
                    }
                    continue;
                }
                '\\' => match rest.next() {
                    Some(plain @ ('*' | '!' | '\\')) => plain,
                    _ => return Err(wrong(r"has a backslash that stands for nothing: expected \\, \* or \!")),
                },
                plain => plain,
            };
            if let Some(literal) = literals.last_mut() {
                literal.push(plain);
            }
        }
        if literals.len() > MAX_STARS + 1 {
            return Err(wrong("has more than 8 *"));
        }
        Ok(Self { literals })
    }
}

/// The textual form, which [`FromStr`] reads.
impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for (place, literal) in self.literals.iter().enumerate() {
            if place > 0 {
                f.write_char('*')?;
            }
            for (at, c) in literal.char_indices() {
                if matches!(c, '*' | '\\') || (c == '!' && place == 0 && at == 0) {
                    f.write_char('\\')?;
                }
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_patterns_match() {
        for (pattern, matching, other) in [
            ("a", &["a"][..], &["", "A", "ab", "ba", "aa"][..]),
            ("a*", &["a", "ab", "a*", "a\n"], &["", "ba", "A"]),
            ("*a", &["a", "ba", "aa"], &["ab", ""]),
            ("*a*", &["a", "xay"], &["", "b"]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab"]),
            ("ab*ba", &["abba", "abxba"], &["aba", "ab"]),
            ("a*b*c", &["abc", "axbxc", "abbcc", "abcabc"], &["acb", "ac", "ab"]),
            ("a**b", &["ab", "axb"], &["a"]),
            ("*", &["", "a"], &[]),
            (r"\*", &["*"], &["", "a"]),
            (r"\!a", &["!a"], &["a"]),
            ("a!b", &["a!b"], &["ab"]),
            (r"a\\b", &[r"a\b"], &["ab"]),
            ("%_?[a]", &["%_?[a]"], &["abca", "x_?a"]),
            ("é*", &["é", "éa"], &["e\u{301}"]),
        ] {
            let pattern = TextPattern::from_str(pattern).unwrap();
            assert!(matching.iter().all(|text| pattern.matches(text)), "{pattern} and {matching:?}");
            assert!(!other.iter().any(|text| pattern.matches(text)), "{pattern} and {other:?}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for (text, why) in [("!a", "negates twice"), (r"a\b", "backslash"), ("a\\", "backslash")] {
            assert!(TextPattern::from_str(text).unwrap_err().to_string().contains(why), "{text}");
        }
        assert!(TextPattern::from_str("a*b*c*d*e*f*g*h*").is_ok());
        assert!(TextPattern::from_str("a*b*c*d*e*f*g*h*i*").unwrap_err().to_string().contains("more than 8"));
    }

    #[test]
    fn whatever_is_stored_can_be_asked_for_and_no_more() {
        use crate::event::EventType;
        use crate::event::limits::{MAX_ADDR_BYTES, MAX_ROUTE_BYTES, MAX_URI_BYTES, MAX_USER_EMAIL_BYTES};
        let limits = [MAX_USER_EMAIL_BYTES, MAX_ROUTE_BYTES, MAX_ADDR_BYTES, MAX_URI_BYTES, MAX_DETAIL_STRING_BYTES];
        for limit in limits.into_iter().chain([EventType::MAX_BYTES]) {
            let longest = TextPattern::exact("*".repeat(limit));
            assert_eq!(TextPattern::from_str(&longest.to_string()), Ok(longest));
        }
        assert!(TextPattern::from_str(&"é".repeat(4096)).is_ok());
        let error = TextPattern::from_str(&format!("{}*", "é".repeat(4096))).unwrap_err().to_string();
        assert!(error.ends_with("has 8193 bytes: expected 8192 at the most") && error.len() < 300, "{error}");
    }

    /// The plainest way to say what a pattern in its textual form matches.
    fn matches_slowly(pattern: &str, text: &str) -> bool {
        let (mut pattern_after, mut text_after) = (pattern.chars(), text.chars());
        let (first, found) = (pattern_after.next(), text_after.next());
        let plain = match first {
            Some('*') => {
                let is_over = matches_slowly(pattern_after.as_str(), text);
                return is_over || (found.is_some() && matches_slowly(pattern, text_after.as_str()));
            }
            Some('\\') => pattern_after.next(),
            plain => plain,
        };
        plain == found && (plain.is_none() || matches_slowly(pattern_after.as_str(), text_after.as_str()))
    }

    proptest! {
        #[test]
        fn the_textual_form_is_read_back(text in r"[ab*!\\é]{0,12}") {
            if let Ok(pattern) = TextPattern::from_str(&text) {
                prop_assert_eq!(TextPattern::from_str(&pattern.to_string()).unwrap(), pattern);
            }
            let exactly = TextPattern::exact(text.clone());
            prop_assert!(exactly.matches(&text));
            prop_assert_eq!(TextPattern::from_str(&exactly.to_string()).unwrap(), exactly);
        }

        #[test]
        fn matching_agrees_with_the_plainest_way(pattern in r"([aAé%*]|\\[*!\\]){0,8}", text in r"[aAé%*!\\]{0,6}") {
            prop_assert_eq!(TextPattern::from_str(&pattern).unwrap().matches(&text), matches_slowly(&pattern, &text));
        }

        #[test]
        fn stars_agree_with_the_plainest_way(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(TextPattern::from_str(&pattern).unwrap().matches(&text), matches_slowly(&pattern, &text));
        }
    }
}
