//! Checks of appends: acknowledged events are stored, unchanged, and visible to every handle.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::Harness;
use super::assertions::{append, assert_holds, assert_selects, count, event_of};
use super::fixtures::{event, events, id};
use crate::query::Filter;

pub(super) async fn a_batch_is_kept_whole(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all = Vec::new();
    let mut next = 0;
    for size in [1, 2, 3, 7, 31, 32, 33, 99, 100, 101, 255, 256, 257, 499, 500, 501, 999, 1000, 1001, 1999, 2000] {
        let batch = events(next..next + size);
        next += size;
        append(&*fresh.store, &batch).await;
        all.extend(batch);
        assert_eq!(count(&*fresh.store, &Filter::default()).await, next, "the count after a batch of {size}");
    }
    assert_holds(&*fresh.store, &all, "batches of many sizes").await;
}

pub(super) async fn an_empty_batch_is_fine(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &[]).await;
    append(&*fresh.store, &[event(1)]).await;
    append(&*fresh.store, &[]).await;
    if fresh.store.parts().reader.is_some() {
        assert_holds(&*fresh.store, &[event(1)], "an empty batch adds nothing").await;
    }
}

pub(super) async fn acknowledged_events_are_visible(harness: &Harness) {
    let fresh = harness.fresh().await;
    for number in 0..50 {
        append(&*fresh.store, &[event(number)]).await;
        assert_eq!(event_of(&*fresh.store, id(number)).await, Some(event(number)), "right after its append");
        assert_selects(&*fresh.store, Filter::default(), &events(0..number + 1), "right after an append").await;
    }
}

pub(super) async fn acknowledged_events_are_visible_to_others(harness: &Harness) {
    let fresh = harness.fresh().await;
    let second = fresh.backing.reopen().await;
    for number in 0..30 {
        let (writer, reader) = if number % 2 == 0 { (&fresh.store, &second) } else { (&second, &fresh.store) };
        append(&**writer, &[event(number)]).await;
        assert_eq!(event_of(&**reader, id(number)).await, Some(event(number)), "by another handle");
        assert_holds(&**reader, &events(0..number + 1), "by another handle").await;
    }
    let third = fresh.backing.reopen().await;
    assert_holds(&*third, &events(0..30), "by a handle that was opened later").await;
}

pub(super) async fn concurrent_appends_are_all_kept(harness: &Harness) {
    const TASKS: u64 = 16;
    const BATCHES: u64 = 12;
    let fresh = harness.fresh().await;
    let start = Arc::new(Barrier::new(TASKS as usize));
    let tasks = (0..TASKS).map(|task| {
        let (store, start) = (fresh.store.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            for batch in 0..BATCHES {
                let first = (task * BATCHES + batch) * 5;
                append(&*store, &events(first..first + 5)).await;
                let last = id(first + 4);
                assert!(event_of(&*store, last).await.is_some(), "acknowledged among others and not there: {last}");
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("every task appends");
    }
    assert_holds(&*fresh.store, &events(0..TASKS * BATCHES * 5), "appends of many tasks").await;
}

pub(super) async fn two_handles_append_side_by_side(harness: &Harness) {
    const BATCHES: u64 = 25;
    let fresh = harness.fresh().await;
    let handles = [fresh.store.clone(), fresh.backing.reopen().await, fresh.backing.reopen().await];
    let start = Arc::new(Barrier::new(handles.len()));
    let tasks = (0..).zip(handles.iter().cloned()).map(|(task, store)| {
        let start = start.clone();
        tokio::spawn(async move {
            start.wait().await;
            for batch in 0..BATCHES {
                let first = (task * BATCHES + batch) * 3;
                append(&*store, &events(first..first + 3)).await;
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("every handle appends");
    }
    for handle in &handles {
        assert_holds(&**handle, &events(0..3 * BATCHES * 3), "appends of several handles").await;
    }
}
