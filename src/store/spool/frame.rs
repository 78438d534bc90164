//! Batches of events in a segment: a line with their length and checksum, then one event a line.
//!
//! `#batch 0000000613 0000001 00001764512345678901 8f…(32 digits)`: bytes of the lines, events, the time of the append in
//! microseconds since 1970, and the first half of the SHA-256 of what stands before it in the line and of the lines.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

use super::error::error_of;

use crate::event::{AuditEvent, Timestamp, WriteJson as _, hex};
use crate::store::{StoreError, StoreErrorKind};

/// A batch as it is written.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) events: u64,
    pub(super) appended_at: i64,
}

impl Frame {
    pub(super) fn encode(events: &[AuditEvent]) -> Result<Self, StoreError> {
        let appended_at = Timestamp::now().as_micros().max(0);
        let mut bytes = vec![b' '; HEAD_BYTES];
        for event in events {
            event
                .write_json(&mut bytes)
                .map_err(|error| error_of(StoreErrorKind::Permanent, "append").with_source(error))?;
            bytes.push(b'\n');
        }
        let lines = bytes.len() - HEAD_BYTES;
        let mut head = format!("{PREFIX}{lines:010} {:07} {appended_at:020} ", events.len());
        if head.len() != HEAD_BYTES - CHECKSUM_DIGITS - 1 {
            return Err(error_of(StoreErrorKind::Permanent, "append").with_hint("the batch is too large"));
        }
        let checksum = checksum(head.as_bytes(), &bytes[HEAD_BYTES..]);
        head.push_str(hex::encode(&checksum, &mut [0; CHECKSUM_DIGITS]));
        head.push('\n');
        bytes[..HEAD_BYTES].copy_from_slice(head.as_bytes());
        Ok(Self { bytes, events: events.len() as u64, appended_at })
    }
}

/// A batch as it was read.
#[derive(Debug)]
pub(super) struct StoredFrame {
    pub(super) events: u64,
    pub(super) appended_at: i64,
    pub(super) lines: Vec<u8>,
    /// The place of the next frame.
    pub(super) end: u64,
}

/// The state of a segment at a place.
#[derive(Debug)]
pub(super) enum Found {
    Frame(StoredFrame),
    /// Bytes that were durable once and are no frame; the next frame, or the end of the file, is at `end`.
    Damage {
        end: u64,
    },
    /// Bytes that were never acknowledged, up to the end of the file.
    Torn,
    /// The end of the file.
    End,
}

/// Reads what stands at `offset` of a segment of `len` bytes. Of these, `durable` were acknowledged. The file is shorter if it was cut.
pub(super) fn read_at(file: &File, offset: u64, len: u64, durable: u64) -> io::Result<Found> {
    if offset >= len {
        return Ok(Found::End);
    }
    let present = len.min(file.metadata()?.len());
    if let Some(frame) = frame_at(file, offset, present)? {
        return Ok(Found::Frame(frame));
    }
    let rest = present.saturating_sub(offset);
    let mut rest = vec![0; usize::try_from(rest).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(&mut rest, offset)?;
    let starts = rest.windows(PREFIX.len()).enumerate().skip(1).filter(|(_, bytes)| *bytes == PREFIX.as_bytes());
    for (start, _) in starts {
        let start = offset + start as u64;
        if frame_at(file, start, present)?.is_some() {
            return Ok(Found::Damage { end: start });
        }
    }
    Ok(if offset < durable { Found::Damage { end: len } } else { Found::Torn })
}

/// Returns the time of the append of the frame at `offset`, by its head alone.
pub(super) fn appended_at(file: &File, offset: u64) -> Option<i64> {
    let mut head = [0; HEAD_BYTES];
    file.read_exact_at(&mut head, offset).ok()?;
    Head::parse(&head).map(|head| head.appended_at)
}

fn frame_at(file: &File, offset: u64, len: u64) -> io::Result<Option<StoredFrame>> {
    let begin = offset + HEAD_BYTES as u64;
    if begin > len {
        return Ok(None);
    }
    let mut text = [0; HEAD_BYTES];
    file.read_exact_at(&mut text, offset)?;
    let Some(head) = Head::parse(&text) else { return Ok(None) };
    let end = begin + head.lines;
    if end > len {
        return Ok(None);
    }
    let mut lines = vec![0; usize::try_from(head.lines).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(&mut lines, begin)?;
    let checked = checksum(&text[..HEAD_BYTES - CHECKSUM_DIGITS - 1], &lines);
    let mut digits = [0; CHECKSUM_DIGITS];
    let is_intact = hex::encode(&checked, &mut digits).as_bytes() == head.checksum;
    Ok(is_intact.then_some(StoredFrame { events: head.events, appended_at: head.appended_at, lines, end }))
}

struct Head<'a> {
    lines: u64,
    events: u64,
    appended_at: i64,
    checksum: &'a [u8],
}

impl<'a> Head<'a> {
    fn parse(text: &'a [u8; HEAD_BYTES]) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX.as_bytes())?.strip_suffix(b"\n")?;
        let mut fields = rest.split(|byte| *byte == b' ');
        let mut number = |digits: usize| {
            let field = fields.next().filter(|field| field.len() == digits && field.iter().all(u8::is_ascii_digit))?;
            std::str::from_utf8(field).ok()?.parse::<u64>().ok()
        };
        let (lines, events, appended_at) = (number(10)?, number(7)?, number(20)?);
        let checksum = fields.next().filter(|field| field.len() == CHECKSUM_DIGITS)?;
        Some(Self { lines, events, appended_at: i64::try_from(appended_at).ok()?, checksum })
    }
}

fn checksum(head: &[u8], lines: &[u8]) -> [u8; CHECKSUM_DIGITS / 2] {
    let digest = Sha256::new().chain_update(head).chain_update(lines).finalize();
    std::array::from_fn(|byte| digest[byte])
}

const PREFIX: &str = "#batch ";
const CHECKSUM_DIGITS: usize = 32;
const HEAD_BYTES: usize = PREFIX.len() + 11 + 8 + 21 + CHECKSUM_DIGITS + 1;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::event::EventType;

    fn frames(count: usize) -> Vec<Frame> {
        (0..count).map(|_| Frame::encode(&[AuditEvent::new(EventType::UPLOAD)]).unwrap()).collect()
    }

    fn file_of(parts: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        parts.iter().for_each(|part| file.write_all(part).unwrap());
        file
    }

    #[test]
    fn every_cut_of_the_last_frame_is_torn_or_damage_by_what_was_durable() {
        let frames = frames(2);
        let (first, second) = (&frames[0].bytes, &frames[1].bytes);
        let whole = (first.len() + second.len()) as u64;
        for cut in 1..second.len() {
            let file = file_of(&[first, &second[..cut]]);
            let len = (first.len() + cut) as u64;
            let Found::Frame(frame) = read_at(&file, 0, len, 0).unwrap() else { panic!("the first is whole") };
            assert_eq!((frame.end, frame.events), (first.len() as u64, 1));
            assert!(matches!(read_at(&file, frame.end, len, frame.end).unwrap(), Found::Torn), "{cut}");
            assert!(matches!(read_at(&file, frame.end, len, whole).unwrap(), Found::Damage { end } if end == len));
        }
    }

    #[test]
    fn a_changed_bit_anywhere_is_damage_and_the_next_frame_is_found() {
        let frames = frames(2);
        let (first, second) = (&frames[0].bytes, &frames[1].bytes);
        let len = (first.len() + second.len()) as u64;
        for place in 0..first.len() {
            let mut changed = first.clone();
            changed[place] ^= 1;
            let file = file_of(&[&changed, second]);
            let found = read_at(&file, 0, len, len).unwrap();
            assert!(matches!(found, Found::Damage { end } if end == first.len() as u64), "{place}: {found:?}");
        }
    }
}
