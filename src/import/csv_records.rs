//! Records of CSV, by RFC 4180; line feeds alone end a record as well.

use std::io::{self, BufRead};

use super::Rejection;
use super::raw_record::{MAX_RECORD_BYTES, Numbered};

/// Records with the lines at which they begin.
#[derive(Debug)]
pub(super) struct CsvRecords<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> CsvRecords<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1 }
    }

    /// Returns the next record that is not blank, and its line.
    ///
    /// A quote that does not end takes everything behind it: a value may look like any number of records.
    pub(super) fn next_record(&mut self) -> io::Result<Option<Numbered<Vec<String>>>> {
        loop {
            let begin = self.line;
            let (mut fields, mut field) = (Vec::new(), Vec::new());
            let (mut state, mut size, mut is_torn, mut has_bytes) = (Quote::None, 0_usize, false, false);
            let mut was_quoted = false;
            loop {
                let Some(byte) = self.byte()? else {
                    is_torn |= state == Quote::Open;
                    break;
                };
                has_bytes = true;
                size += 1;
                match (state, byte) {
                    (Quote::Open, b'"') => state = Quote::Closed,
                    (Quote::Open, _) => push(&mut field, byte, size),
                    (Quote::Closed, b'"') => {
                        state = Quote::Open;
                        push(&mut field, byte, size);
                    }
                    (_, b'\n') => break,
                    (_, b',') => {
                        // Of a record that is too large, nothing more is kept.
                        if size <= MAX_RECORD_BYTES {
                            fields.push(std::mem::take(&mut field));
                        }
                        (state, was_quoted) = (Quote::None, false);
                    }
                    (_, b'\r') => {}
                    (Quote::None, b'"') if field.is_empty() && !was_quoted => (state, was_quoted) = (Quote::Open, true),
                    (Quote::None, _) => push(&mut field, byte, size),
                    // Text behind a quoted field.
                    (Quote::Closed, _) => is_torn = true,
                }
            }
            if !has_bytes {
                return Ok(None);
            }
            fields.push(field);
            if fields.len() == 1 && fields[0].is_empty() && !was_quoted {
                continue;
            }
            let texts: Result<Vec<_>, _> = fields.into_iter().map(String::from_utf8).collect();
            let content = match texts {
                _ if size > MAX_RECORD_BYTES => Err(Rejection::TooLong),
                _ if is_torn => Err(Rejection::Torn),
                texts => texts.map_err(|_| Rejection::NotCsv),
            };
            return Ok(Some((begin, content)));
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(chunk) => {
                    let Some(byte) = chunk.first().copied() else { return Ok(None) };
                    self.input.consume(1);
                    self.line += u64::from(byte == b'\n');
                    return Ok(Some(byte));
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quote {
    None,
    Open,
    /// A quote was read: the end of the field, or the first of two.
    Closed,
}

/// Keeps nothing of a record that is too long.
fn push(field: &mut Vec<u8>, byte: u8, size: usize) {
    if size <= MAX_RECORD_BYTES {
        field.push(byte);
    }
}
