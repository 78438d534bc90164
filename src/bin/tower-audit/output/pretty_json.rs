//! `--indent`: JSON in many lines.

use std::io::{self, Write};

use tower_audit::AuditEvent;
use tower_audit::export::{EventFormat, to_json_pretty};

/// An array of events in many lines.
#[derive(Debug)]
pub(super) struct IndentedArray {
    blanks: usize,
    has_begun: bool,
}

impl IndentedArray {
    pub(super) fn new(blanks: usize) -> Self {
        Self { blanks, has_begun: false }
    }
}

impl EventFormat for IndentedArray {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        for event in events {
            out.write_all(if self.has_begun { b",\n" } else { b"[\n" })?;
            self.has_begun = true;
            out.write_all(indented(event, self.blanks, 1)?.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.has_begun { b"\n]\n" } else { b"[]\n" })
    }
}

/// An event in many lines, each `blanks` further to the right for every level, the first of them at `level`.
pub(crate) fn indented(event: &AuditEvent, blanks: usize, level: usize) -> io::Result<String> {
    let text = to_json_pretty(event)?;
    let lines = text.lines().map(|line| {
        // The library's own has two for each level.
        let rest = line.trim_start_matches(' ');
        format!("{:1$}{rest}", "", ((line.len() - rest.len()) / 2 + level) * blanks)
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fixtures::{printed, upload};

    #[test]
    fn levels_are_as_wide_as_was_asked_for() {
        let mut event = upload();
        event.details.insert("text".into(), "  two\n  lines".into());
        for blanks in [0, 1, 4] {
            let text = printed(IndentedArray::new(blanks), &[&[event.clone()], &[upload()]]);
            let read: Vec<AuditEvent> = serde_json::from_str(&text).unwrap();
            assert_eq!(read, [event.clone(), upload()]);
            let indent = " ".repeat(2 * blanks);
            assert!(text.contains(&format!("\n{indent}\"event_id\": \"0199a7")), "{text}");
        }
        assert_eq!(printed(IndentedArray::new(2), &[&[]]), "[]\n");
    }
}
