//! A format of events.

use std::io::{self, Write};

use crate::event::AuditEvent;

/// A format that writes events page by page, in constant memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a format of events",
    label = "expected a format, such as `Jsonl`, `JsonArray` or `Csv`",
    note = "a format of the app's own implements `write_page` and `finish`"
)]
pub trait EventFormat {
    /// Writes one page.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()>;

    /// Returns true if the format has each event as its JSON: then [`write_json`](Self::write_json) writes one that is JSON already.
    fn takes_json(&self) -> bool {
        false
    }

    /// Writes an event that is JSON in one line, if the format [takes](Self::takes_json) it.
    ///
    /// # Errors
    /// Those of `out`; a format that takes no JSON.
    fn write_json(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        let _ = (json, out);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Writes the end. `write_page` was called at least once, perhaps with an empty page.
    ///
    /// # Errors
    /// Those of `out`.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
}
