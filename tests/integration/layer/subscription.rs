//! A feed of durable events: after the store, in order, bounded, with its gaps named.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::writer::{Delivery, MAX_SUBSCRIPTION_EVENTS, Subscription};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, EventId, EventType, Phase};

use crate::layer::support::{answering, delete, let_others_run, memory_log};

fn event() -> AuditEvent {
    AuditEvent::new(EventType::new("order.placed").expect("a valid type"))
}

async fn next_event(feed: &mut Subscription) -> Arc<AuditEvent> {
    match feed.recv().await {
        Some(Delivery::Event(event)) => event,
        other => panic!("an event was expected: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_delivered_after_the_store_has_it_and_started_before_its_end() {
    let (log, memory) = memory_log().await;
    let (mut feed, mut other) = (log.subscribe(), log.subscribe());
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::FORBIDDEN));
    service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    let (started, end) = (next_event(&mut feed).await, next_event(&mut feed).await);
    assert_eq!((started.phase, end.phase, end.outcome), (Phase::Started, Phase::Completed, Some(403)));
    assert_eq!(end.request.started_event_id, Some(started.event_id));
    assert_eq!(memory.events(), [(*end).clone(), (*started).clone()]);
    assert_eq!([next_event(&mut other).await, next_event(&mut other).await], [started, end]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_store_has_not_acknowledged_is_not_delivered() {
    let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
    let log = AuditLog::builder().store(faulty.clone()).open().await.expect("the store is well for now");
    let mut feed = log.subscribe();
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    log.record(event()).await.expect_err("rejected");
    faulty.set_fault(None);
    faulty.pause_appends();
    let (id, recording) = {
        let (log, event) = (log.clone(), event());
        (event.event_id, tokio::spawn(async move { log.record(event).await }))
    };
    faulty.until_paused(1).await;
    assert_eq!(feed.recv().now_or_never(), None, "the store has not answered");
    faulty.resume_appends();
    assert_eq!(next_event(&mut feed).await.event_id, id);
    recording.await.expect("no panic").expect("recorded");
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_delays_nobody_and_is_told_of_its_gap() {
    let (log, memory) = memory_log().await;
    let mut slow = log.subscribe();
    let missed = 10;
    for _ in 0..MAX_SUBSCRIPTION_EVENTS + missed {
        log.record(event()).await.expect("nobody waits for the subscriber");
    }
    assert_eq!(slow.recv().await, Some(Delivery::Missed(missed as u64)));
    let mut expected: Vec<EventId> = memory.events().iter().map(|event| event.event_id).rev().skip(missed).collect();
    assert_eq!(next_event(&mut slow).await.event_id, expected.remove(0));
    log.record(event()).await.map(|id| expected.push(id)).expect("recorded");
    log.close().await.expect("it closes");
    let rest: Vec<EventId> = slow
        .into_stream()
        .map(|delivery| match delivery {
            Delivery::Event(event) => event.event_id,
            Delivery::Missed(_) => panic!("there is no second gap"),
        })
        .collect()
        .await;
    assert_eq!(rest, expected);
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_with_its_log() {
    let (log, _memory) = memory_log().await;
    let mut feed = log.subscribe();
    let waiting = tokio::spawn(async move { (feed.recv().await, feed.recv().await, feed.recv().await) });
    let_others_run().await;
    let id = log.record(event()).await.expect("recorded");
    log.close().await.expect("it closes");
    let (first, end, again) = waiting.await.expect("no panic");
    assert!(matches!(first, Some(Delivery::Event(event)) if event.event_id == id));
    assert_eq!((end, again), (None, None));
    assert_eq!(log.subscribe().recv().await, None, "the log is closed");
    assert_eq!(AuditLog::disabled().subscribe().recv().await, None, "auditing is off");
}

/// A handle of the log is not needed to wait for its events.
#[tokio::test(start_paused = true)]
async fn a_feed_ends_when_the_last_handle_is_dropped() {
    let (log, _memory) = memory_log().await;
    let mut feed = log.subscribe();
    let id = log.record(event()).await.expect("recorded");
    drop(log);
    assert_eq!(next_event(&mut feed).await.event_id, id);
    assert_eq!(feed.recv().await, None);
}
