//! Checks of a store's self-description and of closing it.

use std::time::Duration;

use super::Harness;
use super::assertions::{append, assert_holds};
use super::fixtures::{event, events};
use crate::store::AuditStore;

/// The timeout of a call that needs no work.
const SOON: Duration = Duration::from_secs(10);

async fn soon<T>(future: impl Future<Output = T>, what: &str) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} hangs"),
    }
}

async fn close(store: &dyn AuditStore) {
    if let Err(error) = soon(store.close(), "close").await {
        panic!("closing failed: {error}");
    }
}

async fn assert_healthy(store: &dyn AuditStore, when: &str) {
    if let Err(error) = soon(store.health(), "health").await {
        panic!("not healthy {when}: {error}");
    }
}

pub(super) async fn capabilities_never_change(harness: &Harness) {
    let fresh = harness.fresh().await;
    let store = &*fresh.store;
    let told = store.capabilities();
    assert!(!told.name.is_empty(), "the store has no name");
    assert!(told.max_parallel_appends >= 1, "the store serves no append at all");
    append(store, &[event(1)]).await;
    assert_eq!(store.capabilities(), told, "capabilities do not change");
}

pub(super) async fn a_working_store_is_healthy(harness: &Harness) {
    let fresh = harness.fresh().await;
    assert_healthy(&*fresh.store, "when fresh").await;
    append(&*fresh.store, &events(0..10)).await;
    assert_healthy(&*fresh.store, "after an append").await;
    assert_healthy(&*fresh.store, "a second time").await;
    append(&*fresh.store, &events(10..20)).await;
}

pub(super) async fn health_leaves_no_event_behind(harness: &Harness) {
    let fresh = harness.fresh().await;
    assert_healthy(&*fresh.store, "when fresh").await;
    assert_holds(&*fresh.store, &[], "after a look at the health").await;
    append(&*fresh.store, &events(0..10)).await;
    for _ in 0..3 {
        assert_healthy(&*fresh.store, "after an append").await;
    }
    assert_holds(&*fresh.store, &events(0..10), "after looks at the health").await;
}

pub(super) async fn a_closed_store_refuses_appends(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..10)).await;
    close(&*fresh.store).await;
    for _ in 0..2 {
        let answer = soon(fresh.store.append(&[event(10)]), "an append to a closed store").await;
        assert!(answer.is_err(), "a closed store acknowledged an append");
    }
}

pub(super) async fn a_closed_store_is_not_healthy(harness: &Harness) {
    let fresh = harness.fresh().await;
    close(&*fresh.store).await;
    let answer = soon(fresh.store.health(), "the health of a closed store").await;
    assert!(answer.is_err(), "a closed store says that the next append would be accepted");
}

pub(super) async fn closing_keeps_every_event(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &events(0..300)).await;
    let second = fresh.backing.reopen().await;
    close(&*fresh.store).await;
    append(&*second, &events(300..310)).await;
    assert_holds(&*second, &events(0..310), "by a handle that is still open").await;
    close(&*second).await;
    drop((fresh.store, second));
    let third = fresh.backing.reopen().await;
    assert_holds(&*third, &events(0..310), "by a handle that was opened later").await;
    append(&*third, &[event(310)]).await;
}
