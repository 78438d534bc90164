//! The faulty store itself, on which the tests of the middleware rely.

use std::sync::Arc;

use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{AuditStore, MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, EventType};

fn faulty(fault: Option<Fault>) -> (MemoryStore, FaultyStore) {
    let inside = MemoryStore::new();
    let store = FaultyStore::new(Arc::new(inside.clone()));
    store.set_fault(fault);
    (inside, store)
}

fn some_event() -> [AuditEvent; 1] {
    [AuditEvent::new(EventType::UPLOAD)]
}

#[tokio::test]
async fn without_a_fault_it_does_what_the_store_inside_does() {
    let (inside, store) = faulty(None);
    store.append(&some_event()).await.unwrap();
    assert_eq!(inside.events().len(), 1);
    assert_eq!((store.appends(), store.paused_appends()), (1, 0));
}

#[tokio::test]
async fn it_fails_as_told_until_it_is_healed() {
    let (inside, store) = faulty(None);
    for kind in [StoreErrorKind::Transient, StoreErrorKind::Permanent] {
        store.set_fault(Some(Fault::FailsAppend(kind)));
        assert_eq!(store.append(&some_event()).await.unwrap_err().kind(), kind);
    }
    store.set_fault(None);
    store.append(&some_event()).await.unwrap();
    assert_eq!((inside.events().len(), store.appends()), (1, 3));
}

#[tokio::test]
async fn it_fails_the_first_appends_and_then_works() {
    let (inside, store) = faulty(Some(Fault::FailsFirst(2)));
    let event = some_event();
    assert!(store.append(&event).await.unwrap_err().is_transient());
    assert!(store.append(&event).await.unwrap_err().is_transient());
    assert!(inside.events().is_empty());
    store.append(&event).await.unwrap();
    store.append(&some_event()).await.unwrap();
    assert_eq!(inside.events().len(), 2);
}

#[tokio::test]
async fn it_keeps_an_append_and_answers_an_error_once() {
    let (inside, store) = faulty(Some(Fault::StoresButReportsError));
    let event = some_event();
    assert!(store.append(&event).await.unwrap_err().is_transient());
    assert_eq!(inside.events().len(), 1);
    store.append(&event).await.unwrap();
    assert_eq!(inside.events().len(), 1);
}

#[tokio::test]
async fn it_panics() {
    let (_, store) = faulty(Some(Fault::Panics));
    let appending = tokio::spawn(async move { store.append(&some_event()).await });
    assert!(appending.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn it_hangs() {
    let (inside, store) = faulty(Some(Fault::HangsAppend));
    let hour = std::time::Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, store.append(&some_event())).await.is_err());
    assert!(inside.events().is_empty());
}

#[tokio::test]
async fn appends_are_held_until_they_are_released() {
    let (inside, store) = faulty(None);
    store.pause_appends();
    let appending: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.append(&some_event()).await })
        })
        .collect();
    store.until_paused(3).await;
    store.until_appends(3).await;
    assert!(inside.events().is_empty());
    store.resume_appends();
    for append in appending {
        append.await.unwrap().unwrap();
    }
    assert_eq!((inside.events().len(), store.paused_appends(), store.appends()), (3, 0, 3));
}

#[tokio::test]
async fn a_held_append_sees_the_fault_of_its_release() {
    let (inside, store) = faulty(None);
    store.pause_appends();
    let held = tokio::spawn({
        let store = store.clone();
        async move { store.append(&some_event()).await }
    });
    store.until_paused(1).await;
    store.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    store.resume_appends();
    assert!(held.await.unwrap().is_err());
    assert!(inside.events().is_empty());
}

#[tokio::test]
async fn a_held_append_can_be_given_up() {
    let (_, store) = faulty(None);
    store.pause_appends();
    let held = tokio::spawn({
        let store = store.clone();
        async move { store.append(&some_event()).await }
    });
    store.until_paused(1).await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    assert_eq!((store.paused_appends(), store.appends()), (0, 1));
}
