//! Retention: events that are too old are removed, and the log accounts for them.
//!
//! It knows stores and events and nothing of the program around it.
//!
//! ```text
//! t0  `started` is durable: the cutoff, how many events are to go, from when to when, who asked
//! t1  chunk after chunk is removed, with pauses in which writers get their turn
//! t2  `completed` is durable: how many events are gone, and how it ended
//! ```
//!
//! A process that dies between t0 and t2 leaves the `started` event; the next log that opens the store closes it as
//! `unknown`. So no event goes without a trace.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tower_audit::store::{AuditStore, StoreAdmin, StoreError, StoreFuture};
use tower_audit::{Actor, AuditEvent, EventType, Phase, Timestamp};

use crate::event_range::EventRange;

/// How many events one transaction removes: few enough that a writer never waits for long.
const CHUNK_EVENTS: usize = 1000;

/// A purge that is about to begin.
#[derive(Debug)]
pub(crate) struct Purge {
    /// Events before this moment go.
    pub(crate) cutoff: Timestamp,
    /// The cutoff as it was asked for.
    pub(crate) older_than: String,
    /// The events that are to go; none if they could not be counted.
    pub(crate) extent: Option<EventRange>,
    /// The account that asked for it, if it has a name.
    pub(crate) actor: Option<String>,
}

/// The reason why a purge did not come to its end.
#[derive(Debug)]
pub(crate) enum PurgeError {
    /// The `started` event could not be written, so that nothing was removed.
    Unannounced(StoreError),
    /// It was told to stop. What is gone is recorded.
    Interrupted { removed: u64 },
    /// A chunk could not be removed. What is gone is recorded.
    Failed { removed: u64, cause: StoreError },
    /// The `completed` event could not be written: there is only the `started` one.
    Unrecorded { removed: u64, cause: StoreError },
}

impl Purge {
    /// Removes what is older than the cutoff, and says how many events it removed. `stop` ends it after the chunk that
    /// is under way; `progress` is told how many events are gone.
    pub(crate) async fn run(
        &self,
        store: &dyn AuditStore,
        keeper: &dyn StoreAdmin,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, PurgeError> {
        let started = self.event(Phase::Started);
        persist(|| store.append(std::slice::from_ref(&started))).await.map_err(PurgeError::Unannounced)?;
        let (removed, end) = remove(keeper, self.cutoff, stop, &mut progress).await;
        let mut completed = self.event(Phase::Completed);
        completed.request.started_event_id = Some(started.event_id);
        completed.details.insert("removed".into(), removed.into());
        completed.details.insert("ended".into(), end.as_str().into());
        completed.truncate_to_limits();
        persist(|| store.append(std::slice::from_ref(&completed)))
            .await
            .map_err(|cause| PurgeError::Unrecorded { removed, cause })?;
        match end {
            End::Done => Ok(removed),
            End::Interrupted => Err(PurgeError::Interrupted { removed }),
            End::Failed(cause) => Err(PurgeError::Failed { removed, cause }),
        }
    }

    fn event(&self, phase: Phase) -> AuditEvent {
        let mut event = own_event(EventType::AUDIT_PURGE, self.actor.as_deref());
        event.phase = phase;
        event.details.insert("cutoff".into(), self.cutoff.to_string().into());
        event.details.insert("older_than".into(), self.older_than.as_str().into());
        if let Some(extent) = &self.extent {
            extent.write_to(&mut event.details);
        }
        event.truncate_to_limits();
        event
    }
}

impl EventRange {
    fn write_to(&self, details: &mut Map<String, Value>) {
        details.insert("events".into(), self.events.into());
        details.insert("first".into(), self.first.to_string().into());
        details.insert("last".into(), self.last.to_string().into());
    }
}

/// The reason why a store is not as it should be after it was to be made anew.
#[derive(Debug)]
pub(crate) enum RecreateError {
    /// It could not be made anew.
    Failed(StoreError),
    /// It is empty, and the event that says so could not be written.
    Unrecorded(StoreError),
}

/// Makes the store anew, empty but for one event: it says how many events were destroyed (none if that is not known),
/// from when to when, and who asked.
pub(crate) async fn recreate(
    store: &dyn AuditStore,
    keeper: &dyn StoreAdmin,
    destroyed: DestroyedEvents,
    actor: Option<String>,
) -> Result<(), RecreateError> {
    keeper.recreate().await.map_err(RecreateError::Failed)?;
    let event_type = EventType::new(AUDIT_INIT).expect("`domain.action`, in lower case");
    let mut event = own_event(event_type, actor.as_deref());
    match destroyed {
        DestroyedEvents::Unknown => {}
        DestroyedEvents::Nothing => drop(event.details.insert("events".into(), 0.into())),
        DestroyedEvents::Events(extent) => extent.write_to(&mut event.details),
    }
    event.truncate_to_limits();
    persist(|| store.append(std::slice::from_ref(&event))).await.map_err(RecreateError::Unrecorded)
}

/// The events that a store had before it was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DestroyedEvents {
    /// They could not be counted.
    Unknown,
    Nothing,
    Events(EventRange),
}

/// The type of the first event of a log that was made anew.
const AUDIT_INIT: &str = "audit.init";

fn own_event(event_type: EventType, actor: Option<&str>) -> AuditEvent {
    let mut event = AuditEvent::new(event_type);
    if let Some(name) = actor {
        event.actor = Actor::user(name);
    }
    event
}

/// The end of the removing.
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

/// Removes chunk after chunk; says how many events are gone, and how it ended.
async fn remove(
    keeper: &dyn StoreAdmin,
    cutoff: Timestamp,
    stop: impl Future<Output = ()>,
    progress: &mut impl FnMut(u64),
) -> (u64, End) {
    let mut stop = pin!(stop);
    let mut removed = 0;
    loop {
        let started = Instant::now();
        let chunk = match persist(|| keeper.purge(cutoff, CHUNK_EVENTS)).await {
            Ok(chunk) => chunk,
            Err(cause) => return (removed, End::Failed(cause)),
        };
        removed += chunk.deleted;
        progress(removed);
        if !chunk.has_more {
            return (removed, End::Done);
        }
        tokio::select! {
            () = &mut stop => return (removed, End::Interrupted),
            () = tokio::time::sleep(pause_after(started.elapsed())) => {}
        }
    }
}

/// Tries again what fails for now, such as a lock that busy writers hardly ever let go of, for [`RETRY_TIMEOUT`].
///
/// Both calls can be repeated: a chunk is one transaction, and an event is kept once.
async fn persist<'a, T>(mut call: impl FnMut() -> StoreFuture<'a, T>) -> Result<T, StoreError> {
    let begun = tokio::time::Instant::now();
    loop {
        match call().await {
            Err(cause) if cause.is_transient() && begun.elapsed() < PERSISTENCE => {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            result => return result,
        }
    }
}

/// How long a chunk may fail for passing reasons before the purge gives up: one minute.
const PERSISTENCE: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// How long the writers are left alone after a chunk took this long.
///
/// A writer that waited for the chunk looks again after about as long as it has waited, so that a pause of twice that
/// is always enough for its turn. The upper bound keeps a slow disk from making the whole purge endless.
fn pause_after(held: Duration) -> Duration {
    (held * 2).clamp(Duration::from_millis(5), Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_audit::store::{MemoryStore, PurgeOutcome, StoreErrorKind};

    fn purge() -> Purge {
        let cutoff = "2021-01-01T00:00:00Z".parse().unwrap();
        Purge { cutoff, older_than: "5y".into(), extent: None, actor: Some("root".into()) }
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
            let purge = purge();
            let removed = purge.run(&store, &store, std::future::pending(), |_| ()).await.unwrap();
            assert_eq!(removed, count as u64);
            let left = store.events();
            let [completed, started, newest] = left.as_slice() else { panic!("{left:?}") };
            assert_eq!(*newest, events.pop().unwrap());
            assert_eq!((started.phase, started.details.get("removed")), (Phase::Started, None));
            assert_eq!(completed.request.started_event_id, Some(started.event_id));
            assert_eq!(completed.details["removed"], count);
        }
    }

    /// Looks at the log whenever it is asked to remove, and does not remove.
    #[derive(Debug)]
    struct Watcher<'a> {
        log: &'a MemoryStore,
        seen: std::sync::Mutex<Vec<Phase>>,
    }

    impl StoreAdmin for Watcher<'_> {
        fn recreate(&self) -> StoreFuture<'_, ()> {
            unreachable!("a purge makes nothing anew")
        }

        fn migrate(&self) -> StoreFuture<'_, ()> {
            unreachable!("a purge makes no index")
        }

        fn purge(&self, _: Timestamp, _: usize) -> StoreFuture<'_, PurgeOutcome> {
            self.seen.lock().unwrap().extend(self.log.events().iter().map(|event| event.phase));
            Box::pin(async { Err(StoreError::new(StoreErrorKind::Permanent, "test", "purge")) })
        }
    }

    #[tokio::test]
    async fn a_purge_is_announced_before_anything_goes_and_ended_whatever_happens() {
        let log = MemoryStore::new();
        let keeper = Watcher { log: &log, seen: Default::default() };
        let end = purge().run(&log, &keeper, std::future::pending(), |_| ()).await;
        assert!(matches!(end, Err(PurgeError::Failed { removed: 0, .. })), "{end:?}");
        assert_eq!(*keeper.seen.lock().unwrap(), [Phase::Started]);
        let events = log.events();
        assert_eq!((events.len(), events[0].phase), (2, Phase::Completed));
        assert_eq!(events[0].details["ended"], "failed");

        log.close().await.unwrap();
        let keeper = Watcher { log: &log, seen: Default::default() };
        let end = purge().run(&log, &keeper, std::future::pending(), |_| ()).await;
        assert!(matches!(end, Err(PurgeError::Unannounced(_))), "{end:?}");
        assert_eq!(*keeper.seen.lock().unwrap(), [], "nothing goes without it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_now_is_tried_again_and_what_fails_for_good_is_not() {
        use StoreErrorKind::{Permanent, Transient};
        for (kind, failures, succeeds) in [(Transient, 20, true), (Transient, usize::MAX, false), (Permanent, 1, false)]
        {
            let mut calls = 0;
            let begun = tokio::time::Instant::now();
            let result = persist(|| {
                calls += 1;
                let fails = calls <= failures;
                Box::pin(async move { if fails { Err(StoreError::new(kind, "test", "purge")) } else { Ok(()) } })
            })
            .await;
            assert_eq!(result.is_ok(), succeeds, "{kind:?}");
            assert!(begun.elapsed() <= PERSISTENCE + RETRY_AFTER);
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
