//! Lines of a file, with their places; none of them fills the memory.

use std::io::{self, BufRead};

/// Reads lines and counts bytes.
pub(super) struct LineReader<R> {
    source: R,
    at: u64,
    line: Vec<u8>,
    limit: usize,
}

/// A line and its place.
#[derive(Debug)]
pub(super) struct RawLine<'a> {
    /// The place of its first byte, in the uncompressed file.
    pub(super) start: u64,
    /// Its length with the line feed.
    pub(super) len: u64,
    /// Its bytes without the line feed; of a line longer than any event, the beginning.
    pub(super) bytes: &'a [u8],
    /// True if the line ends with a line feed.
    pub(super) is_whole: bool,
}

impl RawLine<'_> {
    /// Returns true if bytes of the line were left out.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes.len() as u64 + u64::from(self.is_whole) < self.len
    }
}

impl<R: BufRead> LineReader<R> {
    /// Reads lines of a source that begins at this place of the file.
    pub(super) fn new(source: R, start: u64) -> Self {
        Self { source, at: start, line: Vec::new(), limit: MAX_LINE_BYTES }
    }

    /// Reads lines to be written again: whole, or not at all.
    pub(super) fn for_copy(source: R) -> Self {
        Self { limit: MAX_COPIED_BYTES, ..Self::new(source, 0) }
    }

    /// Returns the next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.line.clear();
        let start = self.at;
        let mut is_whole = false;
        while !is_whole {
            let buffer = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            is_whole = end.is_some();
            let used = end.map_or(buffer.len(), |end| end + 1);
            let text = &buffer[..end.unwrap_or(used)];
            let room = self.limit.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.source.consume(used);
            self.at += used as u64;
        }
        let len = self.at - start;
        Ok((len > 0).then(|| RawLine { start, len, bytes: &self.line, is_whole }))
    }
}

/// Eight times the largest event: longer lines are none of this store's.
const MAX_LINE_BYTES: usize = 1 << 20;
/// The length of a line from which its file is left as it is.
const MAX_COPIED_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_ends_are_told() {
        let text = format!("a\n\n{}\nend", "x".repeat(MAX_LINE_BYTES + 5));
        let mut reader = LineReader::new(io::BufReader::with_capacity(3, text.as_bytes()), 100);
        let mut seen = Vec::new();
        while let Some(line) = reader.next().unwrap() {
            seen.push((line.start, line.len, line.bytes.len(), line.is_whole));
        }
        let long = MAX_LINE_BYTES as u64 + 6;
        assert_eq!(
            seen,
            [(100, 2, 1, true), (102, 1, 0, true), (103, long, MAX_LINE_BYTES, true), (103 + long, 3, 3, false)]
        );
    }
}
