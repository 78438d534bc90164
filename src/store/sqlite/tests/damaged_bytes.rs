//! Damaged bytes in the journal: one costs one event, wherever it is read, moved, counted or purged.

use std::collections::HashSet;

use super::*;
use crate::store::StoreAdmin as _;
use crate::store::sqlite::segments::segment_row;

const EVENTS_IN_ROW: usize = 4;

/// The places in a row's text at which a bit is changed: everything around the beginnings and ends of its events, and some
/// of what is between.
fn places(text: &str) -> Vec<usize> {
    let beginnings: Vec<usize> = text.match_indices("{\"event_id\":").map(|(at, _)| at).collect();
    let ends = beginnings.iter().map(|at| at.saturating_sub(3));
    let around: HashSet<usize> = beginnings.iter().copied().chain(ends).flat_map(|at| at..at + 13).collect();
    let last = text.len() - 4..text.len();
    let mut places: Vec<usize> = around.into_iter().chain((0..text.len()).step_by(17)).chain(last).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// A log with a row for each of these damages.
async fn damaged(place: &Place) -> (SqliteStore, Vec<Vec<AuditEvent>>) {
    let store = place.open().await;
    let mut batches = Vec::new();
    let first: Vec<_> = events(0..EVENTS_IN_ROW as u64);
    for _ in places(&serde_json::to_string(&first).unwrap()) {
        let begin = batches.len() as u64 * 10;
        batches.push(events(begin..begin + EVENTS_IN_ROW as u64));
    }
    let mut raw = place.raw().await;
    for (number, batch) in batches.iter().enumerate() {
        store.append(batch).await.unwrap();
        let mut text = serde_json::to_string(batch).unwrap().into_bytes();
        let places = places(str::from_utf8(&text).unwrap());
        let at = places[number % places.len()];
        text[at] ^= 1 << (number % 8);
        sqlx::query(
            "UPDATE audit_journal SET events = CAST(?1 AS TEXT) WHERE seq = (SELECT max(seq) FROM audit_journal)",
        )
        .bind(text)
        .execute(&mut raw)
        .await
        .unwrap();
    }
    (store, batches)
}

/// Every row has as many events as before, and all but one of them are what they were.
async fn assert_others_are_whole(store: &SqliteStore, batches: &[Vec<AuditEvent>]) -> Vec<AuditEvent> {
    let listed = all(store).await;
    assert_eq!(listed.len(), batches.len() * EVENTS_IN_ROW);
    assert_eq!(store.count(&Filter::default()).await.unwrap(), listed.len() as u64);
    let ids: HashSet<_> = listed.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), listed.len());
    for batch in batches {
        let lost: Vec<_> = batch.iter().filter(|event| !listed.contains(event)).collect();
        assert!(lost.len() <= 1, "{lost:?}");
        for event in batch.iter().filter(|event| !lost.contains(event)) {
            assert_eq!(store.get(event.event_id).await.unwrap().as_ref(), Some(event));
        }
    }
    let of_user = Filter { user_email: "user3".into(), ..Filter::default() };
    let counted = listed.iter().filter(|event| event.actor.user_email.as_deref() == Some("user3")).count();
    assert_eq!(store.count(&of_user).await.unwrap(), counted as u64);
    listed
}

#[tokio::test]
async fn a_damaged_byte_costs_one_event() {
    let place = Place::new();
    let (store, batches) = damaged(&place).await;
    let before = assert_others_are_whole(&store, &batches).await;
    let unreadable = before.iter().filter(|event| event.details.contains_key("unreadable_event")).count();
    assert!(unreadable > batches.len() / 3, "{unreadable}");

    let bytes = place.number("SELECT sum(length(CAST(events AS BLOB))) FROM audit_journal").await;
    settle(&store).await;
    assert_eq!(place.number("SELECT sum(events_n) FROM audit_journal").await, 0);
    let moved = place.number("SELECT sum(length(CAST(event AS BLOB))) FROM audit_segment_1").await;
    // A byte that is no UTF-8 becomes three.
    assert!(moved <= bytes + 2 * batches.len() as i64, "{moved} of {bytes}");
    assert_eq!(assert_others_are_whole(&store, &batches).await, before);
    store.close().await.unwrap();

    let store = place.open().await;
    assert_eq!(assert_others_are_whole(&store, &batches).await, before);
    let mut deleted = 0;
    loop {
        let purged = store.purge(Timestamp::MAX, 100).await.unwrap();
        deleted += purged.deleted;
        if !purged.has_more {
            break;
        }
    }
    assert_eq!(deleted, before.len() as u64);
    assert_eq!(all(&store).await, []);
}

#[tokio::test]
async fn the_view_shows_the_others_too() {
    let place = Place::new();
    let (_store, batches) = damaged(&place).await;
    let rows =
        sqlx::query("SELECT CAST(event AS BLOB) FROM audit_events").fetch_all(&mut place.raw().await).await.unwrap();
    let shown: HashSet<String> =
        rows.iter().filter_map(|row| segment_row::lossy(row, 0).unwrap()).map(std::borrow::Cow::into_owned).collect();
    for batch in &batches {
        let whole = batch.iter().filter(|event| shown.contains(&serde_json::to_string(event).unwrap()));
        // An event whose beginning is damaged takes the one before with it.
        assert!(whole.count() >= EVENTS_IN_ROW - 2);
    }
    assert!(rows.len() >= batches.len() * (EVENTS_IN_ROW - 1));
    assert!(place.number("SELECT count(*) FROM audit_events WHERE event_type = 'audit.unreadable'").await > 0);
}
