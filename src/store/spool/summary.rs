//! The backlog of a folder, read without taking it over.

use std::io;
use std::path::Path;

use super::frame::{self, Found};
use super::process_folder::ProcessFolder;
use super::progress;
use super::segment::{FIRST_FRAME, Segment};

/// The backlog of one process's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The time of the append of the oldest, in microseconds since 1970.
    pub(super) oldest: Option<i64>,
    pub(super) is_alive: bool,
}

/// Reads the backlog of a folder, which its process may be writing. Changes nothing.
pub(super) fn summarize(folder: &Path) -> io::Result<Summary> {
    let mut summary = Summary { events: 0, bytes: 0, oldest: None, is_alive: ProcessFolder::is_alive(folder) };
    let position = progress::read(folder)?.unwrap_or_default();
    let segments = match Segment::open_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(summary),
        segments => segments?,
    };
    for segment in segments.into_iter().filter(|segment| segment.number >= position.segment) {
        let mut offset =
            if segment.number == position.segment { position.offset.max(FIRST_FRAME) } else { FIRST_FRAME };
        while let Found::Frame(frame) = frame::read_at(&segment.file, offset, segment.len, segment.durable)? {
            summary.events += frame.events;
            summary.bytes += frame.end - offset;
            summary.oldest = summary.oldest.or(Some(frame.appended_at));
            offset = frame.end;
        }
    }
    Ok(summary)
}
