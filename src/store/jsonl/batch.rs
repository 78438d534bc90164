//! A batch of events as lines.

use std::ops::Range;

use super::line::{self, Head, WriterId};
use crate::event::{AuditEvent, Phase};
use crate::export::Encoding;
use crate::store::StoreError;

/// Events as lines.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    pub(super) entries: Vec<(Head, Range<usize>)>,
    /// True if there is a `started` event.
    pub(super) has_started: bool,
}

impl Batch {
    pub(super) fn encode<'a>(
        events: impl IntoIterator<Item = &'a AuditEvent>,
        encoding: Option<&Encoding>,
        writer: WriterId,
    ) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for event in events {
            let begin = batch.lines.len();
            line::encode(event, encoding, writer, &mut batch.lines)?;
            batch.entries.push((Head::of(event, writer), begin..batch.lines.len()));
            batch.has_started |= event.phase == Phase::Started;
        }
        Ok(batch)
    }

    /// The entries and lines that `keep` selects, behind those of `before`.
    pub(super) fn select(&self, before: Self, mut keep: impl FnMut(&Head) -> bool) -> Self {
        let mut selected = before;
        for (head, range) in self.entries.iter().filter(|(head, _)| keep(head)) {
            let begin = selected.lines.len();
            selected.lines.extend_from_slice(&self.lines[range.clone()]);
            selected.entries.push((*head, begin..selected.lines.len()));
            selected.has_started |= head.is_started;
        }
        selected
    }
}
