//! Retention: deletes old events and records the deletion in the same log.
//!
//! ```text
//! t0  `started` is durable: the cutoff, the number of old events, their first and last time, the actor
//! t1  chunk after chunk is deleted, with pauses in which writers get their turn
//! t2  `completed` is durable: the number of deleted events, and how the purge ended
//! ```
//!
//! A process that dies between t0 and t2 leaves the `started` event, and the next log that opens the store ends it as
//! `unknown`. So no event is deleted without a trace.
//!
//! An app purges the log that it writes, here once at its start; a timer can repeat it:
//!
//! ```
//! use tower_audit::store::retention::Retention;
//! use tower_audit::{Actor, AuditEvent, AuditLog, EventType};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = AuditLog::open("memory:").await?;
//! # let mut old = AuditEvent::new(EventType::UPLOAD);
//! # old.created_at = "2020-01-01T00:00:00Z".parse()?;
//! # log.record(old).await?;
//! let store = log.store().ok_or("auditing is off")?;
//! let deleted = Retention::older_than("180d")?.actor(Actor::user("retention job")).run(&**store).await?;
//! assert_eq!(deleted, 1);
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::{AuditStore, EventRange, Reader, StoreAdmin, StoreError, StoreErrorKind, StoreFuture};
use crate::backoff::Backoff;
use crate::event::{Actor, AuditEvent, EventType, Phase, Timestamp};
use crate::query::{Filter, TimeError, parse_cutoff};

/// Deletes the events older than `cutoff`, and returns their number: [`Retention`] with its defaults.
///
/// # Errors
/// Those of [`Retention::run`].
pub async fn purge_before(store: &dyn AuditStore, cutoff: Timestamp) -> Result<u64, PurgeError> {
    Retention::before(cutoff).run(store).await
}

/// A purge: its cutoff, and the facts about it that the log will hold.
#[derive(Debug, Clone)]
#[must_use]
pub struct Retention {
    cutoff: Timestamp,
    older_than: Option<String>,
    actor: Actor,
    range: Option<EventRange>,
}

impl Retention {
    /// Deletes events from before `cutoff`.
    pub fn before(cutoff: Timestamp) -> Self {
        Self { cutoff, older_than: None, actor: Actor::default(), range: None }
    }

    /// Deletes events older than `age`, such as `180d` or `2y`, counted from now. The purge's event holds this text.
    ///
    /// # Errors
    /// Those of [`parse_cutoff`].
    pub fn older_than(age: &str) -> Result<Self, TimeError> {
        let (_, cutoff) = parse_cutoff(age, Timestamp::now())?;
        Ok(Self { older_than: Some(age.to_owned()), ..Self::before(cutoff) })
    }

    /// Sets the actor of the purge's event: the operator or the job that asked for it.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Sets the range of old events, where [`plan`](Self::plan) has returned it before. Without it, [`run`](Self::run)
    /// counts them again.
    pub fn range(mut self, range: EventRange) -> Self {
        self.range = Some(range);
        self
    }

    /// Returns the cutoff.
    pub fn cutoff(&self) -> Timestamp {
        self.cutoff
    }

    /// Counts the events that a purge would delete now; none if there is no old event. Changes nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn plan(&self, reader: &dyn Reader) -> Result<Option<EventRange>, StoreError> {
        EventRange::of(reader, &Filter { until: Some(self.cutoff), ..Filter::default() }).await
    }

    /// Records and runs the purge, and returns the number of deleted events.
    ///
    /// It deletes [`CHUNK_EVENTS`] events at a time and pauses between the chunks. What fails with a transient error is
    /// repeated for [`RETRY_TIMEOUT`].
    ///
    /// # Errors
    /// [`PurgeError`] says how much was deleted, and whether that is recorded.
    ///
    /// # Cancel safety
    /// Dropped after the first chunk, the `started` event stays without an end. Use [`run_until`](Self::run_until) to stop
    /// a purge.
    pub async fn run(&self, store: &dyn AuditStore) -> Result<u64, PurgeError> {
        self.run_until(store, std::future::pending(), |_| ()).await
    }

    /// Like [`run`](Self::run), but ends after the current chunk once `stop` is ready, and calls `progress` with the
    /// number of deleted events after each chunk.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and [`PurgeError::Interrupted`] if it was stopped.
    pub async fn run_until(
        &self,
        store: &dyn AuditStore,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, PurgeError> {
        let parts = store.parts();
        let Some(admin) = parts.admin else {
            let error = StoreError::new(StoreErrorKind::Unsupported, store.capabilities().name, "purging");
            return Err(PurgeError::NotStarted(error));
        };
        let range = match (self.range, parts.reader) {
            (None, Some(reader)) => self.plan(reader).await.ok().flatten(),
            (range, _) => range,
        };
        self.run_with(store, admin, range, stop, &mut progress).await
    }

    async fn run_with(
        &self,
        store: &dyn AuditStore,
        admin: &dyn StoreAdmin,
        range: Option<EventRange>,
        stop: impl Future<Output = ()>,
        progress: &mut impl FnMut(u64),
    ) -> Result<u64, PurgeError> {
        let started = self.event(Phase::Started, range);
        retry(|| store.append(std::slice::from_ref(&started))).await.map_err(PurgeError::NotStarted)?;
        let (deleted, end) = delete(admin, self.cutoff, stop, progress).await;
        let mut completed = self.event(Phase::Completed, range);
        completed.request.started_event_id = Some(started.event_id);
        completed.details.insert("deleted".into(), deleted.into());
        completed.details.insert("ended".into(), end.as_str().into());
        completed.truncate_to_limits();
        retry(|| store.append(std::slice::from_ref(&completed)))
            .await
            .map_err(|source| PurgeError::NotRecorded { deleted, source })?;
        match end {
            End::Done => Ok(deleted),
            End::Interrupted => Err(PurgeError::Interrupted { deleted }),
            End::Failed(source) => Err(PurgeError::Failed { deleted, source }),
        }
    }

    fn event(&self, phase: Phase, range: Option<EventRange>) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::AUDIT_PURGE);
        event.actor = self.actor.clone();
        event.phase = phase;
        event.details.insert("cutoff".into(), self.cutoff.to_string().into());
        if let Some(age) = &self.older_than {
            event.details.insert("older_than".into(), age.as_str().into());
        }
        if let Some(range) = range {
            range.write_to(&mut event.details);
        }
        event.truncate_to_limits();
        event
    }
}

/// The number of events that one transaction of a purge deletes, so that a writer waits for a few milliseconds only.
pub const CHUNK_EVENTS: usize = 1000;
/// The time for which transient errors of a chunk, or of the purge's own events, are retried: one minute.
pub const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A purge that did not delete every old event, or that was not recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum PurgeError {
    /// The store has no admin part, or the `started` event could not be written. Nothing was deleted.
    NotStarted(StoreError),
    /// The caller stopped it. The deletion is recorded.
    Interrupted {
        /// The number of deleted events.
        deleted: u64,
    },
    /// A chunk could not be deleted. The deletion of the earlier ones is recorded.
    Failed {
        /// The number of deleted events.
        deleted: u64,
        /// The error of the store.
        source: StoreError,
    },
    /// The `completed` event could not be written; only the `started` event tells of the purge.
    NotRecorded {
        /// The number of deleted events.
        deleted: u64,
        /// The error of the store.
        source: StoreError,
    },
}

impl fmt::Display for PurgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(_) => f.write_str("the purge's started event cannot be written; nothing was deleted"),
            Self::Interrupted { deleted } => {
                write!(f, "interrupted; {deleted} events were deleted and the purge is recorded")
            }
            Self::Failed { deleted, .. } => {
                write!(f, "the purge failed; {deleted} events were deleted and the purge is recorded")
            }
            Self::NotRecorded { deleted, .. } => {
                write!(f, "{deleted} events were deleted, but the purge event could not be written")
            }
        }
    }
}

impl Error for PurgeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted(source) | Self::Failed { source, .. } | Self::NotRecorded { source, .. } => Some(source),
            Self::Interrupted { .. } => None,
        }
    }
}

/// The end of the deletion.
#[derive(Debug)]
enum End {
    Done,
    Interrupted,
    Failed(StoreError),
}

impl End {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}

/// Deletes chunk after chunk, and returns the number of deleted events and how it ended.
async fn delete(
    admin: &dyn StoreAdmin,
    cutoff: Timestamp,
    stop: impl Future<Output = ()>,
    progress: &mut impl FnMut(u64),
) -> (u64, End) {
    let mut stop = pin!(stop);
    let mut deleted = 0;
    loop {
        let begun = Instant::now();
        let chunk = match retry(|| admin.purge(cutoff, CHUNK_EVENTS)).await {
            Ok(chunk) => chunk,
            Err(cause) => return (deleted, End::Failed(cause)),
        };
        deleted += chunk.deleted;
        progress(deleted);
        if !chunk.has_more {
            return (deleted, End::Done);
        }
        let pause = pin!(tokio::time::sleep(pause_after(begun.elapsed())));
        if let Either::Left(_) = select(stop.as_mut(), pause).await {
            return (deleted, End::Interrupted);
        }
    }
}

/// Repeats a call that fails with a transient error, such as a lock held by busy writers, for [`RETRY_TIMEOUT`].
///
/// Both calls can be repeated: a chunk is one transaction, and an event is stored once.
async fn retry<'a, T>(mut call: impl FnMut() -> StoreFuture<'a, T>) -> Result<T, StoreError> {
    let begun = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(50), MAX_PAUSE);
    loop {
        match call().await {
            Err(cause) if cause.is_transient() && begun.elapsed() < RETRY_TIMEOUT => {
                tokio::time::sleep(backoff.next_pause()).await;
            }
            result => return result,
        }
    }
}

const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Returns the pause after a chunk that took `held`.
///
/// A writer that was blocked by the chunk retries after about as long as it was blocked, so twice that is enough for its
/// turn. The upper bound keeps a purge on a slow disk from taking forever.
fn pause_after(held: Duration) -> Duration {
    (held * 2).clamp(Duration::from_millis(5), MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, PurgeOutcome};

    fn purge() -> Retention {
        Retention::before("2021-01-01T00:00:00Z".parse().unwrap()).actor(Actor::user("root"))
    }

    #[tokio::test]
    async fn every_chunk_boundary_is_exact() {
        for count in [0, 1, CHUNK_EVENTS - 1, CHUNK_EVENTS, CHUNK_EVENTS + 1, 2 * CHUNK_EVENTS + 1] {
            let store = MemoryStore::new();
            let mut events: Vec<_> = (0..count).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
            for event in &mut events {
                event.created_at = "2020-01-01T00:00:00Z".parse().unwrap();
            }
            events.push(AuditEvent::new(EventType::UPLOAD));
            store.append(&events).await.unwrap();
            assert_eq!(purge().run(&store).await.unwrap(), count as u64);
            let left = store.events();
            let [completed, started, newest] = left.as_slice() else { panic!("{left:?}") };
            let old = started.details.get("events").and_then(serde_json::Value::as_u64).unwrap_or(0);
            assert_eq!(old, count as u64, "counted before it is deleted");
            assert_eq!(*newest, events.pop().unwrap());
            assert_eq!((started.phase, started.details.get("deleted")), (Phase::Started, None));
            assert_eq!(completed.request.started_event_id, Some(started.event_id));
            assert_eq!(completed.details["deleted"], count);
        }
    }

    /// Notes the phases in the log at each purge, and fails.
    #[derive(Debug)]
    struct Watcher<'a> {
        log: &'a MemoryStore,
        seen: std::sync::Mutex<Vec<Phase>>,
    }

    impl StoreAdmin for Watcher<'_> {
        fn recreate(&self) -> StoreFuture<'_, ()> {
            unreachable!("a purge does not recreate")
        }

        fn migrate(&self) -> StoreFuture<'_, ()> {
            unreachable!("a purge does not migrate")
        }

        fn purge(&self, _: Timestamp, _: usize) -> StoreFuture<'_, PurgeOutcome> {
            self.seen.lock().unwrap().extend(self.log.events().iter().map(|event| event.phase));
            Box::pin(async { Err(StoreError::new(StoreErrorKind::Permanent, "test", "purge")) })
        }
    }

    #[tokio::test]
    async fn a_purge_is_announced_before_anything_goes_and_ended_whatever_happens() {
        let log = MemoryStore::new();
        let admin = Watcher { log: &log, seen: Default::default() };
        let end = purge().run_with(&log, &admin, None, std::future::pending(), &mut |_| ()).await;
        assert!(matches!(end, Err(PurgeError::Failed { deleted: 0, .. })), "{end:?}");
        assert_eq!(*admin.seen.lock().unwrap(), [Phase::Started]);
        let events = log.events();
        assert_eq!((events.len(), events[0].phase), (2, Phase::Completed));
        assert_eq!(events[0].details["ended"], "failed");

        log.close().await.unwrap();
        let admin = Watcher { log: &log, seen: Default::default() };
        let end = purge().run_with(&log, &admin, None, std::future::pending(), &mut |_| ()).await;
        assert!(matches!(end, Err(PurgeError::NotStarted(_))), "{end:?}");
        assert_eq!(*admin.seen.lock().unwrap(), [], "nothing goes without it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_now_is_tried_again_and_what_fails_for_good_is_not() {
        use StoreErrorKind::{Permanent, Transient};
        for (kind, failures, succeeds) in [(Transient, 20, true), (Transient, usize::MAX, false), (Permanent, 1, false)]
        {
            let mut calls = 0;
            let begun = Instant::now();
            let result = retry(|| {
                calls += 1;
                let fails = calls <= failures;
                Box::pin(async move { if fails { Err(StoreError::new(kind, "test", "purge")) } else { Ok(()) } })
            })
            .await;
            assert_eq!(result.is_ok(), succeeds, "{kind:?}");
            assert!(begun.elapsed() <= RETRY_TIMEOUT + MAX_PAUSE);
            assert!(kind == Transient || calls == 1);
        }
    }

    #[test]
    fn pauses_are_in_bounds() {
        assert_eq!(pause_after(Duration::ZERO), Duration::from_millis(5));
        assert_eq!(pause_after(Duration::from_millis(40)), Duration::from_millis(80));
        assert_eq!(pause_after(Duration::from_secs(60)), Duration::from_millis(500));
    }
}
