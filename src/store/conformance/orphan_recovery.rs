//! The `started` events of the dead are closed, once; those of the living are not.
//!
//! In this suite the processes are handles: one that was closed or dropped counts as dead.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Harness;
use super::assertions::{append, assert_holds, assert_listing, event_of, found, newest_first};
use super::fixtures::{end_of, event, events, started};
use crate::event::{AuditEvent, EventId, Phase, Timestamp};
use crate::query::Filter;
use crate::store::AuditStore;

/// The timeout for a store to notice that a handle is gone.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// The number of searches for orphans after which one counts as missed.
const MOST_LOOKS: usize = 20_000;

/// Returns the event that ends an orphan: a new event on each call, as from a log.
fn closing(started: &AuditEvent) -> AuditEvent {
    AuditEvent { event_id: EventId::new(), ..end_of(started, 1_000_000, Phase::Unknown) }
}

/// The store has these events, and for each of the orphans one event that closes it.
async fn assert_closed(store: &dyn AuditStore, events: &[AuditEvent], orphans: &[AuditEvent], what: &str) {
    let all = found(store, Filter::default()).await;
    let (closing, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|event| event.phase == Phase::Unknown);
    assert_listing(&others, &newest_first(events.iter().cloned()), what);
    let mut closed: Vec<_> = closing.iter().filter_map(|event| event.request.started_event_id).collect();
    closed.sort_unstable();
    let mut expected: Vec<_> = orphans.iter().map(|event| event.event_id).collect();
    expected.sort_unstable();
    assert_eq!(closed, expected, "{what}: the events that the closing events name");
    assert_eq!(closing.len(), expected.len(), "{what}: the number of closing events");
}

async fn close_orphans(store: &dyn AuditStore) -> u64 {
    let orphans = store.parts().recovery.expect("the check said that it needs this part");
    match orphans.recover(&closing).await {
        Ok(closed) => closed,
        Err(error) => panic!("closing orphans failed: {error}"),
    }
}

async fn close(store: Arc<dyn AuditStore>) {
    if let Err(error) = store.close().await {
        panic!("closing failed: {error}");
    }
}

pub(super) async fn the_living_are_left_alone(harness: &Harness) {
    let fresh = harness.fresh().await;
    let second = fresh.backing.reopen().await;
    let mut old = started(3);
    old.created_at = Timestamp::from_micros(0).expect("1970 is in range");
    let all = [started(1), started(2), old, event(4)];
    append(&*fresh.store, &all).await;
    assert_eq!(close_orphans(&*second).await, 0, "the writer lives");
    assert_eq!(close_orphans(&*fresh.store).await, 0, "the writer itself lives");
    let third = fresh.backing.reopen().await;
    assert_eq!(close_orphans(&*third).await, 0, "the writer lives, whoever comes later");
    assert_holds(&*second, &all, "while the writer lives").await;
    append(&*fresh.store, &[end_of(&all[0], 5, Phase::Completed)]).await;
}

pub(super) async fn completed_events_are_left_alone(harness: &Harness) {
    let fresh = harness.fresh().await;
    let first = started(1);
    let second = started(2);
    // The end of one comes later, that of the other in the same batch, and the end may have come before.
    append(&*fresh.store, std::slice::from_ref(&first)).await;
    append(&*fresh.store, &[end_of(&first, 3, Phase::Completed)]).await;
    append(&*fresh.store, &[second.clone(), end_of(&second, 4, Phase::Completed)]).await;
    close(fresh.store).await;
    let other = fresh.backing.reopen().await;
    assert_eq!(close_orphans(&*other).await, 0, "everything was completed");
    let all =
        [first.clone(), second.clone(), end_of(&first, 3, Phase::Completed), end_of(&second, 4, Phase::Completed)];
    assert_holds(&*other, &all, "what was completed").await;
}

pub(super) async fn the_dead_are_closed_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    let orphans: Vec<_> = (0..150).map(started).collect();
    let ended: Vec<_> = (200..250).map(started).collect();
    let ends: Vec<_> = ended.iter().zip(300..).map(|(event, number)| end_of(event, number, Phase::Completed)).collect();
    let all = [orphans.clone(), ended, ends, events(400..450)].concat();
    for batch in all.chunks(33) {
        append(&*fresh.store, batch).await;
    }
    close(fresh.store).await;
    let second = fresh.backing.reopen().await;
    assert_eq!(close_orphans(&*second).await, 150, "the writer is dead");
    assert_closed(&*second, &all, &orphans, "after the dead were closed").await;
    assert_eq!(close_orphans(&*second).await, 0, "each is closed once");
    close(second).await;
    let third = fresh.backing.reopen().await;
    assert_eq!(close_orphans(&*third).await, 0, "each is closed once, whoever comes later");
    assert_closed(&*third, &all, &orphans, "after the dead were looked for again").await;
}

pub(super) async fn the_first_to_come_closes(harness: &Harness) {
    let fresh = harness.fresh().await;
    let orphans: Vec<_> = (0..40).map(started).collect();
    append(&*fresh.store, &orphans).await;
    close(fresh.store).await;
    let (second, third) = (fresh.backing.reopen().await, fresh.backing.reopen().await);
    let racer = third.clone();
    let race = tokio::spawn(async move { close_orphans(&*racer).await });
    let closed = close_orphans(&*second).await + race.await.expect("the racer only closes");
    assert_eq!(closed, 40, "what two closed together");
    assert_closed(&*third, &orphans, &orphans, "after a race").await;
}

pub(super) async fn a_dropped_handle_is_dead(harness: &Harness) {
    let fresh = harness.fresh().await;
    let orphan = started(1);
    append(&*fresh.store, std::slice::from_ref(&orphan)).await;
    let second = fresh.backing.reopen().await;
    assert_eq!(close_orphans(&*second).await, 0, "the writer lives");
    drop(fresh.store);
    let noticing = async {
        for _ in 0..MOST_LOOKS {
            match close_orphans(&*second).await {
                0 => tokio::task::yield_now().await,
                closed => return closed,
            }
        }
        0
    };
    let closed = tokio::time::timeout(NOTICED_WITHIN, noticing).await;
    assert_eq!(closed, Ok(1), "a handle that was dropped counts as dead");
    let orphan = [orphan];
    assert_closed(&*second, &orphan, &orphan, "after the dropped handle's orphan was closed").await;
}

pub(super) async fn unknown_events_are_stored(harness: &Harness) {
    let fresh = harness.fresh().await;
    let orphan = started(1);
    append(&*fresh.store, std::slice::from_ref(&orphan)).await;
    close(fresh.store).await;
    let second = fresh.backing.reopen().await;
    let made = Mutex::new(Vec::new());
    let close = |started: &AuditEvent| {
        let mut event = closing(started);
        event.details.insert("why".into(), "the process ended before it could say".into());
        made.lock().expect("nothing panics under this lock").push(event.clone());
        event
    };
    let part = second.parts().recovery.expect("the check said that it needs this part");
    let closed = part.recover(&close).await.expect("closing orphans works");
    assert_eq!(closed, 1);
    let made = made.into_inner().expect("nothing panicked under this lock");
    let kept: Vec<_> = found(&*second, Filter { phase: Phase::Unknown.into(), ..Filter::default() }).await;
    assert_eq!(kept.len(), 1, "one closing event");
    assert!(made.contains(&kept[0]), "what is kept is what `close` made\n kept {kept:?}\n made {made:?}");
    assert_eq!(event_of(&*second, kept[0].event_id).await.as_ref(), kept.first(), "it is found by its id");
}
