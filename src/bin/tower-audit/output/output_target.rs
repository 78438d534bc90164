//! The terminal, pipe or file that output goes to, and its formats.

use std::io::{self, IsTerminal as _};

use tower_audit::export::{Csv, EventFormat, JsonArray, Jsonl};

use super::history::History;
use super::pretty_json::IndentedArray;
use super::table::Table;
use crate::args::Format;
use crate::error::CliError;
use crate::sanitize::sanitize_line;

/// The destination of the output: a terminal, or a pipe or file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputTarget {
    /// The width of the terminal; `None` if the output is no terminal.
    terminal_columns: Option<usize>,
    colour: bool,
}

impl OutputTarget {
    /// Detects the destination of standard output.
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

    /// Returns a CSV writer. On a terminal, it escapes control characters.
    pub(crate) fn csv(self) -> Csv {
        if self.is_terminal() { Csv::with_sanitizer(sanitize_line) } else { Csv::new() }
    }

    pub(crate) fn is_terminal(self) -> bool {
        self.terminal_columns.is_some()
    }

    pub(crate) fn default_format(self) -> Format {
        if self.is_terminal() { Format::Table } else { Format::Json }
    }

    /// Returns the default format of `tail`, whose events arrive one by one.
    pub(crate) fn default_stream_format(self) -> Format {
        if self.is_terminal() { Format::Table } else { Format::Jsonl }
    }

    /// Returns a formatter for events that arrive one by one: a table has typical column widths.
    pub(crate) fn stream(self, format: Format) -> Box<dyn EventFormat> {
        match format {
            Format::Table => Box::new(Table::new(self.terminal_columns, self.colour).with_typical_widths()),
            format => self.listing(format),
        }
    }

    /// Returns a [`listing`](Self::listing), or one of indented JSON if `indent` is set.
    pub(crate) fn indented_listing(
        self,
        format: Option<Format>,
        indent: Option<u8>,
    ) -> Result<Box<dyn EventFormat>, CliError> {
        match (format, indent) {
            (format, None) => Ok(self.listing(format.unwrap_or_else(|| self.default_format()))),
            (None | Some(Format::Json), Some(blanks)) => Ok(Box::new(IndentedArray::new(blanks.into()))),
            (Some(_), Some(_)) => Err(CliError::Usage("--indent: only --format json has more than one line".into())),
        }
    }

    /// Returns an [`indented_listing`](Self::indented_listing) whose table has the changes of each event.
    pub(crate) fn history(self, format: Option<Format>, indent: Option<u8>) -> Result<Box<dyn EventFormat>, CliError> {
        match format.unwrap_or_else(|| self.default_format()) {
            Format::Table if indent.is_none() => Ok(Box::new(History::new(self.terminal_columns, self.colour))),
            _ => self.indented_listing(format, indent),
        }
    }

    pub(crate) fn listing(self, format: Format) -> Box<dyn EventFormat> {
        match format {
            Format::Json => Box::<JsonArray>::default(),
            Format::Jsonl => Box::new(Jsonl),
            Format::Csv => Box::new(self.csv()),
            Format::Table => Box::new(Table::new(self.terminal_columns, self.colour)),
        }
    }
}

fn terminal_columns() -> usize {
    // Width of a terminal that does not tell its own.
    const USUAL: usize = 80;
    match terminal_size::terminal_size() {
        Some((terminal_size::Width(columns), _)) if columns > 0 => usize::from(columns),
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{printed, upload};
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
