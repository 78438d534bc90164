//! JSON lines: one event a line.

use std::io::{self, Write};

use super::json::write_safe_json;
use super::{EventFormat, to_json};
use crate::event::AuditEvent;

/// JSON lines. Strings have no line separator, not even U+2028, which JSON would allow.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it has no state: `Jsonl` is the value")]
pub struct Jsonl;

impl EventFormat for Jsonl {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        for event in events {
            out.write_all(to_json(event)?.as_bytes())?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn takes_json(&self) -> bool {
        true
    }

    fn write_json(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        write_safe_json(json, out)?;
        out.write_all(b"\n")
    }

    fn finish(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixtures::{printed, upload};

    #[test]
    fn a_line_is_an_event() {
        assert_eq!(printed(Jsonl, &[&[]]), "");
        let mut hostile = upload();
        hostile.actor.user_email = Some("a\nb\u{2028}c\u{85}d".into());
        let text = printed(Jsonl, &[&[upload(), hostile.clone()], &[upload()]]);
        let read: Vec<AuditEvent> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, [upload(), hostile, upload()]);
        assert!(!text.contains(['\u{2028}', '\u{85}']));
    }
}
