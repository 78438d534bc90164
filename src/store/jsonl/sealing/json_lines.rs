//! A file with a line of JSON for each row, in the order of a number that each row has.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::de::DeserializeOwned;

/// A row with its number.
pub(super) trait Row: DeserializeOwned {
    fn number(&self) -> u64;

    /// The row in the place of a line that is none, behind the row with this number: a verification names it.
    fn unreadable(before: u64) -> Self;
}

/// Returns the last row of a file. A last line without its end is none: it is being written, or its writer died.
pub(super) fn last<R: Row>(path: &Path) -> io::Result<Option<R>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let end = whole_end(&file)?;
    if end == 0 {
        return Ok(None);
    }
    let start = end_before(&file, end - 1)?;
    let bytes = read(&file, start, end)?;
    match serde_json::from_slice(&bytes) {
        Ok(row) => Ok(Some(row)),
        // Somebody has edited it.
        Err(_) => {
            let before = if start == 0 { 0 } else { row_at::<R>(&file, end_before(&file, start - 1)?, start)? };
            Ok(Some(R::unreadable(before)))
        }
    }
}

fn row_at<R: Row>(file: &File, start: u64, end: u64) -> io::Result<u64> {
    Ok(serde_json::from_slice::<R>(&read(file, start, end)?).map_or(0, |row| row.number()))
}

/// Returns rows whose numbers are greater than `after`, in their order.
pub(super) fn after<R: Row>(path: &Path, after: Option<u64>, at_most: usize) -> io::Result<Vec<R>> {
    let Some(file) = open(path)? else { return Ok(Vec::new()) };
    let end = whole_end(&file)?;
    // Every row that begins before `low` is at most `after`.
    let (mut low, mut high) = (0, end);
    while let Some(after) = after
        && high - low > SCANNED_BYTES
    {
        let middle = low + (high - low) / 2;
        match next_row::<R>(&file, middle, high)? {
            Some((number, behind)) if number <= after => low = behind,
            _ => high = middle,
        }
    }
    let mut reader = reader(&file, low, end)?;
    let (mut rows, mut line, mut before) = (Vec::new(), Vec::new(), after.unwrap_or(0));
    while rows.len() < at_most {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let row = serde_json::from_slice::<R>(&line).unwrap_or_else(|_| R::unreadable(before));
        before = before.max(row.number());
        if after.is_none_or(|after| row.number() > after) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Returns the number of the first row that begins behind this place, and the place behind that row.
fn next_row<R: Row>(file: &File, from: u64, until: u64) -> io::Result<Option<(u64, u64)>> {
    let mut reader = reader(file, from, whole_end(file)?)?;
    let mut line = Vec::new();
    let mut at = from + reader.read_until(b'\n', &mut line)? as u64;
    while at < until {
        line.clear();
        let len = reader.read_until(b'\n', &mut line)?;
        if len == 0 {
            break;
        }
        at += len as u64;
        if let Ok(row) = serde_json::from_slice::<R>(&line) {
            return Ok(Some((row.number(), at)));
        }
    }
    Ok(None)
}

fn reader(mut file: &File, from: u64, until: u64) -> io::Result<BufReader<io::Take<&File>>> {
    file.seek(SeekFrom::Start(from))?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file.take(until - from)))
}

/// Returns the place behind the last line feed.
pub(super) fn whole_end(file: &File) -> io::Result<u64> {
    end_before(file, file.metadata()?.len())
}

/// Returns the place behind the last line feed before `end`.
fn end_before(file: &File, end: u64) -> io::Result<u64> {
    let mut end = end;
    while end > 0 {
        let start = end.saturating_sub(BUFFER_BYTES as u64);
        let bytes = read(file, start, end)?;
        if let Some(place) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn read(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

const BUFFER_BYTES: usize = 64 << 10;
const SCANNED_BYTES: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Numbered {
        n: u64,
    }

    impl Row for Numbered {
        fn number(&self) -> u64 {
            self.n
        }

        fn unreadable(before: u64) -> Self {
            Self { n: before + 1 }
        }
    }

    #[test]
    fn rows_are_found_by_their_numbers_and_half_a_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        assert_eq!(last::<Numbered>(&path).unwrap(), None);
        let text = |n: u64| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat((n % 700) as usize));
        let mut lines: String = (0..5000).map(|n| text(3 * n)).collect();
        lines.push_str("{\"n\":15000,");
        std::fs::write(&path, &lines).unwrap();
        assert_eq!(last::<Numbered>(&path).unwrap(), Some(Numbered { n: 14_997 }));
        for number in [0, 1, 2, 3, 4000, 7500, 14_990, 14_996] {
            let found = after::<Numbered>(&path, Some(number), 2).unwrap();
            let next = number / 3 * 3 + 3;
            assert_eq!(found.first(), Some(&Numbered { n: next }), "after {number}");
            assert_eq!(found.len(), if next == 14_997 { 1 } else { 2 });
        }
        assert_eq!(after::<Numbered>(&path, Some(14_997), 2).unwrap(), []);
        assert_eq!(after::<Numbered>(&path, None, 5001).unwrap().len(), 5000);
        // Somebody has edited a line.
        std::fs::write(&path, text(3) + "edited\n" + &text(9) + "edited\n").unwrap();
        let numbers: Vec<u64> = after::<Numbered>(&path, None, 9).unwrap().iter().map(|row| row.n).collect();
        assert_eq!(numbers, [3, 4, 9, 10]);
        assert_eq!(last::<Numbered>(&path).unwrap(), Some(Numbered { n: 10 }));
    }
}
