//! Standard output.

use std::io::{self, BufWriter, StdoutLock, Write};

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
    /// Returns true if the reading end of the pipe is closed.
    #[cfg(unix)]
    pub(crate) fn is_unread(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        // `poll` reports ERR, a broken pipe, without being asked for it.
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

/// Prints text that others may have written; its lines are kept.
pub(crate) fn print_lines(text: &str) -> Result<(), CliError> {
    let mut out = Stdout::new();
    let lines: Vec<_> = text.split('\n').map(sanitize_line).collect();
    out.write_all(lines.join("\n").as_bytes())?;
    out.flush()?;
    Ok(())
}
