//! Values as parts of a message.
//!
//! Clients chose them. A value must not end its line, its field or its parameter, hide, or reorder what stands around it. So a
//! character that is unsafe to display is written as `\u{202e}`. A backslash stays as it is, except before `u{`, where it is
//! `\u{5c}`: two values never look alike, and `CORP\alice` is readable.

use std::fmt::Write as _;

use serde::Serialize;

use crate::export::{is_unsafe_to_display, to_json};

/// Appends a value to the text of a message: without blanks and quotes, so that a blank ends a field and a quote is the
/// template's own.
pub(super) fn push_token(out: &mut String, value: &str) {
    push(value, |c| matches!(c, ' ' | '"'), |piece| out.push_str(piece));
}

/// Appends the JSON of a value to the text of a message: without blanks, which leaves the value unchanged.
pub(super) fn push_json(out: &mut String, value: &impl Serialize) {
    // Compact JSON has blanks in strings only.
    out.push_str(&json(value).replace(' ', "\\u0020"));
}

/// Returns a value as compact JSON that is safe to display.
pub(super) fn json(value: &impl Serialize) -> String {
    // Parts of an event are always JSON.
    to_json(value).unwrap_or_default()
}

/// Returns a value as that of a parameter of structured data (RFC 5424 section 6.3.3), cut to `max_bytes`, and true if it
/// was cut.
pub(super) fn param_value(value: &str, max_bytes: usize) -> (String, bool) {
    let mut escaped = String::with_capacity(value.len().min(max_bytes));
    let mut end = 0;
    let mut is_cut = false;
    let mark = cut_mark(value.len());
    let room = max_bytes.saturating_sub(mark.len());
    push(
        value,
        |_| false,
        |piece| {
            for c in piece.chars() {
                if matches!(c, '"' | '\\' | ']') {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            is_cut |= escaped.len() > max_bytes;
            if escaped.len() <= room {
                end = escaped.len();
            }
        },
    );
    if is_cut {
        escaped.truncate(end);
        escaped.push_str(&mark);
    }
    (escaped, is_cut)
}

/// Returns the mark at the end of a text of this length that was cut.
pub(super) fn cut_mark(bytes: usize) -> String {
    format!("...(cut:{bytes})")
}

/// Passes on a value piece by piece: a character, or its escape.
fn push(value: &str, is_special: impl Fn(char) -> bool, mut emit: impl FnMut(&str)) {
    let mut escape = String::new();
    for (at, c) in value.char_indices() {
        let is_like_escape = c == '\\' && value[at + 1..].starts_with("u{");
        if is_unsafe_to_display(c) || is_like_escape || is_special(c) {
            escape.clear();
            // Writing to a String cannot fail.
            let _ = write!(escape, "\\u{{{:x}}}", u32::from(c));
            emit(&escape);
        } else {
            emit(c.encode_utf8(&mut [0; 4]));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `\u{…}`.
    pub(in super::super) fn unescape(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("\\u{") {
            let (code, more) = after.split_once('}').expect("an escape ends");
            out.push_str(before);
            out.push(char::from_u32(u32::from_str_radix(code, 16).expect("hex digits")).expect("a character"));
            rest = more;
        }
        out + rest
    }

    /// Reads the value of a parameter.
    pub(in super::super) fn unescape_param(text: &str) -> String {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            out.push(match c {
                '\\' => chars.next().filter(|c| matches!(c, '"' | '\\' | ']')).expect("one of three is escaped"),
                '"' | ']' => panic!("{c} ends the value {text:?}"),
                other => other,
            });
        }
        unescape(&out)
    }

    #[test]
    fn a_value_keeps_its_place() {
        for (value, token, param) in [
            ("alice", "alice", "alice"),
            ("CORP\\alice", "CORP\\alice", "CORP\\\\alice"),
            ("a b", "a\\u{20}b", "a b"),
            ("\"x\"]", "\\u{22}x\\u{22}]", "\\\"x\\\"\\]"),
            ("x\r\n<34>", "x\\u{d}\\u{a}<34>", "x\\\\u{d}\\\\u{a}<34>"),
            ("\u{202e}\u{feff}", "\\u{202e}\\u{feff}", "\\\\u{202e}\\\\u{feff}"),
            ("\\u{202e}", "\\u{5c}u{202e}", "\\\\u{5c}u{202e}"),
            ("Zoë", "Zoë", "Zoë"),
        ] {
            let mut text = String::new();
            push_token(&mut text, value);
            assert_eq!(text, token);
            assert_eq!(param_value(value, 1000), (param.to_owned(), false));
        }
        let mut text = String::new();
        push_json(&mut text, &serde_json::json!({"a b": ["\n\u{202e} \"x"]}));
        assert_eq!(text, r#"{"a\u0020b":["\n\u202e\u0020\"x"]}"#);
    }

    #[test]
    fn a_cut_value_has_a_mark_and_no_half_an_escape() {
        assert_eq!(param_value(&"a".repeat(100), 30), (format!("{}...(cut:100)", "a".repeat(18)), true));
        assert_eq!(param_value(&"\n".repeat(20), 30), ("\\\\u{a}\\\\u{a}\\\\u{a}...(cut:20)".into(), true));
        assert_eq!(param_value("]]]]]", 10).0, "\\]\\]\\]\\]\\]");
    }

    proptest! {
        #[test]
        fn values_come_back_and_are_safe(value in "\\PC*|[ -~]{0,40}|[\\x00-\\x20\\u{7f}-\\u{a0}\\\\u{}\"\\]\u{202e}\u{feff}0-9é]{0,60}") {
            let mut token = String::new();
            push_token(&mut token, &value);
            prop_assert!(!token.contains(|c: char| c == ' ' || c == '"' || is_unsafe_to_display(c)), "{}", token);
            prop_assert_eq!(unescape(&token), value.as_str());
            let (param, is_cut) = param_value(&value, 100_000);
            prop_assert!(!is_cut && !param.contains(is_unsafe_to_display));
            prop_assert_eq!(unescape_param(&param), value.as_str());
            let mut text = String::new();
            push_json(&mut text, &value);
            prop_assert!(!text.contains(|c: char| c == ' ' || is_unsafe_to_display(c)));
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value.as_str());
            for max in 20..60 {
                let (cut, is_cut) = param_value(&value, max);
                prop_assert!(cut.len() <= max && is_cut == (param.len() > max), "{} {}", max, cut);
                unescape_param(&cut);
            }
        }
    }
}
