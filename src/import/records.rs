//! The records of a file.

use std::io::{self, BufRead, Chain, Cursor, Read as _};

use super::csv_records::CsvRecords;
use super::json_elements::JsonElements;
use super::raw_record::{Content, RawRecord};
use super::record_lines::RecordLines;
use super::{ImportFormat, ImportRecord, RecordMapper};

/// The records of a file, one after the other: see [the module](super).
///
/// The layout (lines, an array, CSV) is told by the beginning of the file.
///
/// # Errors
/// An item is an error if the input cannot be read; it is the last one.
///
/// # Limits
/// One record is in memory, of at most 16 MiB, and the digests of 65,536 records, for records without ids.
#[derive(Debug)]
pub struct Records<R> {
    mapper: RecordMapper,
    layout: Layout<R>,
}

/// An input with the bytes that were read of it.
type Begun<R> = Chain<Cursor<Vec<u8>>, R>;

#[derive(Debug)]
enum Layout<R> {
    /// Nothing was read yet.
    Unknown(R),
    Lines(RecordLines<Begun<R>>),
    Array(JsonElements<Begun<R>>),
    Csv(CsvRecords<Begun<R>>),
    Ended,
}

impl<R: BufRead> Records<R> {
    /// The records of this input.
    pub fn new(format: ImportFormat, input: R) -> Self {
        Self { mapper: RecordMapper::new(format), layout: Layout::Unknown(input) }
    }

    fn next_raw(&mut self) -> io::Result<Option<RawRecord>> {
        if matches!(self.layout, Layout::Unknown(_))
            && let Layout::Unknown(input) = std::mem::replace(&mut self.layout, Layout::Ended)
        {
            self.layout = layout_of(input)?;
        }
        let json = |(line, content): (u64, Result<Vec<u8>, _>)| RawRecord { line, content: content.map(Content::Json) };
        match &mut self.layout {
            Layout::Lines(lines) => Ok(lines.next_line()?.map(json)),
            Layout::Array(elements) => Ok(elements.next_element()?.map(json)),
            Layout::Csv(records) => {
                let csv = |(line, content): (u64, Result<Vec<String>, _>)| RawRecord {
                    line,
                    content: content.map(Content::Csv),
                };
                Ok(records.next_record()?.map(csv))
            }
            Layout::Unknown(_) | Layout::Ended => Ok(None),
        }
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = io::Result<ImportRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_raw() {
                Ok(Some(raw)) => {
                    if let Some(record) = self.mapper.map(raw) {
                        return Some(Ok(record));
                    }
                }
                Ok(None) => {
                    self.layout = Layout::Ended;
                    return None;
                }
                Err(error) => {
                    self.layout = Layout::Ended;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Tells the layout by the first bytes: an array, CSV with the header of an export, or lines.
fn layout_of<R: BufRead>(mut input: R) -> io::Result<Layout<R>> {
    let mut first = Vec::new();
    input.by_ref().take(LOOKED_AT).read_to_end(&mut first)?;
    if first.starts_with(BYTE_ORDER_MARK) {
        first.drain(..BYTE_ORDER_MARK.len());
    }
    let begin = first.trim_ascii_start();
    let (is_array, is_csv) = (begin.starts_with(b"["), begin.starts_with(CSV_HEADER));
    let input = Cursor::new(first).chain(input);
    Ok(if is_array {
        Layout::Array(JsonElements::new(input))
    } else if is_csv {
        Layout::Csv(CsvRecords::new(input))
    } else {
        Layout::Lines(RecordLines::new(input))
    })
}

/// The number of bytes that tell the layout.
const LOOKED_AT: u64 = 256;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const CSV_HEADER: &[u8] = b"event_id,";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: ImportFormat, text: &str) -> Vec<(u64, bool)> {
        // One byte at a time: what is read at once means nothing.
        let input = io::BufReader::with_capacity(1, text.as_bytes());
        let records = Records::new(format, input).collect::<Result<Vec<_>, _>>().unwrap();
        records.iter().map(|record| (record.line, record.event.is_ok())).collect()
    }

    const EVENT: &str =
        r#"{"event_id":"0199a7b0000070008000000000000001","event_type":"upload","created_at":"2026-05-25T12:00:00Z"}"#;

    #[test]
    fn the_layout_is_told_by_the_beginning() {
        let csv = "event_id,event_type,created_at\r\n0199a7b0000070008000000000000001,upload,2026-05-25T12:00:00Z\r\n";
        for (text, expected) in [
            (String::new(), vec![]),
            (format!("{EVENT}\n\n{EVENT}"), vec![(1, true), (3, true)]),
            (format!("\u{feff}\n [{EVENT},\n{EVENT}]"), vec![(2, true), (3, true)]),
            (format!("\u{feff}{csv}"), vec![(2, true)]),
            (format!("{csv}short\r\n\"torn"), vec![(2, true), (3, false), (4, false)]),
            (format!("torn\n{EVENT}\n"), vec![(1, false), (2, true)]),
        ] {
            assert_eq!(lines(ImportFormat::Export, &text), expected, "{text}");
        }
    }

    #[test]
    fn a_record_without_an_end_costs_no_memory() {
        let long = "x".repeat(super::super::raw_record::MAX_RECORD_BYTES + 1);
        assert_eq!(lines_of(&format!("{long}\n{EVENT}\n")), [(1, false), (2, true)]);
        assert_eq!(lines_of(&format!("[\n{{\"a\":\"{long}\"}},\n{EVENT}\n]")), [(2, false), (3, true)]);
        assert_eq!(lines_of(&format!("event_id,event_type\n{long},a\n")), [(2, false)]);
    }

    fn lines_of(text: &str) -> Vec<(u64, bool)> {
        let records = Records::new(ImportFormat::Export, text.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        records.iter().map(|record| (record.line, record.event.is_ok())).collect()
    }
}
