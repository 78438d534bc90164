//! A batch as the journal stores it: one row, and changes to the list of started events.

use std::sync::Arc;

use serde_json::Error;

use crate::event::{AuditEvent, Phase, WriteJson as _};

/// A batch without the events that the file has, ready to be bound.
#[derive(Debug)]
pub(crate) struct JournalRow {
    pub(crate) ids: Vec<u128>,
    pub(crate) min_at: i64,
    pub(crate) max_at: i64,
    /// The events as a JSON array.
    pub(crate) events: Arc<str>,
    /// The place behind each event in `events`.
    pub(crate) ends: Arc<[u32]>,
    pub(crate) started_changes: Option<StartedChanges>,
}

/// The changes that a batch makes to the list of open `started` events.
#[derive(Debug)]
pub(crate) struct StartedChanges {
    pub(crate) any_started: bool,
    /// `{"started": [[id, event as text], ...], "ended": [id, ...]}`.
    pub(crate) changes: String,
}

impl JournalRow {
    /// Encodes a batch of at least one event.
    pub(crate) fn of(events: &[&AuditEvent]) -> Result<Self, Error> {
        let mut text = Vec::with_capacity(events.len() * TYPICAL_EVENT_BYTES);
        let mut ids = Vec::with_capacity(events.len());
        let mut ends = Vec::with_capacity(events.len());
        let (mut min_at, mut max_at) = (i64::MAX, i64::MIN);
        let (mut started, mut ended) = (Vec::new(), Vec::new());
        for event in events {
            text.push(if text.is_empty() { b'[' } else { b',' });
            let begin = text.len();
            event.write_json(&mut text)?;
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            ids.push(event.event_id.as_u128());
            let at = event.created_at.as_micros();
            (min_at, max_at) = (min_at.min(at), max_at.max(at));
            if event.phase == Phase::Started {
                started.push((event.event_id, String::from_utf8_lossy(&text[begin..]).into_owned()));
            } else {
                ended.extend(event.request.started_event_id);
            }
        }
        text.push(b']');
        let changes = if started.is_empty() && ended.is_empty() {
            None
        } else {
            Some(StartedChanges {
                any_started: !started.is_empty(),
                changes: serde_json::to_string(&serde_json::json!({"started": started, "ended": ended}))?,
            })
        };
        let events = String::from_utf8(text).map_err(<Error as serde::ser::Error>::custom)?;
        Ok(Self { ids, min_at, max_at, events: events.into(), ends: ends.into(), started_changes: changes })
    }

    pub(crate) fn min_id(&self) -> u128 {
        self.ids.iter().copied().min().unwrap_or_default()
    }

    pub(crate) fn max_id(&self) -> u128 {
        self.ids.iter().copied().max().unwrap_or_default()
    }
}

const TYPICAL_EVENT_BYTES: usize = 640;
