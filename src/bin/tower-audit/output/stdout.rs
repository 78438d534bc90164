//! How events are printed.

mod atomic_file;
mod indented;
mod table;

pub(crate) use atomic_file::AtomicFile;
pub(crate) use indented::indented;
pub(crate) use table::{BOLD, PLAIN, RED, YELLOW, cell, ellipsize};

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};

use tower_audit::export::{Csv, EventFormat, JsonArray, Jsonl};

use crate::args::Format;
use crate::error::CliError;
use crate::sanitize::sanitize_line;

/// Standard output, locked and buffered. Errors come back as values, so that a reader that goes away ends the program
/// quietly.
pub(crate) struct Stdout(BufWriter<StdoutLock<'static>>);

impl Stdout {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, io::stdout().lock()))
    }
}

impl Stdout {
    /// Whether nobody can read what would be written: the other end of the pipe is closed.
    #[cfg(unix)]
    pub(crate) fn is_unread(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        // Whether it is a broken pipe is told whatever is asked for.
        matches!(poll(&mut fds, Some(&at_once)), Ok(1..)) && fds[0].revents().contains(PollFlags::ERR)
    }

    /// Found out by writing.
    #[cfg(not(unix))]
    pub(crate) fn is_unread(&self) -> bool {
        false
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What the output goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputTarget {
    /// How many columns the terminal has, if it is one.
    terminal_columns: Option<usize>,
    colour: bool,
}

impl OutputTarget {
    /// What standard output goes to.
    pub(crate) fn stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            terminal_columns: is_terminal.then(terminal_columns),
            // https://no-color.org
            colour: is_terminal && !dumb && !set("NO_COLOR"),
        }
    }

    /// A file, of which nobody looks at the bytes.
    pub(crate) fn file() -> Self {
        Self { terminal_columns: None, colour: false }
    }

    pub(crate) fn columns(self) -> Option<usize> {
        self.terminal_columns
    }

    pub(crate) fn has_colour(self) -> bool {
        self.colour
    }

    /// What writes records of CSV.
    pub(crate) fn csv(self) -> Csv {
        if self.is_terminal() { Csv::with_sanitizer(sanitize_line) } else { Csv::new() }
    }

    pub(crate) fn is_terminal(self) -> bool {
        self.terminal_columns.is_some()
    }

    pub(crate) fn default_format(self) -> Format {
        if self.is_terminal() { Format::Table } else { Format::Json }
    }

    /// The same for events that come one after the other.
    pub(crate) fn default_stream_format(self) -> Format {
        if self.is_terminal() { Format::Table } else { Format::Jsonl }
    }

    /// What prints events of which the first few tell little about those to come.
    pub(crate) fn stream(self, format: Format) -> Box<dyn EventFormat> {
        match format {
            Format::Table => Box::new(table::Table::new(self.terminal_columns, self.colour).with_typical_widths()),
            format => self.listing(format),
        }
    }

    /// The same as [`listing`](Self::listing), but for JSON that is to be indented.
    pub(crate) fn indented_listing(
        self,
        format: Option<Format>,
        indent: Option<u8>,
    ) -> Result<Box<dyn EventFormat>, CliError> {
        match (format, indent) {
            (format, None) => Ok(self.listing(format.unwrap_or_else(|| self.default_format()))),
            (None | Some(Format::Json), Some(blanks)) => Ok(Box::new(indented::IndentedArray::new(blanks.into()))),
            (Some(_), Some(_)) => Err(CliError::Usage("--indent: only --format json has more than one line".into())),
        }
    }

    pub(crate) fn listing(self, format: Format) -> Box<dyn EventFormat> {
        match format {
            Format::Json => Box::<JsonArray>::default(),
            Format::Jsonl => Box::new(Jsonl),
            Format::Csv => Box::new(self.csv()),
            Format::Table => Box::new(table::Table::new(self.terminal_columns, self.colour)),
        }
    }
}

fn terminal_columns() -> usize {
    // What a terminal has that does not say.
    const USUAL: usize = 80;
    match terminal_size::terminal_size() {
        Some((terminal_size::Width(columns), _)) if columns > 0 => usize::from(columns),
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{printed, upload};
    use super::*;

    #[test]
    fn csv_on_a_terminal_has_no_control_characters() {
        let mut event = upload();
        event.actor.user_email = Some("\u{1b}[2J\r\u{202e}x".into());
        for (columns, is_safe) in [(Some(80), true), (None, false)] {
            let target = OutputTarget { terminal_columns: columns, colour: false };
            let mut out = Vec::new();
            target.listing(Format::Csv).write_page(std::slice::from_ref(&event), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.contains(r"\u{1b}[2J\u{d}\u{202e}x"), is_safe, "{text}");
            // In a file a line end is one.
            assert_eq!(text.contains("\\u{1b}[2J\r\\u{202e}x"), !is_safe, "{text}");
        }
        assert!(!printed(Csv::with_sanitizer(sanitize_line), &[&[event]]).contains('\u{1b}'));
    }
}

/// What the tests of this folder share.
#[cfg(test)]
mod samples {
    use tower_audit::export::EventFormat;
    use tower_audit::{Actor, AuditEvent, EventId, EventType};

    /// The event of the contract.
    pub(super) fn upload() -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.event_id = EventId::from_u128(0x0199_a700_0000_7000_8000_0000_0000_0001);
        event.created_at = "2026-05-25T12:00:00.123456Z".parse().unwrap();
        event.actor = Actor::user("alice@example.org");
        event.actor.remote_addr = Some("192.0.2.7".into());
        event.resource.route = Some("/scans".into());
        event.resource.method = Some("POST".into());
        event.outcome = Some(200);
        event
    }

    /// What `listing` prints of these pages.
    pub(super) fn printed(mut listing: impl EventFormat, pages: &[&[AuditEvent]]) -> String {
        let mut out = Vec::new();
        for page in pages {
            listing.write_page(page, &mut out).unwrap();
        }
        listing.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}
