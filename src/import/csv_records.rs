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
            let Some(record) = self.read_record()? else { return Ok(None) };
            if !record.is_blank() {
                return Ok(Some((begin, record.into_content())));
            }
        }
    }

    /// Reads the bytes of one record. None at the end of the input.
    fn read_record(&mut self) -> io::Result<Option<CsvRecord>> {
        let (mut record, mut field, mut state) = (CsvRecord::default(), Vec::new(), Quote::None);
        loop {
            let Some(byte) = self.byte()? else {
                if record.size == 0 {
                    return Ok(None);
                }
                record.is_torn |= state == Quote::Open;
                break;
            };
            record.size += 1;
            match (state, byte) {
                (Quote::Open, b'"') => state = Quote::Closed,
                (Quote::Open, _) => record.push(&mut field, byte),
                (Quote::Closed, b'"') => {
                    state = Quote::Open;
                    record.push(&mut field, byte);
                }
                (_, b'\n') => break,
                (_, b',') => {
                    record.end_field(&mut field);
                    (state, record.is_last_quoted) = (Quote::None, false);
                }
                (_, b'\r') => {}
                (Quote::None, b'"') if field.is_empty() && !record.is_last_quoted => {
                    (state, record.is_last_quoted) = (Quote::Open, true);
                }
                (Quote::None, _) => record.push(&mut field, byte),
                // Text behind a quoted field.
                (Quote::Closed, _) => record.is_torn = true,
            }
        }
        record.end_field(&mut field);
        Ok(Some(record))
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

/// The bytes of one record; of one that is too long, those of its beginning.
#[derive(Debug, Default)]
struct CsvRecord {
    fields: Vec<Vec<u8>>,
    /// The number of bytes, those that were not kept included.
    size: usize,
    is_torn: bool,
    is_last_quoted: bool,
}

impl CsvRecord {
    fn push(&self, field: &mut Vec<u8>, byte: u8) {
        if self.size <= MAX_RECORD_BYTES {
            field.push(byte);
        }
    }

    /// Keeps the field. Fields of a record that is too long are dropped: each comma is one, and takes more memory than its byte.
    fn end_field(&mut self, field: &mut Vec<u8>) {
        if self.size <= MAX_RECORD_BYTES {
            self.fields.push(std::mem::take(field));
        }
    }

    fn is_blank(&self) -> bool {
        self.fields.len() == 1 && self.fields[0].is_empty() && !self.is_last_quoted
    }

    fn into_content(self) -> Result<Vec<String>, Rejection> {
        if self.size > MAX_RECORD_BYTES {
            return Err(Rejection::TooLong);
        }
        if self.is_torn {
            return Err(Rejection::Torn);
        }
        self.fields.into_iter().map(|field| String::from_utf8(field).map_err(|_| Rejection::NotCsv)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_commas_beyond_the_limit_keeps_no_more_fields() {
        let text = ",".repeat(MAX_RECORD_BYTES + 100_000) + "\na,b\n";
        let mut records = CsvRecords::new(text.as_bytes());
        let record = records.read_record().unwrap().unwrap();
        assert_eq!(record.fields.len(), MAX_RECORD_BYTES);
        assert!(matches!(record.into_content(), Err(Rejection::TooLong)));
        let (line, fields) = records.next_record().unwrap().unwrap();
        assert_eq!((line, fields.unwrap()), (2, vec!["a".to_owned(), "b".to_owned()]));
    }
}
