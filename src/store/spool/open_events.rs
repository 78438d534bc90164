//! The `started` events of a folder that no later event of it has ended.
//!
//! They outlive their segment in a file of their own, so that whoever adopts the folder can close them without the target. The event that
//! closes one is written to the same folder, which so tells by itself what is still open:
//!
//! t0: the process of folder A dies, with an open event. t1: that of B adopts A and appends the end to A. t2: B dies as well, before the file
//! is brought up to date. t3: C adopts A and reads the file, then the segment with the end: nothing is open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::Path;

use serde::Deserialize;

use crate::event::{AuditEvent, EventId, Phase};
use crate::random::random;
use crate::store::files::{give_to_owner_of, private, sync_folder};

/// Open events, and which of them are in the file.
#[derive(Debug, Default)]
pub(super) struct OpenEvents {
    open: BTreeMap<EventId, OpenEvent>,
    /// Open events of which the id alone was read, as their lines.
    unparsed: BTreeMap<EventId, Unparsed>,
    saved: BTreeSet<EventId>,
}

#[derive(Debug)]
struct Unparsed {
    line: Box<str>,
    segment: u64,
}

/// The members of an event that tell what it opens and ends.
#[derive(Deserialize)]
struct Outline {
    event_id: EventId,
    #[serde(default)]
    phase: Phase,
    #[serde(default)]
    request: RequestOutline,
}

#[derive(Default, Deserialize)]
struct RequestOutline {
    #[serde(default)]
    started_event_id: Option<EventId>,
}

#[derive(Debug)]
struct OpenEvent {
    event: AuditEvent,
    /// The number of its segment; 0 of one that was read from the file.
    segment: u64,
}

impl OpenEvents {
    /// Reads the file of a folder.
    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let text = match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            text => text?,
        };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: AuditEvent =
                serde_json::from_slice(line).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            found.saved.insert(event.event_id);
            found.open.insert(event.event_id, OpenEvent { event, segment: 0 });
        }
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn contains(&self, id: EventId) -> bool {
        self.open.contains_key(&id)
    }

    /// Takes note of an event in a segment.
    pub(super) fn record(&mut self, event: &AuditEvent, segment: u64) {
        if let Some(ended) = event.request.started_event_id {
            self.open.remove(&ended);
        }
        if event.phase == Phase::Started {
            self.open.insert(event.event_id, OpenEvent { event: event.clone(), segment });
        }
    }

    /// Takes note of the events in the lines of a frame. Of lines that may matter, the ids alone are parsed: nearly every event that
    /// was started has ended in a later frame. Call [`parse`](Self::parse) after the last frame.
    pub(super) fn record_lines(&mut self, lines: &[u8], segment: u64) {
        // `"phase":"started"` and `"started_event_id":"…"`.
        let lines = String::from_utf8_lossy(lines);
        for line in lines.split('\n').filter(|line| line.contains("\"started")) {
            let Ok(outline) = serde_json::from_str::<Outline>(line) else { continue };
            if let Some(ended) = outline.request.started_event_id {
                self.open.remove(&ended);
                self.unparsed.remove(&ended);
            }
            if outline.phase == Phase::Started {
                self.unparsed.insert(outline.event_id, Unparsed { line: line.into(), segment });
            }
        }
    }

    /// Parses the events that are still open.
    pub(super) fn parse(&mut self) {
        for (id, Unparsed { line, segment }) in std::mem::take(&mut self.unparsed) {
            if let Ok(event) = serde_json::from_str(&line) {
                self.open.insert(id, OpenEvent { event, segment });
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &AuditEvent> {
        self.open.values().map(|open| &open.event)
    }

    /// Forgets every open event.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Brings the file up to date, durably, with the open events up to this segment. Call it before the segment is removed.
    ///
    /// The others are in segments that stay. So a spool that has filled its disk, with the requests of that moment in its last segment,
    /// gets rid of those before without writing anything.
    pub(super) fn save(&mut self, folder: &Path, newest: u64) -> io::Result<()> {
        let listed: Vec<&AuditEvent> =
            self.open.values().filter(|open| open.segment <= newest).map(|open| &open.event).collect();
        let ids: BTreeSet<EventId> = listed.iter().map(|event| event.event_id).collect();
        if ids == self.saved {
            return Ok(());
        }
        let path = folder.join(FILE);
        if listed.is_empty() {
            fs::remove_file(&path)?;
        } else {
            let temporary = folder.join(format!("{FILE}-{:016x}.tmp", random()));
            let file = private().write(true).create_new(true).open(&temporary)?;
            give_to_owner_of(folder, &file);
            let written = write(&file, &listed).and_then(|()| fs::rename(&temporary, &path));
            if let Err(error) = written {
                // The error of the list is the one to tell.
                let _ = fs::remove_file(&temporary);
                return Err(error);
            }
        }
        sync_folder(folder)?;
        self.saved = ids;
        Ok(())
    }
}

fn write(file: &File, events: &[&AuditEvent]) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    for event in events {
        serde_json::to_writer(&mut writer, event)?;
        writer.write_all(b"\n")?;
    }
    writer.flush()?;
    file.sync_all()
}

const FILE: &str = "open";

/// Returns true for an event that is open or ends another.
pub(super) fn matters(event: &AuditEvent) -> bool {
    event.phase == Phase::Started || event.request.started_event_id.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    fn event(phase: Phase, ends: Option<&AuditEvent>) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.phase = phase;
        event.request.started_event_id = ends.map(|started| started.event_id);
        event
    }

    fn lines(events: &[&AuditEvent]) -> Vec<u8> {
        events.iter().flat_map(|event| [serde_json::to_vec(event).unwrap(), b"\n".to_vec()].concat()).collect()
    }

    #[test]
    fn of_lines_the_events_are_open_that_no_later_one_ends() {
        let [ended, open, late] = std::array::from_fn(|_| event(Phase::Started, None));
        let mut plain = event(Phase::Completed, None);
        plain.details.insert("started".into(), "\"started\"".into());
        let mut found = OpenEvents::default();
        found.record_lines(&lines(&[&ended, &plain, &open]), 1);
        found.record_lines(b"{\"phase\":\"started\n{\"event_id\":\"started\"}\n\xff\"started\"\n", 1);
        found.record_lines(&lines(&[&event(Phase::Completed, Some(&ended)), &late]), 2);
        found.parse();
        assert!(found.iter().eq([&open, &late]));
        // What is told later of them counts.
        found.record_lines(&lines(&[&event(Phase::Unknown, Some(&late))]), 3);
        found.record(&event(Phase::Completed, Some(&open)), 3);
        found.parse();
        assert!(found.is_empty());
    }
}
