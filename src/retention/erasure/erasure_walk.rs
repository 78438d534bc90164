//! A walk over all events, newest first: those that are the person's, or name them.

use std::collections::BTreeSet;

use super::data_subject::DataSubject;
use super::erasable_cell::ErasableCell;
use super::erasure_preview::ErasurePreview;
use crate::event::AuditEvent;
use crate::query::{Cursor, Filter, PageQuery};
use crate::retention::pacing::{CHUNK_EVENTS, retry};
use crate::store::{Reader, StoreError};

/// The events of one page that are to be erased, with their cells.
#[derive(Default)]
pub(super) struct WalkedPage {
    pub(super) events: Vec<(AuditEvent, BTreeSet<ErasableCell>)>,
    /// The number of events that were looked at.
    pub(super) seen: u64,
    pub(super) unreadable: u64,
}

pub(super) struct ErasureWalk<'a> {
    reader: &'a dyn Reader,
    person: &'a DataSubject,
    next: Option<PageQuery>,
    /// The newest event.
    pub(super) newest: Option<Cursor>,
}

impl<'a> ErasureWalk<'a> {
    /// A walk that begins with the newest event.
    pub(super) fn new(reader: &'a dyn Reader, person: &'a DataSubject) -> Self {
        Self { reader, person, next: Some(PageQuery::new(Filter::new(), CHUNK_EVENTS)), newest: None }
    }

    /// A walk that begins with the newest event of a preview.
    pub(super) fn of_preview(reader: &'a dyn Reader, person: &'a DataSubject, preview: &ErasurePreview) -> Self {
        let mut walk = Self::new(reader, person);
        walk.next =
            preview.newest.map(|newest| PageQuery::new(Filter::new(), CHUNK_EVENTS).after(newest.just_before()));
        walk
    }

    /// Reads the next page. None at the end.
    pub(super) async fn next(&mut self) -> Result<Option<WalkedPage>, StoreError> {
        let Some(query) = self.next.take() else { return Ok(None) };
        let reader = self.reader;
        let events = retry(|| reader.query(&query)).await?;
        self.newest = self.newest.or(events.first().map(Cursor::of));
        self.next = events.last().filter(|_| events.len() == query.limit).map(|last| query.after(Cursor::of(last)));
        let mut page = WalkedPage { seen: events.len() as u64, ..WalkedPage::default() };
        for event in events {
            let cells = self.person.cells_of(&event);
            if cells.is_empty() {
                continue;
            }
            // To store it would destroy what it stands for.
            match event.is_stand_in {
                true => page.unreadable += 1,
                false => page.events.push((event, cells)),
            }
        }
        Ok(Some(page))
    }
}
