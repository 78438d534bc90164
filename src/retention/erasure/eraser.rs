//! The running erasure: page after page, within the bounds of a preview.

#[cfg(feature = "seal")]
use std::collections::BTreeSet;

use tokio::time::Instant;

use super::data_subject::DataSubject;
#[cfg(feature = "seal")]
use super::erasable_cell::ErasableCell;
use super::erasure_preview::{ErasurePreview, ErasureReport};
use super::erasure_walk::{ErasureWalk, WalkedPage};
#[cfg(feature = "seal")]
use super::sealed_erasure::SealedErasure;
use crate::event::{AuditEvent, EventId};
use crate::retention::pacing::{Stop, retry};
use crate::store::{CellErasure, ErasedEvent, Reader, StoreError};

/// The end of an erasure.
pub(super) enum End {
    Done,
    Interrupted,
    Failed(StoreError),
}

impl End {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}

pub(super) struct Eraser<'a> {
    pub(super) reader: &'a dyn Reader,
    pub(super) erasure: &'a dyn CellErasure,
    pub(super) person: &'a DataSubject,
    pub(super) stop: Stop<'a>,
    pub(super) progress: &'a mut (dyn FnMut(u64) + Send),
    pub(super) report: ErasureReport,
    #[cfg(feature = "seal")]
    pub(super) sealed: Option<SealedErasure<'a>>,
}

impl Eraser<'_> {
    pub(super) async fn run(&mut self, preview: &ErasurePreview) -> End {
        match self.erase(preview).await {
            Ok(end) => end,
            Err(error) => End::Failed(error),
        }
    }

    async fn erase(&mut self, preview: &ErasurePreview) -> Result<End, StoreError> {
        let mut walk = ErasureWalk::of_preview(self.reader, self.person, preview);
        let mut seen = 0;
        let mut end = End::Done;
        while let Some(page) = walk.next().await? {
            let begun = Instant::now();
            self.erase_page(&page).await?;
            self.report.unreadable += page.unreadable;
            seen += page.seen;
            (self.progress)(seen);
            // Pages without an event of the person hold no lock, so nobody needs a pause.
            let is_stopped = match page.events.is_empty() {
                true => self.stop.is_ready(),
                false => self.stop.pause_after(begun.elapsed()).await,
            };
            if is_stopped {
                end = End::Interrupted;
                break;
            }
        }
        let erasure = self.erasure;
        retry(|| erasure.finish()).await?;
        Ok(end)
    }

    async fn erase_page(&mut self, page: &WalkedPage) -> Result<(), StoreError> {
        if page.events.is_empty() {
            return Ok(());
        }
        let (erasure, person) = (self.erasure, self.person);
        #[cfg(feature = "seal")]
        if let Some(sealed) = &mut self.sealed {
            let mut left = page.events.as_slice();
            while let Some(count) = events_of_a_part(left) {
                let (events, after) = left.split_at(count);
                left = after;
                let part = sealed.sign_part(person, events).await?;
                self.report.unsealed += part.unsealed;
                self.report.damaged += part.damaged;
                let ids = part.ids();
                let replace = |event: &_, seed: Option<&_>| part.replace(person, event, seed);
                let erased = retry(|| erasure.erase(&ids, &replace)).await?;
                self.report.events += erased;
                sealed.note_erased(&part, erased);
            }
            return Ok(());
        }
        let ids: Vec<EventId> = page.events.iter().map(|(event, _)| event.event_id).collect();
        // Somebody may have begun to seal the log: an event with a leaf is not erased without a signature.
        let replace = |event: &AuditEvent, seed: Option<&_>| {
            let cells = person.cells_of(event);
            (seed.is_none() && !event.is_stand_in && !cells.is_empty())
                .then(|| ErasedEvent { event: person.erase(event, &cells), seed: None })
        };
        self.report.events += retry(|| erasure.erase(&ids, &replace)).await?;
        Ok(())
    }
}

/// Returns the number of events that one note can list; none if none is left.
#[cfg(feature = "seal")]
fn events_of_a_part(events: &[(AuditEvent, BTreeSet<ErasableCell>)]) -> Option<usize> {
    let mut bytes = 0;
    // Six bytes for each number of a cell, forty for a leaf.
    let fits = |(_, cells): &&(AuditEvent, BTreeSet<ErasableCell>)| {
        bytes += 40 + 6 * cells.len();
        bytes <= MAX_PART_BYTES
    };
    let count = events.iter().take_while(fits).count();
    // One event alone fits: it has 16 KiB of details.
    (!events.is_empty()).then_some(count.max(1))
}

/// Half of the largest note.
#[cfg(feature = "seal")]
const MAX_PART_BYTES: usize = 512 * 1024;
