//! Lines of any length, in bounded memory.

use std::io::{self, BufRead};

use super::Rejection;
use super::raw_record::{MAX_RECORD_BYTES, Numbered};

/// Lines with their numbers. Blank ones are left out.
#[derive(Debug)]
pub(super) struct RecordLines<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> RecordLines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    /// Returns the next line that is not blank, without blanks and U+0000 around it, and its number.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Numbered<Vec<u8>>>> {
        loop {
            let mut line = Vec::new();
            let mut is_too_long = false;
            let mut has_bytes = false;
            loop {
                let chunk = match self.input.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    chunk => chunk?,
                };
                if chunk.is_empty() {
                    break;
                }
                has_bytes = true;
                let end = chunk.iter().position(|byte| *byte == b'\n');
                let part = &chunk[..end.unwrap_or(chunk.len())];
                if line.len() + part.len() > MAX_RECORD_BYTES {
                    is_too_long = true;
                    line.clear();
                }
                if !is_too_long {
                    line.extend_from_slice(part);
                }
                let used = end.map_or(chunk.len(), |end| end + 1);
                self.input.consume(used);
                if end.is_some() {
                    break;
                }
            }
            if !has_bytes {
                return Ok(None);
            }
            self.line += 1;
            if is_too_long {
                return Ok(Some((self.line, Err(Rejection::TooLong))));
            }
            let content = trimmed(&line);
            if !content.is_empty() {
                return Ok(Some((self.line, Ok(content.to_vec()))));
            }
        }
    }
}

/// A file whose room was allocated ahead ends with zeros.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let begin = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(begin, |last| last + 1);
    &line[begin..end]
}
