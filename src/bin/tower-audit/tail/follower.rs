//! Looking again and again.

use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use tower_audit::export::EventFormat;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{Reader, StoreError, StoreErrorKind, pages};
use tower_audit::{AuditEvent, Timestamp};

use super::dedup::{LATE_EVENT_MICROS, SeenEvents};
use super::file_replacement::FileChange;
use crate::error::{CliError, warn, with_causes};
use crate::output::Stdout;

/// The interval of the queries.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// The period that each query covers.
const RECENT_MICROS: i64 = 2_000_000;
/// The interval of the queries that reach back by [`LATE_EVENT_MICROS`]; it must be shorter than that by a minute.
const FULL_POLL_EVERY: Duration = Duration::from_secs(10);
/// The timeout of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses while the store does not answer double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
const PAGE_EVENTS: usize = 500;
/// The maximum number of new events in memory.
const MAX_NEW_EVENTS: usize = 10_000;

/// Shows the events of a store as they arrive.
pub(crate) struct Follower<'a> {
    reader: &'a dyn Reader,
    filter: Filter,
    listing: Box<dyn EventFormat>,
    out: Stdout,
    seen: SeenEvents,
    file_change: FileChange,
    looked_back: Instant,
    warned_of_forgetting: bool,
}

impl<'a> Follower<'a> {
    /// `file` is the file of the store, if it is one.
    pub(crate) fn new(
        reader: &'a dyn Reader,
        filter: Filter,
        listing: Box<dyn EventFormat>,
        file: Option<PathBuf>,
    ) -> Self {
        Self {
            reader,
            filter,
            listing,
            out: Stdout::new(),
            seen: SeenEvents::new(),
            file_change: FileChange::new(file),
            looked_back: Instant::now(),
            warned_of_forgetting: false,
        }
    }

    /// Shows the newest `most` events, the oldest of them first.
    pub(crate) async fn print_newest(&mut self, most: usize) -> Result<(), CliError> {
        let mut newest = Vec::new();
        let query = PageQuery::new(self.filter.clone(), PAGE_EVENTS);
        let mut pages = pin!(pages(self.reader, query));
        // Everything that a later query may return again counts as printed.
        while let Some(page) = within_timeout(pages.try_next()).await? {
            for event in &page {
                if newest.len() < most {
                    newest.push(event.clone());
                }
                self.seen.insert(event);
            }
            let reach = self.seen.since(LATE_EVENT_MICROS, Timestamp::now());
            if newest.len() >= most && page.last().is_some_and(|last| last.created_at < reach) {
                break;
            }
        }
        newest.reverse();
        self.seen.forget(Timestamp::now());
        // A header comes before there is anything under it.
        self.listing.write_page(&newest, &mut self.out)?;
        Ok(self.out.flush()?)
    }

    /// Shows what comes. Ends when nobody reads it any more, and with what is no failure of the store.
    pub(crate) async fn follow(&mut self) -> Result<(), CliError> {
        let mut pause = POLL_EVERY;
        let mut lost: Option<Instant> = None;
        loop {
            tokio::time::sleep(pause).await;
            if self.out.is_unread() {
                return Ok(());
            }
            if self.file_change.was_replaced() {
                warn("the file of the store was replaced: following the new one");
            }
            let begun = Instant::now();
            match self.poll().await {
                Ok(()) => {
                    if let Some(lost) = lost.take() {
                        warn(&format!("the store answers again, after {} s", lost.elapsed().as_secs()));
                    }
                    // A log that takes long to look at is not looked at all the time.
                    pause = POLL_EVERY.max(begun.elapsed());
                }
                Err(CliError::Store(error)) if error.kind() != StoreErrorKind::Unsupported => {
                    if lost.is_none() {
                        lost = Some(begun);
                        warn(&format!("{}; trying again", with_causes(&error)));
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Writes what comes after the last event.
    pub(crate) fn finish(&mut self) -> Result<(), CliError> {
        self.listing.finish(&mut self.out)?;
        Ok(self.out.flush()?)
    }

    async fn poll(&mut self) -> Result<(), CliError> {
        let now = Timestamp::now();
        let is_back = self.looked_back.elapsed() >= FULL_POLL_EVERY;
        let back = if is_back { LATE_EVENT_MICROS } else { RECENT_MICROS };
        let since = self.seen.since(back, now);
        // A span with too many events for the memory is halved, and the earlier half is shown first.
        let mut spans = vec![(since, None)];
        while let Some((since, until)) = spans.pop() {
            match self.new_events(since, until).await? {
                NewEvents::All(events) => self.print(events, now)?,
                NewEvents::TooMany { middle } => spans.extend([(middle, until), (since, Some(middle))]),
            }
        }
        if is_back {
            self.looked_back = Instant::now();
        }
        self.seen.forget(now);
        Ok(())
    }

    /// The events of this time that were not shown yet, the oldest first.
    async fn new_events(&self, since: Timestamp, until: Option<Timestamp>) -> Result<NewEvents, CliError> {
        let mut filter = self.filter.clone();
        let since = filter.since.map_or(since, |wanted| wanted.max(since));
        filter.since = Some(since);
        filter.until = [filter.until, until].into_iter().flatten().min();
        let mut pages = pin!(pages(self.reader, PageQuery::new(filter, PAGE_EVENTS)));
        let mut fresh: Vec<AuditEvent> = Vec::new();
        while let Some(page) = within_timeout(pages.try_next()).await? {
            fresh.extend(page.into_iter().filter(|event| self.seen.is_new(event)));
            let newest = fresh.first().map_or(since, |event| event.created_at).as_micros();
            let half = (newest + 1 - since.as_micros()) / 2;
            if fresh.len() > MAX_NEW_EVENTS
                && half > 0
                && let Some(middle) = Timestamp::from_micros(since.as_micros() + half)
            {
                return Ok(NewEvents::TooMany { middle });
            }
        }
        fresh.reverse();
        Ok(NewEvents::All(fresh))
    }

    fn print(&mut self, events: Vec<AuditEvent>, now: Timestamp) -> Result<(), CliError> {
        if !events.is_empty() {
            self.listing.write_page(&events, &mut self.out)?;
            self.out.flush()?;
        }
        let mut all_remembered = true;
        for event in &events {
            all_remembered &= self.seen.insert(event);
        }
        self.seen.forget(now);
        if !all_remembered && !self.warned_of_forgetting {
            self.warned_of_forgetting = true;
            warn("too many events to remember: late events may be missing");
        }
        Ok(())
    }
}

enum NewEvents {
    All(Vec<AuditEvent>),
    /// More than there is room for; about as many of them are before this moment as after it, if they come evenly.
    TooMany {
        middle: Timestamp,
    },
}

async fn within_timeout<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(QUERY_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::new(StoreErrorKind::Transient, "this", "reading").with_hint("it does not answer")),
    }
}
