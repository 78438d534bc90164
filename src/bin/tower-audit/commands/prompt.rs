//! Questions at the terminal.

use std::io::{self, BufRead as _, Write as _};

use crate::error::CliError;

/// Asks at the terminal, and declines unless the answer, without the blanks around it, is right.
pub(super) fn ask(question: &str, is_right: impl FnOnce(&str) -> bool) -> Result<(), CliError> {
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(CliError::Input)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(CliError::Input)?;
    if is_right(answer.trim()) { Ok(()) } else { Err(CliError::Declined) }
}
