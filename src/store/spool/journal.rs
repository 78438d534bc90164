//! The writing side of a spool: appends frames to the folder of this process.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::config::Limits;
use super::error::{APPEND, DuringOperation as _, closed_error, error_of, transient};
use super::frame::Frame;
use super::process_folder::ProcessFolder;
use super::segment::Segment;
use crate::event::AuditEvent;
use crate::random::random;
use crate::store::files::private;
use crate::store::{StoreError, StoreErrorKind};

/// The writer of one folder.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) folder: Arc<ProcessFolder>,
    limits: Limits,
    /// The segment that is written, and when it was made.
    active: Option<(Segment, Instant)>,
    next_number: u64,
    previous_len: u64,
    is_closed: bool,
    /// Set by the shipper: the disk gives other bytes than were written.
    is_damaged: Arc<AtomicBool>,
}

/// The size of everything that waits in this process for the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl Journal {
    pub(super) fn new(folder: Arc<ProcessFolder>, limits: Limits, is_damaged: Arc<AtomicBool>) -> Self {
        Self { folder, limits, active: None, next_number: 1, previous_len: 0, is_closed: false, is_damaged }
    }

    /// Appends a batch durably. `adopted` waits besides this journal's own events.
    pub(super) fn append(&mut self, frame: &Frame, events: &[AuditEvent], adopted: Waiting) -> Result<(), StoreError> {
        self.check_open(APPEND)?;
        self.check_room(frame.events, frame.bytes.len() as u64, adopted, APPEND)?;
        let is_due =
            |(segment, since): &(Segment, Instant)| segment.len >= SEGMENT_BYTES || since.elapsed() >= SEGMENT_AGE;
        if self.active.as_ref().is_some_and(is_due) {
            self.end_segment();
        }
        match self.active.take() {
            None => self.begin_segment(frame)?,
            Some((segment, since)) => self.extend_segment(segment, since, frame)?,
        }
        let mut backlog = self.folder.backlog();
        let segment = backlog.active.unwrap_or_default();
        events.iter().for_each(|event| backlog.open.record(event, segment));
        Ok(())
    }

    fn begin_segment(&mut self, frame: &Frame) -> Result<(), StoreError> {
        self.folder.ensure().during(APPEND)?;
        let created = Segment::create(&self.folder.path, self.next_number, self.previous_len, frame);
        let is_taken = matches!(&created, Err(error) if error.kind() == ErrorKind::AlreadyExists);
        if created.is_ok() || is_taken {
            // The name is taken by what a failed append could not remove.
            self.next_number += 1;
        }
        let segment = created.during(APPEND)?;
        self.previous_len = segment.len;
        self.folder.backlog().push(segment.clone(), frame.events, frame.appended_at);
        self.active = Some((segment, Instant::now()));
        Ok(())
    }

    fn extend_segment(&mut self, mut segment: Segment, since: Instant, frame: &Frame) -> Result<(), StoreError> {
        let len = match segment.append(frame) {
            Ok(len) => len,
            Err(error) if error.is_spent => {
                self.end_segment();
                return Err(error.cause).during(APPEND);
            }
            Err(error) => {
                self.active = Some((segment, since));
                return Err(error.cause).during(APPEND);
            }
        };
        if !segment.is_in_place(len).unwrap_or(false) {
            self.end_segment();
            return Err(transient(APPEND).with_hint(REMOVED));
        }
        segment.len = len;
        self.previous_len = len;
        self.folder.backlog().grow(len, frame.events, frame.bytes.len() as u64, frame.appended_at);
        self.active = Some((segment, since));
        Ok(())
    }

    /// Writes no more to the segment: it can be removed once it is shipped.
    fn end_segment(&mut self) {
        self.active = None;
        self.folder.backlog().active = None;
    }

    /// Ends a segment that is shipped, so that no copy of a shipped event stays while no other is appended.
    pub(super) fn end_shipped_segment(&mut self) -> Result<(), StoreError> {
        if self.active.is_some() && self.folder.backlog().is_shipped() {
            self.end_segment();
            self.folder.backlog().remove_shipped(&self.folder.path).during("removing a shipped segment")?;
        }
        Ok(())
    }

    /// Does what an append does, with a file of its own in the place of a segment.
    pub(super) fn probe(&mut self, adopted: Waiting) -> Result<(), StoreError> {
        const DOING: &str = "health check";
        self.check_open(DOING)?;
        self.check_room(1, 0, adopted, DOING)?;
        if let Some((segment, _)) = &self.active
            && !segment.is_in_place(segment.len).during(DOING)?
        {
            self.end_segment();
        }
        self.folder.ensure().during(DOING)?;
        probe(&self.folder.path).during(DOING)
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.end_segment();
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_closed {
            return Err(closed_error(operation));
        }
        if self.is_damaged.load(Ordering::Acquire) {
            return Err(error_of(StoreErrorKind::Corrupt, operation).with_hint(
                "a segment of the spool was durable and reads otherwise now: see to the disk, then restart; `tower-audit spool list` \
                 shows what could not be read",
            ));
        }
        Ok(())
    }

    /// A batch that is larger than the bound alone finds room in an empty spool.
    fn check_room(&self, events: u64, bytes: u64, adopted: Waiting, operation: &'static str) -> Result<(), StoreError> {
        let (own_events, own_bytes) = {
            let backlog = self.folder.backlog();
            (backlog.events, backlog.bytes)
        };
        let (all_events, all_bytes) = (own_events + adopted.events, own_bytes + adopted.bytes);
        let is_full = all_bytes + bytes > self.limits.bytes
            || self.limits.events.is_some_and(|limit| all_events + events > limit);
        if is_full && all_bytes > 0 {
            return Err(transient(operation).with_hint(format!(
                "the spool is full: {all_events} events in {all_bytes} bytes wait for the target; see to the target, or raise \
                 `max_bytes` or `max_events`"
            )));
        }
        Ok(())
    }
}

fn probe(folder: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    let path = folder.join(format!("probe-{:016x}", random()));
    let written = private().write(true).create_new(true).open(&path).and_then(|mut file| {
        file.write_all(&[b' '; 4096])?;
        file.sync_data()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

const REMOVED: &str = "a file of the spool was removed, replaced or cut while it was written; what it had is shipped as far as it can \
                       be read";
/// A segment of this size is ended.
const SEGMENT_BYTES: u64 = 8 << 20;
/// A segment of this age is ended: shipped events stay in the spool no longer.
const SEGMENT_AGE: Duration = Duration::from_secs(60);
