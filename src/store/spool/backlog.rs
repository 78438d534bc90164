//! The frames of a folder that are not shipped yet.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::frame::{self, Found, Frame, StoredFrame};
use super::open_events::OpenEvents;
use super::progress::{self, Position, Progress};
use super::segment::{FIRST_FRAME, Segment};
use crate::event::AuditEvent;

/// The segments of a folder, and how far they are shipped.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Oldest first. Only the first can be shipped in part.
    pub(super) segments: VecDeque<Segment>,
    /// The place in the first segment up to which it is shipped.
    shipped: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The time of the append of the oldest frame, in microseconds since 1970.
    pub(super) oldest: Option<i64>,
    pub(super) open: OpenEvents,
    /// The number of the segment that is being written.
    pub(super) active: Option<u64>,
    /// The number of the newest segment of an adopted folder, whether or not it is still there.
    newest: u64,
    progress: Option<Progress>,
}

/// Frames that are read to be shipped, all of one segment.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Vec<StoredFrame>,
    /// Bytes that are no frame, and their place.
    pub(super) damage: Option<(Position, Vec<u8>)>,
    pub(super) end: Position,
}

/// A place in a segment, to read from without holding a lock.
#[derive(Debug)]
pub(super) struct ReadPlace {
    segment: Segment,
    offset: u64,
}

impl Backlog {
    /// Reads the folder of a process that has died. Cuts away the frame that it did not finish; returns the number of such bytes.
    pub(super) fn load(folder: &Path) -> io::Result<(Self, u64)> {
        let mut backlog = Self { open: OpenEvents::load(folder)?, ..Self::default() };
        let position = progress::read(folder)?.unwrap_or_default();
        backlog.newest = position.segment;
        let mut torn = 0;
        for mut segment in Segment::open_all(folder)? {
            if segment.number < position.segment {
                // Its events are at the target: its process died before it removed it.
                std::fs::remove_file(&segment.path)?;
                continue;
            }
            backlog.newest = segment.number;
            let begin = if segment.number == position.segment { position.offset.max(FIRST_FRAME) } else { FIRST_FRAME };
            let mut offset = FIRST_FRAME;
            loop {
                match frame::read_at(&segment.file, offset, segment.len, segment.durable)? {
                    Found::Frame(frame) => {
                        backlog.open.record_lines(&frame.lines, segment.number);
                        if offset >= begin {
                            backlog.events += frame.events;
                            backlog.oldest = backlog.oldest.or(Some(frame.appended_at));
                        }
                        offset = frame.end;
                    }
                    Found::Damage { end } => offset = end,
                    Found::Torn => {
                        torn += segment.len - offset;
                        segment.cut(offset)?;
                    }
                    Found::End => break,
                }
            }
            let begin = begin.min(segment.len.max(FIRST_FRAME));
            segment.durable = segment.len;
            backlog.bytes += segment.len.saturating_sub(begin);
            if backlog.segments.is_empty() {
                backlog.shipped = begin;
            }
            backlog.segments.push_back(segment);
        }
        backlog.open.parse();
        Ok((backlog, torn))
    }

    pub(super) fn is_shipped(&self) -> bool {
        self.bytes == 0
    }

    /// The end of the newest frame.
    pub(super) fn end(&self) -> Position {
        self.segments
            .back()
            .map_or_else(Position::default, |segment| Position { segment: segment.number, offset: segment.len })
    }

    /// Returns true if everything before `end` is shipped.
    pub(super) fn is_shipped_to(&self, end: Position) -> bool {
        let shipped = self.segments.front().map(|first| Position { segment: first.number, offset: self.shipped });
        self.is_shipped() || shipped.is_none_or(|shipped| shipped >= end)
    }

    /// Takes note of a new frame at the end of the last segment.
    pub(super) fn grow(&mut self, len: u64, events: u64, bytes: u64, appended_at: i64) {
        if let Some(last) = self.segments.back_mut() {
            (last.len, last.durable) = (len, len);
        }
        self.events += events;
        self.bytes += bytes;
        self.oldest = self.oldest.or(Some(appended_at));
    }

    /// Takes in a new segment with its first frame.
    pub(super) fn push(&mut self, segment: Segment, events: u64, appended_at: i64) {
        if self.segments.is_empty() {
            self.shipped = FIRST_FRAME;
        }
        self.active = Some(segment.number);
        let bytes = segment.len - FIRST_FRAME;
        let len = segment.len;
        self.segments.push_back(segment);
        self.grow(len, events, bytes, appended_at);
    }

    /// The number of the next segment of an adopted folder, and the length of the one before it.
    pub(super) fn next_segment(&self) -> (u64, u64) {
        (self.newest + 1, self.segments.back().map_or(0, |last| last.len))
    }

    /// Takes in a segment of an adopted folder whose frame ends open events.
    pub(super) fn push_ended(&mut self, segment: Segment, frame: &Frame, ends: &[AuditEvent]) {
        self.newest = segment.number;
        self.push(segment, frame.events, frame.appended_at);
        self.active = None;
        ends.iter().for_each(|end| self.open.record(end, self.newest));
    }

    /// The place of the oldest frame that is not shipped.
    pub(super) fn read_place(&self) -> Option<ReadPlace> {
        let segment = self.segments.front()?;
        (self.shipped < segment.len).then(|| ReadPlace { segment: segment.clone(), offset: self.shipped })
    }

    /// Takes note that everything before `end` is shipped, and removes segments that are.
    pub(super) fn advance(&mut self, folder: &Path, end: Position, events: u64) -> io::Result<()> {
        let Some(first) = self.segments.front().filter(|first| first.number == end.segment) else { return Ok(()) };
        self.bytes -= end.offset.saturating_sub(self.shipped).min(self.bytes);
        // The events of a damaged frame were counted when it was written.
        self.events = if self.is_shipped() { 0 } else { self.events.saturating_sub(events) };
        self.shipped = end.offset;
        let next = if end.offset < first.len {
            frame::appended_at(&first.file, end.offset)
        } else {
            self.segments.get(1).and_then(|next| frame::appended_at(&next.file, FIRST_FRAME))
        };
        self.oldest = if self.is_shipped() { None } else { next.or(self.oldest) };
        if self.progress.is_none() {
            self.progress = Progress::open(folder).map(Some)?;
        }
        self.progress.as_ref().map_or(Ok(()), |progress| progress.write(end))?;
        self.remove_shipped(folder)
    }

    /// Removes segments that are shipped and no longer written.
    pub(super) fn remove_shipped(&mut self, folder: &Path) -> io::Result<()> {
        while let Some(first) = self.segments.front()
            && self.shipped >= first.len
            && self.active != Some(first.number)
        {
            self.open.save(folder, first.number)?;
            match std::fs::remove_file(&first.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            crate::store::files::sync_folder(folder)?;
            self.segments.pop_front();
            self.shipped = FIRST_FRAME;
        }
        Ok(())
    }
}

impl ReadPlace {
    /// Reads frames with about `most` events, at least one frame.
    pub(super) fn read(self, most: u64) -> io::Result<Batch> {
        let Self { segment, mut offset } = self;
        let at = |offset| Position { segment: segment.number, offset };
        let mut batch = Batch { frames: Vec::new(), damage: None, end: at(offset) };
        let (mut events, mut bytes) = (0, 0);
        while batch.frames.is_empty() || (events < most && bytes < MOST_BYTES) {
            match frame::read_at(&segment.file, offset, segment.len, segment.durable)? {
                Found::Frame(frame) => {
                    events += frame.events;
                    bytes += frame.lines.len();
                    offset = frame.end;
                    batch.frames.push(frame);
                }
                Found::Damage { .. } if !batch.frames.is_empty() => break,
                Found::Damage { end } => {
                    batch.damage = Some((at(offset), read_range(&segment, offset, end)?));
                    offset = end;
                    break;
                }
                Found::Torn | Found::End => break,
            }
        }
        batch.end = at(offset);
        Ok(batch)
    }
}

/// Reads a range of a segment, as far as the file has it.
fn read_range(segment: &Segment, begin: u64, end: u64) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let present = end.min(segment.file.metadata()?.len()).saturating_sub(begin);
    let mut bytes = vec![0; usize::try_from(present).map_err(|_| io::ErrorKind::FileTooLarge)?];
    segment.file.read_exact_at(&mut bytes, begin)?;
    Ok(bytes)
}

/// The most bytes of one append to the target, besides the last frame.
const MOST_BYTES: usize = 4 << 20;
