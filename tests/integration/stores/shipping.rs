//! `StoreSource` and `Shipper`: every event of a store once, in the order of their times, late ones too.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::shipping::{ShipProgress, ShipSource as _, Shipper, StoreSource};
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{AuditStore, Durability, MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, EventId, EventType, Timestamp};

fn at(micros: i64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.created_at = Timestamp::from_micros(micros).expect("in range");
    event
}

async fn drained(source: &mut StoreSource, at_most: usize) -> Vec<EventId> {
    let mut found = Vec::new();
    loop {
        let events = source.next(at_most).await.expect("it is read");
        source.acknowledge().await.expect("it is read");
        if events.is_empty() {
            return found;
        }
        found.extend(events.iter().map(|event| event.event_id));
    }
}

#[tokio::test]
async fn every_event_of_all_of_time_comes_once_and_in_order() {
    let (least, now) = (Timestamp::MIN.as_micros(), Timestamp::now().as_micros());
    let mut times = vec![least, least, least + 1, -1, 0, 1, now - 10_000_000, now];
    // More in one microsecond than a page has, and a crowd around it.
    times.extend([1_000_000; 50]);
    times.extend((0..500).map(|n| 1_000_000_000 + n * 37 % 1000));
    let store = MemoryStore::new();
    let events: Vec<_> = times.iter().map(|micros| at(*micros)).collect();
    store.append(&events).await.unwrap();
    let mut expected: Vec<_> = events.iter().map(|event| (event.created_at, event.event_id)).collect();
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    for at_most in [1, 2, 7, 49, 50, 1000] {
        let mut source = StoreSource::new(Arc::new(store.clone())).unwrap();
        assert_eq!(drained(&mut source, at_most).await, expected, "{at_most} at most");
        assert!(drained(&mut source, at_most).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_appears_late_is_found() {
    let store = MemoryStore::new();
    let now = Timestamp::now().as_micros();
    store.append(&[at(now - 5_000_000), at(now - 1)]).await.unwrap();
    let mut source = StoreSource::new(Arc::new(store.clone())).unwrap();
    assert_eq!(drained(&mut source, 100).await.len(), 2);
    let late = at(now - 3_000_000);
    store.append(std::slice::from_ref(&late)).await.unwrap();
    // The last minute is read again every quarter of a minute.
    tokio::time::advance(Duration::from_secs(16)).await;
    assert_eq!(drained(&mut source, 100).await, [late.event_id]);
    tokio::time::advance(Duration::from_secs(16)).await;
    assert!(drained(&mut source, 100).await.is_empty());
}

/// The clock of the events is the system's: the test waits for the half second by which it goes on.
#[tokio::test]
async fn an_event_that_appears_while_the_target_is_away_is_found() {
    let overlap = Duration::from_millis(500);
    let store = MemoryStore::new();
    let begun = Timestamp::now().as_micros();
    store.append(&[at(begun - 1_000_000)]).await.unwrap();
    let mut source = StoreSource::new(Arc::new(store.clone())).unwrap().overlap(overlap);
    assert_eq!(source.next(100).await.unwrap().len(), 1);
    // Its time is before the end of what was read.
    let late = at(begun);
    store.append(std::slice::from_ref(&late)).await.unwrap();
    while Timestamp::now().checked_sub(overlap).unwrap().as_micros() <= begun + 1_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    source.acknowledge().await.unwrap();
    assert_eq!(drained(&mut source, 100).await, [late.event_id]);
}

#[tokio::test]
async fn the_progress_is_kept_and_is_that_of_its_route() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("progress");
    let store = Arc::new(MemoryStore::new());
    let old = 1_000_000;
    store.append(&[at(old), at(old + 1)]).await.unwrap();
    let progress = ShipProgress::lock(&path, "a > b").await.unwrap();
    assert!(ShipProgress::try_lock(&path, "a > b").unwrap().is_none(), "another instance waits");
    let mut source = StoreSource::new(store.clone()).unwrap().progress(progress);
    assert_eq!(drained(&mut source, 10).await.len(), 2);
    drop(source);
    let error = ShipProgress::try_lock(&path, "a > c").unwrap_err();
    assert!(
        error.kind() == StoreErrorKind::Config && error.to_string().contains("another source or target"),
        "{error}"
    );
    let progress = ShipProgress::try_lock(&path, "a > b").unwrap().expect("it is free");
    let new = at(Timestamp::now().as_micros());
    store.append(std::slice::from_ref(&new)).await.unwrap();
    let mut source = StoreSource::new(store).unwrap().progress(progress);
    assert_eq!(drained(&mut source, 10).await, [new.event_id], "what is old is not read again");
    std::fs::write(&path, "half").unwrap();
    drop(source);
    assert!(ShipProgress::try_lock(&path, "a > b").unwrap_err().to_string().contains("cannot be used"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_doubles_nothing_and_a_refused_event_stops_or_is_set_aside() {
    let from = MemoryStore::new();
    let events: Vec<_> = (0..100).map(|n| at(1_000_000 + n)).collect();
    from.append(&events).await.unwrap();
    let to = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(to.clone()));
    faulty.set_fault(Some(Fault::StoresButReportsError));
    let shipper = |to: &FaultyStore| {
        let source = StoreSource::new(Arc::new(from.clone())).unwrap();
        Shipper::with_durability(source, Arc::new(to.clone()), Durability::Warn).unwrap()
    };
    let mut first = shipper(&faulty);
    while first.step().await.unwrap().events > 0 {}
    assert_eq!(to.events().len(), 100);
    assert!(faulty.appends() >= 2, "it was repeated");
    assert_eq!(first.status().get().events, 100);
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    let error = shipper(&faulty).give_up_after(Duration::from_secs(20)).step().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Permanent);
    let source = StoreSource::new(Arc::new(from.clone())).unwrap();
    let error = Shipper::new(source, Arc::new(MemoryStore::new())).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotDurable, "{error}");
}
