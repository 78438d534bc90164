//! A step writes a bounded number of bytes, however long the values are that clients have sent.

use super::indexing::sql;
use super::*;
use crate::query::TextPattern;
use crate::store::{MemoryStore, StoreAdmin as _};

/// The number of events: without bounds, their index would be 40 MB in one transaction.
const EVENTS: u64 = 4500;
const STEP_BYTES: u64 = 16 * 1024 * 1024;

fn long_uri(n: u64) -> String {
    format!("/{:05}/{}", n, "x".repeat(2041))
}

/// An event whose URI is as long as can be.
fn with_long_uri(n: u64) -> AuditEvent {
    let mut event = event(n);
    event.request.request_uri = Some(long_uri(n).into());
    event
}

/// Empties the write-ahead log, so that its size is that of the transactions to come.
async fn empty_log(place: &Place) {
    let busy = place.number("PRAGMA wal_checkpoint(TRUNCATE)").await;
    assert_eq!(busy, 0);
}

/// Returns the bytes of the largest transaction in the write-ahead log: frames have a header with the size of the database if they end
/// one, and the salts of the log's generation.
fn largest_transaction(place: &Place) -> u64 {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let log = std::fs::read(place.folder.path().join("audit.db-wal")).unwrap();
    let (mut largest, mut frames, mut salts) = (0, 0, None);
    for frame in log.get(HEADER..).unwrap_or_default().chunks_exact(FRAME) {
        if salts.replace(&frame[8..16]) != Some(&frame[8..16]) {
            frames = 0;
        }
        frames += 1;
        if frame[4..8] != [0; 4] {
            largest = largest.max(frames * FRAME as u64);
            frames = 0;
        }
    }
    largest
}

/// Maintains until nothing is left, and returns the bytes of the largest step.
async fn largest_step(place: &Place, store: &SqliteStore) -> u64 {
    let mut largest = 0;
    loop {
        empty_log(place).await;
        let is_left = store.maintain().await.unwrap();
        largest = largest.max(largest_transaction(place));
        if !is_left {
            return largest;
        }
    }
}

async fn assert_found(store: &SqliteStore, model: &MemoryStore) {
    let uri = |pattern: TextPattern| Filter { uri: pattern.into(), ..Filter::default() };
    for filter in [
        uri(TextPattern::exact(long_uri(3987))),
        uri(TextPattern::exact(long_uri(EVENTS))),
        uri(TextPattern::prefix("/039")),
        uri(TextPattern::prefix(&long_uri(3987)[..2000])),
        Filter { user_email: "user3".into(), ..uri(TextPattern::prefix("/03")) },
        Filter::new().detail("n", "4000"),
        Filter::new().folded(true).user_email("user3"),
    ] {
        let query = PageQuery::new(filter, usize::MAX);
        assert_eq!(store.query(&query).await.unwrap(), model.query(&query).await.unwrap(), "{query:?}");
        assert_eq!(store.count(&query.filter).await.unwrap(), model.count(&query.filter).await.unwrap(), "{query:?}");
    }
}

#[tokio::test]
async fn no_step_writes_more_bytes_than_a_bound() {
    let place = Place::new();
    let (store, model) = (place.open().await, MemoryStore::new());
    let all: Vec<_> = (0..EVENTS).map(with_long_uri).collect();
    for batch in all.chunks(1000) {
        store.append(batch).await.unwrap();
        model.append(batch).await.unwrap();
    }
    let moved = largest_step(&place, &store).await;
    settle(&store).await;
    // A full segment, whose index is merged.
    sql(&place, &store, "UPDATE audit_segments SET events_n = events_n + 32768").await;
    let merged = largest_step(&place, &store).await;
    sql(&place, &store, "UPDATE audit_segments SET events_n = events_n - 32768").await;
    assert_found(&store, &model).await;
    assert_eq!(place.number("SELECT merged FROM audit_segments").await, 15);
    // What is small is merged: readers of it read one block.
    assert_eq!(place.number("SELECT count(DISTINCT field) FROM audit_postings WHERE part = 0").await, 13);

    // A purge of a part gives up the index, which is then built again.
    let mut purged = 0;
    let mut purge = async |before| loop {
        empty_log(&place).await;
        model.purge(before, 1000).await.unwrap();
        let has_more = store.purge(before, 1000).await.unwrap().has_more;
        purged = purged.max(largest_transaction(&place));
        if !has_more {
            break;
        }
    };
    purge(at(1500)).await;
    assert_found(&store, &model).await;
    let built = largest_step(&place, &store).await;
    assert_eq!(place.number("SELECT count(*) FROM audit_segments WHERE state = 2 AND merged = 15").await, 1);
    assert_found(&store, &model).await;
    purge(at(EVENTS)).await;
    assert_eq!(place.number("SELECT count(*) FROM audit_postings").await, 0);
    assert_eq!(place.number("SELECT count(*) FROM audit_segments").await, 0);
    for (step, bytes) in [("moving", moved), ("merging", merged), ("purging", purged), ("building", built)] {
        println!("{step}: {bytes} bytes");
        assert!((1..=STEP_BYTES).contains(&bytes), "{step} writes {bytes} bytes at once");
    }
    place.assert_whole().await;
}

/// A batch is moved as a whole: it has one row in the journal. The largest has 8 MiB.
#[tokio::test]
async fn the_largest_batch_moves_within_a_bound() {
    let place = Place::new();
    let store = place.open().await;
    let batch: Vec<_> = (0..1024)
        .map(|n| {
            let mut event = with_long_uri(n);
            event.request.user_agent = Some("a".repeat(1024).into());
            event.details.insert("text".into(), "d".repeat(4700).into());
            event.truncate_to_limits();
            event
        })
        .collect();
    let bytes: usize = batch.iter().map(|event| serde_json::to_string(event).unwrap().len()).sum();
    assert!((6 << 20..8 << 20).contains(&bytes), "{bytes} bytes");
    store.append(&batch).await.unwrap();
    store.append(&events(2000..2001)).await.unwrap();
    let moved = largest_step(&place, &store).await;
    println!("moving: {moved} bytes");
    assert!((6 << 20..=20 << 20).contains(&moved), "{moved} bytes at once");
    assert_eq!(all(&store).await.len(), 1025);
    place.assert_whole().await;
}
