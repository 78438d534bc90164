//! `init` destroys everything; `migrate` nothing.

use futures_util::future::join_all;

use super::Harness;
use super::assertions::{append, assert_holds, event_of, keeper};
use super::fixtures::{event, events, id};
use crate::store::AuditStore;

async fn init(store: &dyn AuditStore) {
    if let Err(error) = keeper(store).recreate().await {
        panic!("init failed: {error}");
    }
}

async fn ensure_indexes(store: &dyn AuditStore) {
    if let Err(error) = keeper(store).migrate().await {
        panic!("ensure_indexes failed: {error}");
    }
}

pub(super) async fn init_empties_the_store(harness: &Harness) {
    let fresh = harness.fresh().await;
    init(&*fresh.store).await;
    assert_holds(&*fresh.store, &[], "init of an empty store").await;
    append(&*fresh.store, &events(0..500)).await;
    init(&*fresh.store).await;
    assert_holds(&*fresh.store, &[], "init").await;
    assert_eq!(event_of(&*fresh.store, id(7)).await, None, "after init");
}

pub(super) async fn init_leaves_a_store_that_works(harness: &Harness) {
    let fresh = harness.fresh().await;
    for round in 0..3 {
        append(&*fresh.store, &events(round * 10..round * 10 + 10)).await;
        init(&*fresh.store).await;
    }
    append(&*fresh.store, &events(100..120)).await;
    assert_holds(&*fresh.store, &events(100..120), "appended after init").await;
    if let Err(error) = fresh.store.health().await {
        panic!("not healthy after init: {error}");
    }
}

pub(super) async fn init_forgets_the_ids(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..20)).await;
    init(&*fresh.store).await;
    append(&*fresh.store, &events(10..30)).await;
    assert_holds(&*fresh.store, &events(10..30), "ids from before init").await;
}

pub(super) async fn ensure_indexes_works_on_a_fresh_store(harness: &Harness) {
    let fresh = harness.fresh().await;
    ensure_indexes(&*fresh.store).await;
    append(&*fresh.store, &events(0..10)).await;
    if fresh.store.parts().reader.is_some() {
        assert_holds(&*fresh.store, &events(0..10), "appended after ensure_indexes").await;
    }
}

pub(super) async fn ensure_indexes_leaves_every_event(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..500)).await;
    ensure_indexes(&*fresh.store).await;
    assert_holds(&*fresh.store, &events(0..500), "after ensure_indexes").await;
    append(&*fresh.store, &[event(3), event(500)]).await;
    assert_holds(&*fresh.store, &events(0..501), "a repeat after ensure_indexes").await;
}

pub(super) async fn ensure_indexes_can_be_repeated(harness: &Harness) {
    let fresh = harness.fresh().await;
    for round in 0..4 {
        ensure_indexes(&*fresh.store).await;
        append(&*fresh.store, &[event(round)]).await;
    }
    if fresh.store.parts().reader.is_some() {
        assert_holds(&*fresh.store, &events(0..4), "after ensure_indexes four times").await;
    }
}

pub(super) async fn ensure_indexes_by_several_at_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..100)).await;
    let mut handles = vec![fresh.store.clone()];
    for _ in 0..3 {
        handles.push(fresh.ground.reopen().await);
    }
    let tasks = (1..).zip(handles.iter().cloned()).map(|(first, store)| {
        tokio::spawn(async move {
            ensure_indexes(&*store).await;
            append(&*store, &events(first * 100..first * 100 + 100)).await;
            ensure_indexes(&*store).await;
        })
    });
    for task in join_all(tasks).await {
        task.expect("every handle provisions");
    }
    for handle in &handles {
        assert_holds(&**handle, &events(0..500), "after ensure_indexes by several").await;
    }
}
