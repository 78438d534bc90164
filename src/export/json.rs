//! JSON: an array with one event a line, or one event.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::{EventFormat, is_unsafe_to_display};
use crate::event::AuditEvent;

/// A JSON array, written in any number of pages.
#[derive(Debug, Default)]
pub struct JsonArray {
    is_open: bool,
}

impl EventFormat for JsonArray {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        for event in events {
            self.begin_event(out)?;
            out.write_all(to_json(event)?.as_bytes())?;
        }
        Ok(())
    }

    fn takes_json(&self) -> bool {
        true
    }

    fn write_json(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        self.begin_event(out)?;
        write_safe_json(json, out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.is_open { b"\n]\n" } else { b"[]\n" })
    }
}

impl JsonArray {
    fn begin_event(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.is_open { b",\n" } else { b"[\n" })?;
        self.is_open = true;
        Ok(())
    }
}

/// Writes JSON whose characters that are unsafe to display are escaped.
pub(super) fn write_safe_json(json: &str, out: &mut dyn Write) -> io::Result<()> {
    if needs_no_escape(json.as_bytes()) {
        return out.write_all(json.as_bytes());
    }
    out.write_all(escape_unsafe_chars(json.to_owned()).as_bytes())
}

/// Serializes a value as JSON in one line.
///
/// # Errors
/// The value is no JSON; an event always is.
pub fn to_json(value: &impl Serialize) -> io::Result<String> {
    Ok(escape_unsafe_chars(serde_json::to_string(value)?))
}

/// Serializes a value as indented JSON.
///
/// # Errors
/// The value is no JSON; an event always is.
pub fn to_json_pretty(value: &impl Serialize) -> io::Result<String> {
    Ok(escape_unsafe_chars(serde_json::to_string_pretty(value)?))
}

/// Writes characters that are unsafe to display as JSON escapes, which leaves the value unchanged.
///
/// Valid JSON has them in strings only; a line feed is between values.
pub(crate) fn escape_unsafe_chars(json: String) -> String {
    let hostile = |character: char| character != '\n' && is_unsafe_to_display(character);
    if needs_no_escape(json.as_bytes()) || !json.contains(hostile) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if hostile(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Returns true for printable ASCII and line feeds. It tests 64 bytes at a time, which the compiler vectorizes.
fn needs_no_escape(text: &[u8]) -> bool {
    const AT_ONCE: usize = 64;
    let plain = |byte: &u8| *byte == b'\n' || matches!(byte, b' '..=b'~');
    text.chunks(AT_ONCE).all(|chunk| chunk.iter().fold(true, |all, byte| all & plain(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixtures::{printed, upload};

    #[test]
    fn an_array_is_valid_in_any_number_of_pages() {
        let event = upload();
        let (none, one, two) = (&[][..], &[upload()][..], &[upload(), upload()][..]);
        for (pages, count) in [(&[none][..], 0), (&[one], 1), (&[two, one], 3), (&[one, none], 1)] {
            let text = printed(JsonArray::default(), pages);
            let read: Vec<AuditEvent> = serde_json::from_str(&text).unwrap();
            assert_eq!(read, vec![event.clone(); count]);
            assert!(text.ends_with("]\n"));
            assert_eq!(text.lines().count(), if count == 0 { 1 } else { count + 2 });
        }
    }

    #[test]
    fn plain_is_what_has_nothing_hostile_in_ascii() {
        for byte in 0..=u8::MAX {
            let mut text = [b'a'; 100];
            text[70] = byte;
            let is_safe = byte.is_ascii() && (byte == b'\n' || !is_unsafe_to_display(char::from(byte)));
            assert_eq!(needs_no_escape(&text), is_safe, "{byte:#x}");
        }
    }

    #[test]
    fn hostile_text_is_escaped_and_keeps_its_value() {
        let mut event = upload();
        let hostile = "\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{200b}\u{2028}\u{e0041}é";
        event.actor.user_email = Some(hostile.into());
        event.details.insert(hostile.into(), hostile.into());
        for text in [to_json(&event).unwrap(), to_json_pretty(&event).unwrap()] {
            assert!(!text.contains(|c: char| c != '\n' && is_unsafe_to_display(c)), "{text}");
            assert!(text.contains(r"\u202e\u200b\u2028\udb40\udc41é"), "{text}");
            assert_eq!(serde_json::from_str::<AuditEvent>(&text).unwrap(), event);
        }
    }
}
