//! `recreate` destroys everything; `migrate` nothing.

use futures_util::future::join_all;

use super::Harness;
use super::assertions::{append, assert_holds, event_of, keeper};
use super::fixtures::{event, events, id};
use crate::store::AuditStore;

async fn recreate(store: &dyn AuditStore) {
    if let Err(error) = keeper(store).recreate().await {
        panic!("recreate failed: {error}");
    }
}

async fn migrate(store: &dyn AuditStore) {
    if let Err(error) = keeper(store).migrate().await {
        panic!("migrate failed: {error}");
    }
}

pub(super) async fn recreate_empties_the_store(harness: &Harness) {
    let fresh = harness.fresh().await;
    recreate(&*fresh.store).await;
    assert_holds(&*fresh.store, &[], "recreate of an empty store").await;
    append(&*fresh.store, &events(0..500)).await;
    recreate(&*fresh.store).await;
    assert_holds(&*fresh.store, &[], "recreate").await;
    assert_eq!(event_of(&*fresh.store, id(7)).await, None, "after recreate");
}

pub(super) async fn recreate_leaves_a_store_that_works(harness: &Harness) {
    let fresh = harness.fresh().await;
    for round in 0..3 {
        append(&*fresh.store, &events(round * 10..round * 10 + 10)).await;
        recreate(&*fresh.store).await;
    }
    append(&*fresh.store, &events(100..120)).await;
    assert_holds(&*fresh.store, &events(100..120), "appended after recreate").await;
    if let Err(error) = fresh.store.health().await {
        panic!("not healthy after recreate: {error}");
    }
}

pub(super) async fn recreate_forgets_the_ids(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..20)).await;
    recreate(&*fresh.store).await;
    append(&*fresh.store, &events(10..30)).await;
    assert_holds(&*fresh.store, &events(10..30), "ids from before recreate").await;
}

pub(super) async fn migrate_works_on_a_fresh_store(harness: &Harness) {
    let fresh = harness.fresh().await;
    migrate(&*fresh.store).await;
    append(&*fresh.store, &events(0..10)).await;
    if fresh.store.parts().reader.is_some() {
        assert_holds(&*fresh.store, &events(0..10), "appended after migrate").await;
    }
}

pub(super) async fn migrate_leaves_every_event(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..500)).await;
    migrate(&*fresh.store).await;
    assert_holds(&*fresh.store, &events(0..500), "after migrate").await;
    append(&*fresh.store, &[event(3), event(500)]).await;
    assert_holds(&*fresh.store, &events(0..501), "a repeat after migrate").await;
}

pub(super) async fn migrate_can_be_repeated(harness: &Harness) {
    let fresh = harness.fresh().await;
    for round in 0..4 {
        migrate(&*fresh.store).await;
        append(&*fresh.store, &[event(round)]).await;
    }
    if fresh.store.parts().reader.is_some() {
        assert_holds(&*fresh.store, &events(0..4), "after migrate four times").await;
    }
}

pub(super) async fn migrate_by_several_at_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..100)).await;
    let mut handles = vec![fresh.store.clone()];
    for _ in 0..3 {
        handles.push(fresh.backing.reopen().await);
    }
    let tasks = (1..).zip(handles.iter().cloned()).map(|(first, store)| {
        tokio::spawn(async move {
            migrate(&*store).await;
            append(&*store, &events(first * 100..first * 100 + 100)).await;
            migrate(&*store).await;
        })
    });
    for task in join_all(tasks).await {
        task.expect("every handle provisions");
    }
    for handle in &handles {
        assert_holds(&**handle, &events(0..500), "after migrate by several").await;
    }
}
