//! `purge`: events that are too old, removed and accounted for.

use std::io::Write as _;
use std::time::{Duration, Instant};

use tower_audit::query::{Filter, cutoff};
use tower_audit::store::{Keeper, StoreError, StoreFuture};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

use super::{IfMissing, keeper, reader, with_store};
use crate::args::PurgeArgs;
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::{Progress, patiently};
use crate::signals::interrupt;

/// How many events one transaction removes: few enough that a writer never waits for long.
const CHUNK_EVENTS: usize = 1000;

pub(crate) async fn run(url: &str, args: PurgeArgs) -> Result<(), Failure> {
    let age = args.age()?;
    let cutoff = cutoff(age, Timestamp::now()).map_err(|error| Failure::Usage(format!("--older-than: {error}")))?;
    with_store(url, IfMissing::Fail, async |store| {
        let count = if args.dry_run {
            let filter = Filter { until: Some(cutoff), ..Filter::default() };
            patiently("counting", reader(store)?.count(&filter)).await?
        } else {
            let (removed, end) = remove(keeper(store, "purged")?, cutoff).await;
            // What is gone is recorded, whatever ended the work.
            let record = record(&args.older_than, cutoff, removed);
            persist(|| store.append(std::slice::from_ref(&record)))
                .await
                .map_err(|cause| Failure::Unrecorded { removed, cause })?;
            end?;
            removed
        };
        let mut out = Output::new();
        writeln!(out, "{count}")?;
        Ok(out.flush()?)
    })
    .await
}

/// Removes chunk after chunk; says how many events are gone, and whether that was all.
async fn remove(keeper: &dyn Keeper, cutoff: Timestamp) -> (u64, Result<(), Failure>) {
    // A chunk that is gone without a record would be a hole in the log.
    let mut interrupt = std::pin::pin!(interrupt());
    let mut progress = Progress::new("events removed", true);
    let mut removed = 0;
    loop {
        let started = Instant::now();
        let chunk = match persist(|| keeper.purge(cutoff, CHUNK_EVENTS)).await {
            Ok(chunk) => chunk,
            Err(cause) => return (removed, Err(Failure::PurgeStopped { removed, cause })),
        };
        removed += chunk.removed;
        progress.at(removed);
        if !chunk.more {
            return (removed, Ok(()));
        }
        tokio::select! {
            () = &mut interrupt => return (removed, Err(Failure::Interrupted { removed })),
            () = tokio::time::sleep(pause_after(started.elapsed())) => {}
        }
    }
}

/// Tries again what fails for now, such as a lock that busy writers hardly ever let go of, for [`PERSISTENCE`].
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

fn record(older_than: &str, cutoff: Timestamp, removed: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUDIT_PURGE);
    if let Some(user) = super::user() {
        event.actor = Actor::user(user);
    }
    event.details.insert("cutoff".into(), cutoff.to_string().into());
    event.details.insert("older_than".into(), older_than.into());
    event.details.insert("removed".into(), removed.into());
    event.fit();
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_audit::store::{AuditStore as _, MemoryStore};

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
            let (removed, end) = remove(&store, "2021-01-01T00:00:00Z".parse().unwrap()).await;
            assert!(end.is_ok());
            assert_eq!(removed, count as u64);
            assert_eq!(store.events(), [events.pop().unwrap()]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_now_is_tried_again_and_what_fails_for_good_is_not() {
        use tower_audit::store::StoreErrorKind::{Permanent, Transient};
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
