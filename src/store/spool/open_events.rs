//! The `started` events of a folder that no later event of it has ended.
//!
//! They outlive their segment in a file of their own, so that whoever adopts the folder can close them without the target.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::Path;

use crate::event::{AuditEvent, EventId, Phase};
use crate::random::random;
use crate::store::files::{give_to_owner_of, private, sync_folder};

/// Open events, and which of them are in the file.
#[derive(Debug, Default)]
pub(super) struct OpenEvents {
    open: BTreeMap<EventId, AuditEvent>,
    saved: BTreeSet<EventId>,
    /// The events that were ended, if they are to be remembered.
    ended: Option<BTreeSet<EventId>>,
}

impl OpenEvents {
    /// Reads the file of a folder; remembers the events that end others.
    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        let mut found = Self { ended: Some(BTreeSet::new()), ..Self::default() };
        let text = match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            text => text?,
        };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: AuditEvent =
                serde_json::from_slice(line).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            found.saved.insert(event.event_id);
            found.open.insert(event.event_id, event);
        }
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn contains(&self, id: EventId) -> bool {
        self.open.contains_key(&id)
    }

    /// Takes note of an event.
    pub(super) fn record(&mut self, event: &AuditEvent) {
        if let Some(ended) = event.request.started_event_id {
            self.open.remove(&ended);
            if let Some(all) = &mut self.ended {
                all.insert(ended);
            }
        }
        if event.phase == Phase::Started {
            self.open.insert(event.event_id, event.clone());
        }
    }

    /// Takes note of the events in the lines of a frame. Only lines that may matter are parsed.
    pub(super) fn record_lines(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n') {
            let has = |text: &[u8]| line.windows(text.len()).any(|window| window == text);
            if (has(b"\"started\"") || has(b"\"started_event_id\""))
                && let Ok(event) = serde_json::from_slice(line)
            {
                self.record(&event);
            }
        }
    }

    /// The open events, without those that `ended` names.
    pub(super) fn orphans(&self, ended: &BTreeSet<EventId>) -> Vec<AuditEvent> {
        self.open.values().filter(|event| !ended.contains(&event.event_id)).cloned().collect()
    }

    /// The events that were ended.
    pub(super) fn ended(&self) -> impl Iterator<Item = EventId> {
        self.ended.iter().flatten().copied()
    }

    /// Forgets every open event.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Brings the file up to date, durably. Call it before a segment is removed.
    pub(super) fn save(&mut self, folder: &Path) -> io::Result<()> {
        if self.open.keys().eq(&self.saved) {
            return Ok(());
        }
        let path = folder.join(FILE);
        if self.open.is_empty() {
            fs::remove_file(&path)?;
        } else {
            let temporary = folder.join(format!("{FILE}-{:016x}.tmp", random()));
            let file = private().write(true).create_new(true).open(&temporary)?;
            give_to_owner_of(folder, &file);
            let mut writer = BufWriter::new(&file);
            for event in self.open.values() {
                serde_json::to_writer(&mut writer, event)?;
                writer.write_all(b"\n")?;
            }
            writer.flush()?;
            drop(writer);
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
        }
        sync_folder(folder)?;
        self.saved = self.open.keys().copied().collect();
        Ok(())
    }
}

const FILE: &str = "open";

/// Returns true for an event that is open or ends another.
pub(super) fn matters(event: &AuditEvent) -> bool {
    event.phase == Phase::Started || event.request.started_event_id.is_some()
}
