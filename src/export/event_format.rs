//! A format of events.

use std::io::{self, Write};

use crate::event::AuditEvent;

/// A listing that is written page by page, in constant memory.
pub trait EventFormat {
    /// Writes one page.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()>;

    /// Writes what comes after the last page. There was a page before, perhaps an empty one.
    ///
    /// # Errors
    /// Those of `out`.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
}
