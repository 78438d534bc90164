//! How events are printed.

mod csv;
pub(crate) mod json;
mod jsonl;
mod table;

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};

use tower_audit::AuditEvent;

use crate::args::Format;

/// Standard output, locked and buffered. Errors come back as values, so that a reader that goes away ends the program
/// quietly.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, io::stdout().lock()))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A listing that is printed page by page, in constant memory.
pub(crate) trait Listing {
    /// Prints one page.
    fn page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()>;

    /// Prints what comes after the last page. There was a page before, perhaps an empty one.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// What the output goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// How many columns the terminal has, if it is one.
    terminal_columns: Option<usize>,
    colour: bool,
}

impl Target {
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

    pub(crate) fn is_terminal(self) -> bool {
        self.terminal_columns.is_some()
    }

    pub(crate) fn default_format(self) -> Format {
        if self.is_terminal() { Format::Table } else { Format::Json }
    }

    pub(crate) fn listing(self, format: Format) -> Box<dyn Listing> {
        match format {
            Format::Json => Box::<json::JsonArray>::default(),
            Format::Jsonl => Box::new(jsonl::JsonLines),
            Format::Csv => Box::new(csv::Csv::new(self.is_terminal())),
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

/// Events for the tests of this folder.
#[cfg(test)]
mod samples {
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
    pub(super) fn printed(mut listing: impl super::Listing, pages: &[&[AuditEvent]]) -> String {
        let mut out = Vec::new();
        for page in pages {
            listing.page(page, &mut out).unwrap();
        }
        listing.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}
