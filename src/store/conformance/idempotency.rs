//! The id is the key: what is appended again is kept once, as it was given first.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::Harness;
use super::assertions::{append, assert_holds, assert_selects, event_of};
use super::fixtures::{at, event, events, full_event, id};
use crate::event::{AuditEvent, Phase};
use crate::query::Filter;

pub(super) async fn a_repeated_batch_is_kept_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..50);
    for _ in 0..3 {
        append(&*fresh.store, &all).await;
        assert_holds(&*fresh.store, &all, "the same batch again").await;
    }
    for event in &all {
        append(&*fresh.store, std::slice::from_ref(event)).await;
    }
    assert_holds(&*fresh.store, &all, "each event again").await;
}

pub(super) async fn a_repeat_within_a_batch_is_kept_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    let batch = [event(1), event(2), event(1), event(3), event(3), event(1)];
    append(&*fresh.store, &batch).await;
    assert_holds(&*fresh.store, &events(1..4), "an event several times in a batch").await;
    let other = AuditEvent { outcome: Some(500), ..event(4) };
    append(&*fresh.store, &[event(4), other]).await;
    assert_holds(&*fresh.store, &events(1..5), "an id several times in a batch: the first is kept").await;
}

pub(super) async fn the_first_of_an_id_wins(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..10);
    append(&*fresh.store, &all).await;
    let mut renamed = event(3);
    renamed.actor.user_email = Some("mallory@example.org".into());
    let later = AuditEvent { created_at: at(1_000_000), ..event(3) };
    let earlier = AuditEvent { created_at: at(-1_000_000), ..event(3) };
    let other_phase = AuditEvent { phase: Phase::Unknown, outcome: None, ..event(3) };
    let longer = AuditEvent { event_id: id(3), ..full_event(3) };
    for other in [renamed, later, earlier, other_phase, longer] {
        append(&*fresh.store, std::slice::from_ref(&other)).await;
        assert_eq!(event_of(&*fresh.store, id(3)).await, Some(event(3)), "after another event with its id: {other:?}");
        assert_holds(&*fresh.store, &all, "after another event with an id that is kept").await;
        let by_phase = Filter { phase: Phase::Unknown.into(), ..Filter::default() };
        assert_selects(&*fresh.store, by_phase, &[], "by what the other event says").await;
        let by_user = Filter { user_email: "mallory@example.org".into(), ..Filter::default() };
        assert_selects(&*fresh.store, by_user, &[], "by what the other event says").await;
    }
}

pub(super) async fn overlapping_batches_lose_nothing(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..20)).await;
    append(&*fresh.store, &events(10..30)).await;
    assert_holds(&*fresh.store, &events(0..30), "a batch that begins in another").await;
    append(&*fresh.store, &events(25..60).into_iter().rev().collect::<Vec<_>>()).await;
    append(&*fresh.store, &[event(0), event(60), event(59), event(61), event(5)]).await;
    assert_holds(&*fresh.store, &events(0..62), "repeats and new events mixed").await;
}

pub(super) async fn repeats_at_the_same_time_are_kept_once(harness: &Harness) {
    const TASKS: usize = 8;
    let fresh = harness.fresh().await;
    let start = Arc::new(Barrier::new(TASKS));
    let tasks = (0..TASKS).map(|_| {
        let (store, start) = (fresh.store.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            for first in 0..10 {
                append(&*store, &events(first * 10..first * 10 + 15)).await;
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("every task appends");
    }
    assert_holds(&*fresh.store, &events(0..105), "the same batches from many tasks").await;
}

pub(super) async fn repeats_are_known_after_reopening(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..40)).await;
    if let Err(error) = fresh.store.close().await {
        panic!("closing failed: {error}");
    }
    let second = fresh.backing.reopen().await;
    append(&*second, &events(20..60)).await;
    let other = AuditEvent { outcome: Some(500), ..event(0) };
    append(&*second, &[other]).await;
    assert_holds(&*second, &events(0..60), "repeats after reopening").await;
}
