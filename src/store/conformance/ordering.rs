//! Newest first, ties by id.

use super::Harness;
use super::assertions::{append, assert_holds};
use super::fixtures::{event, event_at, events, shuffled};
use crate::event::{AuditEvent, EventId};

pub(super) async fn newest_come_first(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..200);
    for batch in shuffled(all.clone()).chunks(23) {
        append(&*fresh.store, batch).await;
    }
    assert_holds(&*fresh.store, &all, "events of any order").await;
}

pub(super) async fn ties_are_ordered_by_id(harness: &Harness) {
    let fresh = harness.fresh().await;
    // Three instants, a hundred events each; within an instant the ids are no neighbours.
    let all: Vec<_> = (0..300).map(|number| event_at(number, (number % 3) as i64)).collect();
    for batch in shuffled(all.clone()).chunks(31) {
        append(&*fresh.store, batch).await;
    }
    assert_holds(&*fresh.store, &all, "ties").await;
}

pub(super) async fn late_events_find_their_place(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all: Vec<_> = (0..100).map(|number| event_at(number, 1000 + number as i64)).collect();
    append(&*fresh.store, &all).await;
    // Late in order of arrival, early in time; greater ids, so that the order is not that of the ids either.
    let late = [event_at(500, 0), event_at(501, 1050), event_at(502, 999)];
    for event in late {
        append(&*fresh.store, std::slice::from_ref(&event)).await;
        all.push(event);
        assert_holds(&*fresh.store, &all, "with a late event").await;
    }
    // An early id at a late time.
    let swapped = AuditEvent { event_id: EventId::from_u128(7), ..event(5000) };
    append(&*fresh.store, std::slice::from_ref(&swapped)).await;
    all.push(swapped);
    assert_holds(&*fresh.store, &all, "with an early id").await;
}
