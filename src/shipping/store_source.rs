//! A readable store as a source: its events from the oldest on.
//!
//! A store lists the newest first. So the source reads windows of time, each as wide as it has about a page of events, and turns them round.
//! Behind the last window it follows: events that become visible late (a long transaction, another writer's clock) are found by reading the
//! last minute again.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::time::Instant;

use super::progress_file::ShipProgress;
use super::source::ShipSource;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Filter, PageQuery};
use crate::store::{AuditStore, Reader, StoreError, StoreErrorKind, StoreFuture, pages};

/// The events of a readable store, oldest first.
pub struct StoreSource {
    store: Arc<dyn AuditStore>,
    progress: Option<ShipProgress>,
    overlap: Duration,
    /// Every event before it was returned.
    front: Timestamp,
    /// Of the events from it on, late ones may still appear.
    settled: Timestamp,
    /// The time at which the last window was read, or at which the walk over the last minute began.
    read_at: Timestamp,
    /// The width of the next window, in microseconds.
    width: i64,
    /// The ids of the events from `settled` on that were returned.
    returned: BTreeSet<(Timestamp, EventId)>,
    /// The end of a walk over the last minute, while it goes on.
    walk_until: Option<Timestamp>,
    next_walk: Instant,
}

impl fmt::Debug for StoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { front, settled, .. } = self;
        f.debug_struct("StoreSource").field("front", front).field("settled", settled).finish_non_exhaustive()
    }
}

impl StoreSource {
    /// A source of every event of a store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(store: Arc<dyn AuditStore>) -> Result<Self, StoreError> {
        if store.parts().reader.is_none() {
            return Err(StoreError::new(StoreErrorKind::Unsupported, store.capabilities().name, "reading")
                .with_hint("a store that can only be appended to is no source"));
        }
        Ok(Self {
            store,
            progress: None,
            overlap: DEFAULT_OVERLAP,
            front: Timestamp::MIN,
            settled: Timestamp::MIN,
            read_at: Timestamp::MIN,
            width: MAX_WIDTH,
            returned: BTreeSet::new(),
            walk_until: None,
            next_walk: Instant::now(),
        })
    }

    /// Begins with the events from this moment on.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        (self.front, self.settled) = (since, since);
        self
    }

    /// Keeps the progress in a file, and begins where it says.
    #[must_use]
    pub fn progress(mut self, progress: ShipProgress) -> Self {
        if let Some(until) = progress.until() {
            self = self.since(until);
        }
        self.progress = Some(progress);
        self
    }

    /// Sets how late an event may become visible, by its time: a minute by default. The last part of the store, of this length, is read again
    /// and again.
    #[must_use]
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    fn reader(&self) -> Result<&dyn Reader, StoreError> {
        let name = self.store.capabilities().name;
        self.store.parts().reader.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, name, "reading"))
    }

    /// Returns events of the next window with any, oldest first, and moves `front` behind it.
    async fn next_window(&mut self, at_most: usize) -> Result<Vec<AuditEvent>, StoreError> {
        let now = Timestamp::now();
        loop {
            if self.front > now {
                return Ok(Vec::new());
            }
            let last = self.front.as_micros().saturating_add(self.width).min(now.as_micros().saturating_add(1));
            let until = Timestamp::from_micros(last).unwrap_or(Timestamp::MAX);
            let filter = Filter::new().since(self.front).until(until);
            let mut events = self.reader()?.query(&PageQuery::new(filter.clone(), at_most + 1)).await?;
            if events.len() > at_most {
                if self.width > 1 {
                    self.width /= 2;
                    continue;
                }
                // All within one microsecond.
                let all = pages(self.reader()?, PageQuery::new(filter, at_most.max(1)));
                events = all.try_concat().await?;
            }
            if events.len() <= at_most / 2 {
                self.width = self.width.saturating_mul(2).min(MAX_WIDTH);
            }
            self.front = until;
            if !events.is_empty() {
                events.reverse();
                return Ok(events);
            }
        }
    }

    /// Begins to read the last part again, if it is time. Returns false if it is not.
    fn walk_again(&mut self) -> bool {
        if self.walk_until.is_some() || self.overlap.is_zero() || Instant::now() < self.next_walk {
            return false;
        }
        self.walk_until = Some(self.front);
        self.front = self.settled;
        self.read_at = Timestamp::now();
        self.next_walk = Instant::now() + self.overlap / 4;
        true
    }

    /// Everything before the overlap counts as settled, once it was read again. The overlap ends where the reading was, not where the
    /// store that takes the events has come to: it may have been away for hours.
    fn settle(&mut self) {
        let horizon = self.read_at.checked_sub(self.overlap).unwrap_or(Timestamp::MIN);
        self.settled = self.settled.max(self.front.min(horizon));
        let settled = (self.settled, EventId::from_u128(0));
        self.returned = self.returned.split_off(&settled);
    }
}

impl ShipSource for StoreSource {
    fn next(&mut self, at_most: usize) -> StoreFuture<'_, Vec<AuditEvent>> {
        Box::pin(async move {
            loop {
                if self.walk_until.is_none() {
                    self.read_at = Timestamp::now();
                }
                let events = self.next_window(at_most.max(1)).await?;
                let is_at_end = events.is_empty();
                if self.walk_until.is_some_and(|until| is_at_end || self.front >= until) {
                    self.walk_until = None;
                }
                let fresh: Vec<AuditEvent> = events
                    .into_iter()
                    .filter(|event| self.returned.insert((event.created_at, event.event_id)))
                    .collect();
                if !fresh.is_empty() || (is_at_end && !self.walk_again()) {
                    return Ok(fresh);
                }
            }
        })
    }

    fn acknowledge(&mut self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if self.walk_until.is_some() {
                return Ok(());
            }
            self.settle();
            let settled = self.settled;
            match self.progress.as_mut() {
                Some(progress) if progress.until().is_none_or(|until| until < settled) => progress.save(settled),
                _ => Ok(()),
            }
        })
    }

    fn acknowledged_until(&self) -> Option<Timestamp> {
        (self.front > Timestamp::MIN).then_some(self.front)
    }
}

const DEFAULT_OVERLAP: Duration = Duration::from_secs(60);
/// All of time: an empty store is one window.
const MAX_WIDTH: i64 = Timestamp::MAX.as_micros() - Timestamp::MIN.as_micros();
