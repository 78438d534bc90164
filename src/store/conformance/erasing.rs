//! An erasure replaces the given events as it is told, everywhere where a value of them is, and nothing else.

use std::sync::Mutex;
use std::time::Duration;

use super::Harness;
use super::assertions::{append, assert_holds, assert_selects, count, erasure, event_of};
use super::fixtures::{at, end_of, event, event_at, events, full_event, shuffled, started};
use super::sealing::{seal_all, sealing};
use crate::event::{AuditEvent, EventId, Phase, Targets};
use crate::query::Filter;
use crate::store::{AuditStore, ErasedEvent, ReplaceEventFn, StoredSeed};

/// Returns the event without the values that an erasure blanks, and with some that it puts there.
fn blanked(event: &AuditEvent) -> AuditEvent {
    let mut event = event.clone();
    event.actor.user_email = Some("former-user-17".into());
    event.actor.acting_for = None;
    event.actor.api_key_hash = None;
    event.actor.remote_addr = None;
    event.targets = Targets::new();
    event.request.request_uri = None;
    event.request.user_agent = None;
    event.request.forwarded = None;
    event.request.request_id = None;
    event.request.trace_id = None;
    event.details.remove("list");
    event.mark_erased(["actor.user_email", "details"]);
    event
}

/// Blanks each event that is not blank yet.
fn blank(event: &AuditEvent, _: Option<&StoredSeed>) -> Option<ErasedEvent> {
    event.erased_cells().is_empty().then(|| ErasedEvent { event: blanked(event), seed: None })
}

async fn erase(store: &dyn AuditStore, ids: &[EventId], replace: ReplaceEventFn<'_>) -> u64 {
    match erasure(store).erase(ids, replace).await {
        Ok(replaced) => replaced,
        Err(error) => panic!("an erasure failed: {error}"),
    }
}

async fn finish(store: &dyn AuditStore) {
    if let Err(error) = erasure(store).finish().await {
        panic!("the end of an erasure failed: {error}");
    }
}

/// Moves what a store moves in the background.
async fn maintain(store: &dyn AuditStore) {
    while store.maintain().await.expect("maintenance") {}
}

pub(super) async fn only_the_given_events_are_replaced(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all: Vec<_> = (0..600).map(|number| if number % 2 == 0 { full_event(number) } else { event(number) }).collect();
    for (number, batch) in shuffled(all.clone()).chunks(70).enumerate() {
        append(&*fresh.store, batch).await;
        if number % 3 == 0 {
            maintain(&*fresh.store).await;
        }
    }
    let is_erased = |number: usize| number % 3 == 1;
    let expected = all.iter().enumerate().map(|(n, event)| if is_erased(n) { blanked(event) } else { event.clone() });
    let expected: Vec<_> = expected.collect();
    let ids: Vec<_> = (0..600).filter(|number| is_erased(*number)).map(|number| all[number].event_id).collect();
    let mut replaced = 0;
    for some in shuffled_ids(&ids).chunks(60) {
        replaced += erase(&*fresh.store, some, &blank).await;
    }
    assert_eq!(replaced, 200, "what the erasures say they replaced");
    assert_holds(&*fresh.store, &expected, "after the erasures").await;
    for (found, expected) in [(all[1].event_id, &expected[1]), (all[2].event_id, &expected[2])] {
        assert_eq!(event_of(&*fresh.store, found).await.as_ref(), Some(expected), "by its id");
    }
    finish(&*fresh.store).await;
    maintain(&*fresh.store).await;
    assert_holds(&*fresh.store, &expected, "after their end").await;
    let unknown = [event(9999).event_id, ids[0]];
    assert_eq!(
        erase(&*fresh.store, &unknown, &blank).await,
        0,
        "an id that is not there, and one that is erased already"
    );
    assert_eq!(erase(&*fresh.store, &[], &blank).await, 0, "no event");
    // The events are those of before to everything else.
    append(&*fresh.store, &all[..20]).await;
    assert_holds(&*fresh.store, &expected, "after the erased events were appended again").await;
}

fn shuffled_ids(ids: &[EventId]) -> Vec<EventId> {
    let mut ids = ids.to_vec();
    fastrand::Rng::with_seed(17).shuffle(&mut ids);
    ids
}

pub(super) async fn no_filter_finds_an_erased_value(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all: Vec<_> = (0..400).map(event).collect();
    for event in all.iter_mut().step_by(4) {
        let mut named = full_event(event.details["number"].as_u64().expect("a number"));
        named.actor.user_email = Some("carol@example.org".into());
        named.actor.remote_addr = Some("192.0.2.99".into());
        named.details.insert("list".into(), "for carol".into());
        *event = named;
    }
    for batch in all.chunks(90) {
        append(&*fresh.store, batch).await;
        maintain(&*fresh.store).await;
    }
    let filters = || {
        [
            Filter::new().user_email("carol@example.org"),
            Filter::new().remote_addr("192.0.2.99"),
            Filter::new().acting_for("alice@example.org"),
            Filter::new().target("order/7"),
            Filter::new().request_id("req-1"),
            Filter::new().trace_id("4bf92f3577b34da6a3ce929d0e0e4736"),
            Filter::new().detail("list", "for carol"),
        ]
    };
    for filter in filters() {
        assert_eq!(count(&*fresh.store, &filter).await, 100, "before the erasure: {filter:?}");
    }
    let ids: Vec<_> = all.iter().step_by(4).map(|event| event.event_id).collect();
    assert_eq!(erase(&*fresh.store, &ids, &blank).await, 100);
    for _ in 0..2 {
        for filter in filters() {
            assert_selects(&*fresh.store, filter.clone(), &[], &format!("after the erasure: {filter:?}")).await;
        }
        let pseudonym = Filter::new().user_email("former-user-17");
        let erased: Vec<_> = all.iter().step_by(4).map(blanked).collect();
        assert_selects(&*fresh.store, pseudonym, &erased, "what stands there now").await;
        finish(&*fresh.store).await;
        maintain(&*fresh.store).await;
    }
}

pub(super) async fn events_that_are_left_as_they_are_stay(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all: Vec<_> = (0..60).map(full_event).collect();
    append(&*fresh.store, &all).await;
    let ids: Vec<_> = all.iter().map(|event| event.event_id).collect();
    let seen = Mutex::new(Vec::new());
    let replace = |event: &AuditEvent, seed: Option<&StoredSeed>| {
        assert!(seed.is_none(), "nobody seals this log");
        seen.lock().expect("nothing panics under this lock").push(event.clone());
        (event.event_id == ids[7]).then(|| ErasedEvent { event: blanked(event), seed: None })
    };
    assert_eq!(erase(&*fresh.store, &ids, &replace).await, 1, "the others were to stay");
    // A transaction may be repeated.
    let seen = seen.into_inner().expect("nothing panicked under this lock");
    assert!(all.iter().all(|event| seen.contains(event)), "the events are given as they are stored");
    let mut expected = all.clone();
    expected[7] = blanked(&all[7]);
    assert_holds(&*fresh.store, &expected, "one was replaced").await;
}

pub(super) async fn an_erasure_spares_concurrent_appends(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..400);
    append(&*fresh.store, &all).await;
    let added: Vec<_> = (0..100).map(|number| event_at(200_000 + number, number as i64)).collect();
    let (store, batches) = (fresh.store.clone(), added.clone());
    let writer = tokio::spawn(async move {
        for batch in batches.chunks(2) {
            append(&*store, batch).await;
            tokio::task::yield_now().await;
        }
    });
    let ids: Vec<_> = all.iter().map(|event| event.event_id).collect();
    let mut replaced = 0;
    for some in ids.chunks(9) {
        replaced += erase(&*fresh.store, some, &blank).await;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer only appends");
    assert_eq!(replaced, 400, "what the erasures say they replaced");
    let expected: Vec<_> = all.iter().map(blanked).chain(added).collect();
    assert_holds(&*fresh.store, &expected, "what was appended during the erasures").await;
}

/// The event that ends an open one repeats its actor.
pub(super) async fn the_copy_of_an_open_event_is_replaced(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut open = started(1);
    open.actor.user_email = Some("carol@example.org".into());
    append(&*fresh.store, std::slice::from_ref(&open)).await;
    assert_eq!(erase(&*fresh.store, &[open.event_id], &blank).await, 1);
    finish(&*fresh.store).await;
    fresh.store.close().await.expect("it closes");
    let second = fresh.backing.reopen().await;
    let given = Mutex::new(Vec::new());
    let close = |started: &AuditEvent| {
        given.lock().expect("nothing panics under this lock").push(started.clone());
        AuditEvent { event_id: EventId::new(), created_at: at(9), ..end_of(started, 1_000_000, Phase::Unknown) }
    };
    let recovery = second.parts().recovery.expect("the check said that it needs this part");
    let looking = async {
        while recovery.recover(&close).await.expect("closing orphans works") == 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(NOTICED_WITHIN, looking).await.is_ok(), "the writer is dead");
    let given = given.into_inner().expect("nothing panicked under this lock");
    assert!(given.iter().all(|given| *given == blanked(&open)), "the copy is the event as it is now: {given:?}");
}

pub(super) async fn seed_and_event_are_replaced_together(harness: &Harness) {
    let fresh = harness.fresh().await;
    let sealing = sealing(&*fresh.store);
    let all: Vec<_> = (0..50).map(full_event).collect();
    append(&*fresh.store, &all).await;
    seal_all(sealing, 100).await;
    let before = sealing.leaves(0, 100).await.expect("leaves");
    let erased = [before[10].clone(), before[20].clone()];
    let ids = erased.each_ref().map(|leaf| leaf.event_id);
    let bytes = |seed: &StoredSeed| match seed {
        StoredSeed::Whole(seed) => [b"what is left of ", seed.as_slice()].concat(),
        other => panic!("the seed is not the one that was stored: {other:?}"),
    };
    let replace = |event: &AuditEvent, seed: Option<&StoredSeed>| {
        let seed = seed.expect("the event has a leaf");
        Some(ErasedEvent { event: blanked(event), seed: Some(bytes(seed)) })
    };
    assert_eq!(erase(&*fresh.store, &ids, &replace).await, 2);
    finish(&*fresh.store).await;
    let after = sealing.leaves(0, 100).await.expect("leaves");
    for (before, after) in before.iter().zip(&after) {
        let mut expected = before.clone();
        if ids.contains(&before.event_id) {
            expected.seed = StoredSeed::from_bytes(&bytes(&before.seed));
        }
        assert!(*after == expected, "leaf {}: {after:?}", before.index);
    }
    let events = sealing.events(&ids).await.expect("events");
    assert_eq!(events.len(), 2);
    for event in &events {
        let whole = all.iter().find(|whole| whole.event_id == event.event_id).expect("it was appended");
        assert_eq!(*event, blanked(whole));
    }
    assert!(sealing.unsealed("", 100).await.expect("unsealed events").events.is_empty(), "they have their leaves");
}

/// The timeout for a store to notice that a handle is gone.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
