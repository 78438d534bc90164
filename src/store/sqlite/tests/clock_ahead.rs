//! A process whose clock was ahead leaves ids of the future in every segment, and the others still append at the same cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::id_blob::id_bytes;
use super::super::segments::segment;
use super::indexing::sql;
use super::*;

/// The `n`th event of a process whose clock is a year ahead.
fn ahead(n: u64) -> AuditEvent {
    event(n + 365 * 24 * 3600)
}

/// Makes segments of two rows each: the event `n` of now, and one of the process ahead.
async fn add_segments(place: &Place, store: &SqliteStore, numbers: std::ops::RangeInclusive<u64>) {
    let mut raw = place.raw().await;
    sqlx::query("BEGIN").execute(&mut raw).await.unwrap();
    for n in numbers {
        segment::create(&mut raw, n as i64).await.unwrap();
        for (row, event) in [(1, event(n)), (2, ahead(n))] {
            let sql = format!(
                "INSERT INTO audit_segment_{n} VALUES (?1, ?2, ?3, 'upload', 'completed', NULL, NULL, NULL, 200, ?4)"
            );
            sqlx::query(AssertSqlSafe(sql))
                .bind(row)
                .bind(id_bytes(event.event_id.as_u128()))
                .bind(event.created_at.as_micros())
                .bind(serde_json::to_string(&event).unwrap())
                .execute(&mut raw)
                .await
                .unwrap();
        }
        sqlx::query("INSERT INTO audit_segments VALUES (?1, ?2, ?3, ?4, ?5, 2, 2, 15, 0)")
            .bind(n as i64)
            .bind(event(n).created_at.as_micros())
            .bind(ahead(n).created_at.as_micros())
            .bind(id_bytes(event(n).event_id.as_u128()))
            .bind(id_bytes(ahead(n).event_id.as_u128()))
            .execute(&mut raw)
            .await
            .unwrap();
    }
    sqlx::query("COMMIT").execute(&mut raw).await.unwrap();
    sql(place, store, "SELECT 1").await;
}

/// Counts the instructions of SQLite's machine on the writing connection.
async fn counted(store: &SqliteStore) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let mut lease = store.lease("test").await.unwrap();
    let more = count.clone();
    lease.state.connection.db.lock_handle().await.unwrap().set_progress_handler(1, move || {
        more.fetch_add(1, Ordering::Relaxed);
        true
    });
    lease.finish(Ok(())).await.unwrap();
    count
}

#[tokio::test]
async fn an_append_costs_the_same_beside_many_segments_with_ids_of_the_future() {
    let place = Place::new();
    let store = place.open().await;
    add_segments(&place, &store, 1..=1).await;
    let count = counted(&store).await;
    let cost = async |n: u64| {
        let before = count.load(Ordering::Relaxed);
        store.append(&[event(n)]).await.unwrap();
        count.load(Ordering::Relaxed) - before
    };
    cost(1000).await;
    let beside_one = cost(1001).await;
    add_segments(&place, &store, 2..=200).await;
    let first = cost(1002).await;
    let beside_many = cost(1003).await;
    println!("{beside_one} beside one, {first} then {beside_many} beside many");
    assert!(beside_one > 0);
    assert!(first > beside_many, "it looks into each segment once");
    assert!(beside_many <= beside_one + 20, "{beside_many} instructions instead of {beside_one}");
}

#[tokio::test]
async fn a_repeated_event_is_found_beside_ids_of_the_future() {
    let place = Place::new();
    let store = place.open().await;
    add_segments(&place, &store, 1..=150).await;
    store.append(&[event(1000)]).await.unwrap();
    settle(&store).await;
    store.append(&[event(1001), ahead(500)]).await.unwrap();
    settle(&store).await;
    let count = store.count(&Filter::default()).await.unwrap();
    assert_eq!(count, 303);
    for repeated in [event(1), event(77), event(150), ahead(1), ahead(150), event(1000), event(1001), ahead(500)] {
        store.append(&[repeated]).await.unwrap();
    }
    let all: Vec<_> = (1..=150).flat_map(|n| [event(n), ahead(n)]).chain([event(1000), ahead(500)]).collect();
    store.append(&all).await.unwrap();
    assert_eq!(store.count(&Filter::default()).await.unwrap(), count);
    // One that is new, among them.
    store.append(&[event(90), event(999), ahead(90)]).await.unwrap();
    assert_eq!(store.count(&Filter::default()).await.unwrap(), count + 1);
    assert_eq!(store.get(event(999).event_id).await.unwrap(), Some(event(999)));
}
