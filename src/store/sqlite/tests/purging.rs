//! Purging: deleted events, and those that stay.

use super::*;
use crate::query::Cursor;
use crate::store::{CellErasure as _, ErasedEvent, Removal as _, Severity, StoreAdmin as _};

async fn purge(store: &SqliteStore, before: Timestamp, at_most: usize) -> u64 {
    let mut removed = 0;
    for _ in 0..1000 {
        let purged = store.purge(before, at_most).await.unwrap();
        assert!(purged.deleted <= at_most as u64);
        removed += purged.deleted;
        if !purged.has_more {
            return removed;
        }
    }
    panic!("a purge does not end");
}

#[tokio::test]
async fn exactly_the_older_events_go() {
    let place = Place::new();
    let store = place.open().await;
    for n in 0..30 {
        store.append(&events(n * 10..n * 10 + 10)).await.unwrap();
        if n % 10 == 3 {
            settle(&store).await;
        }
    }
    assert_eq!(purge(&store, at(0), 50).await, 0);
    assert_eq!(purge(&store, at(125), 50).await, 125);
    assert_eq!(all(&store).await, newest_first(events(125..300)));
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 175);
    assert_eq!(store.count(&Filter { since: Some(at(126)), ..Filter::default() }).await.unwrap(), 174);
    assert_eq!(purge(&store, Timestamp::MAX, 50).await, 175);
    assert_eq!(all(&store).await, []);
    assert_eq!(place.number("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'audit_segment_*'").await, 0);
    // A removed event may be appended again.
    store.append(&events(0..20)).await.unwrap();
    assert_eq!(all(&store).await.len(), 20);
    place.assert_whole().await;
}

#[tokio::test]
async fn a_purge_that_was_killed_goes_on() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..100)).await.unwrap();
    let first = store.purge(at(1000), 30).await.unwrap();
    assert_eq!((first.deleted, first.has_more), (30, true));
    drop(store);
    let store = place.open().await;
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 70);
    store.migrate().await.unwrap();
    store.append(&events(200..300)).await.unwrap();
    settle(&store).await;
    assert_eq!(purge(&store, at(150), 30).await, 70);
    assert_eq!(all(&store).await, newest_first(events(200..300)));
    place.assert_whole().await;
}

#[tokio::test]
async fn a_purge_removes_nothing_newer_than_its_own_limit() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..100)).await.unwrap();
    store.purge(at(1000), 10).await.unwrap();
    assert_eq!(purge(&store, at(50), 7).await, 40);
    assert_eq!(all(&store).await, newest_first(events(50..100)));
    store.append(&events(100..110)).await.unwrap();
    assert_eq!(purge(&store, at(105), 7).await, 55);
    assert_eq!(all(&store).await, newest_first(events(105..110)));
    place.assert_whole().await;
}

#[tokio::test]
async fn init_leaves_nothing_and_other_writers_notice() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    one.append(&[events(0..50), vec![started(60)]].concat()).await.unwrap();
    settle(&one).await;
    two.append(&events(70..80)).await.unwrap();
    one.recreate().await.unwrap();
    assert_eq!(all(&one).await, []);
    assert_eq!(place.number("SELECT count(*) FROM audit_writers").await, 0);
    two.append(&events(70..80)).await.unwrap();
    one.append(&events(75..85)).await.unwrap();
    assert_eq!(all(&two).await, newest_first(events(70..85)));
    place.assert_whole().await;
}

/// Asks again while others hold the lock for longer than SQLite waits for it, as eight on a busy disk may.
async fn at_last<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(done) => return done,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_can_be_made_by_several_at_once() {
    let place = Place::new();
    std::fs::write(place.path(), b"").unwrap();
    let place = std::sync::Arc::new(place);
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let place = place.clone();
            tokio::spawn(async move {
                let store = at_last(|| place.try_open(true)).await;
                at_last(|| store.migrate()).await;
                let events = events(n * 10..n * 10 + 10);
                at_last(|| store.append(&events)).await;
                at_last(|| try_settle(&store)).await;
                at_last(|| store.migrate()).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let store = place.open().await;
    assert_eq!(all(&store).await, newest_first(events(0..80)));
    sqlx::query("DROP INDEX audit_segment_1_time").execute(&mut place.raw().await).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM sqlite_schema WHERE name = 'audit_segment_1_time'").await, 1);
    place.assert_whole().await;
}

/// The bytes of a file.
fn bytes_of(place: &Place, suffix: &str) -> Vec<u8> {
    std::fs::read(place.folder.path().join(format!("audit.db{suffix}"))).unwrap_or_default()
}

#[tokio::test]
async fn nothing_of_what_was_purged_is_left_in_the_files() {
    let place = Place::new();
    let store = place.open().await;
    let forget = |n: u64| {
        let mut event = if n.is_multiple_of(10) { started(n) } else { event(n) };
        event.actor.user_email = Some("forget-me@example.org".into());
        event
    };
    for n in 0..60 {
        store.append(&(n * 20..n * 20 + 20).map(forget).collect::<Vec<_>>()).await.unwrap();
    }
    maintain_all(&store).await;
    store.append(&events(5000..5010)).await.unwrap();
    let needle = b"forget-me@example.org";
    let is_there = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(is_there(&bytes_of(&place, "-wal")));
    assert_eq!(place.number("SELECT count(*) FROM audit_started").await, 120);
    assert_eq!(purge(&store, at(5000), 300).await, 1200);
    assert_eq!(place.number("SELECT count(*) FROM audit_started").await, 0);
    assert!(!is_there(&bytes_of(&place, "")), "in the database");
    assert!(!is_there(&bytes_of(&place, "-wal")), "in the log");
    assert_eq!(all(&store).await, newest_first(events(5000..5010)));
    store.append(&events(5010..5020)).await.unwrap();
    place.assert_whole().await;
}

#[tokio::test]
async fn a_call_moves_no_more_of_the_journal_than_it_may_remove() {
    let place = Place::new();
    let store = place.open().await;
    for n in 0..100 {
        store.append(&events(n * 10..n * 10 + 10)).await.unwrap();
    }
    let purged = store.purge(at(900), 50).await.unwrap();
    assert_eq!((purged.deleted, purged.has_more), (50, true));
    assert_eq!(place.number("SELECT sum(events_n) FROM audit_journal").await, 950);
    assert_eq!(purge(&store, at(900), 50).await, 850);
}

async fn assert_nothing_is_diagnosed(store: &SqliteStore) {
    for diagnostic in store.diagnose().await.unwrap() {
        assert!(diagnostic.severity == Severity::Ok || diagnostic.subject == "mount", "{diagnostic:?}");
    }
}

/// A purge drops the indexes of an old segment before it deletes the rows. No reader may look for them while rows are left.
#[tokio::test]
async fn a_segment_whose_purge_was_stopped_is_read_after_other_deletions() {
    #[derive(Debug, Clone, Copy)]
    enum Deletion {
        Single,
        Cells,
        Older,
    }

    for deletion in [Deletion::Single, Deletion::Cells, Deletion::Older] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3000)).await.unwrap();
        settle(&store).await;
        // Its index is merged, as that of a full segment.
        sqlx::query("UPDATE audit_segments SET merged = 15").execute(&mut place.raw().await).await.unwrap();
        let stopped = store.purge(at(5000), 100).await.unwrap();
        assert_eq!((stopped.deleted, stopped.has_more), (100, true));
        let mut left = events(100..3000);
        match deletion {
            Deletion::Single => {
                assert_eq!(store.remove(&[Cursor::of(&left.remove(0))]).await.unwrap(), 1);
            }
            Deletion::Cells => {
                left[0].actor.user_email = Some("former-user".into());
                let blanked = left[0].clone();
                let replace = |_: &AuditEvent, _: Option<&_>| Some(ErasedEvent { event: blanked.clone(), seed: None });
                assert_eq!(store.erase(&[blanked.event_id], &replace).await.unwrap(), 1);
            }
            Deletion::Older => {
                store.purge(at(110), 1000).await.unwrap();
                left.drain(..10);
            }
        }
        maintain_all(&store).await;
        let filter = Filter::default().event_type(EventType::UPLOAD);
        left.retain(|event| event.event_type == EventType::UPLOAD);
        assert!(left.len() > 1024, "{deletion:?}");
        let found = store.query(&PageQuery::new(filter, 10_000)).await;
        assert_eq!(found.unwrap(), newest_first(left), "{deletion:?}");
        assert_nothing_is_diagnosed(&store).await;
        assert!(purge(&store, at(5000), 1000).await > 2000, "{deletion:?}");
        assert_eq!(all(&store).await, []);
        place.assert_whole().await;
    }
}

/// Filters with many matches look for it by its name.
#[tokio::test]
async fn an_index_that_is_missing_is_diagnosed_and_made_again() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3000)).await.unwrap();
    settle(&store).await;
    let query = PageQuery::new(Filter::default().event_type(EventType::UPLOAD), 10_000);
    for index in ["time", "id"] {
        let dropped = format!("DROP INDEX audit_segment_1_{index}");
        sqlx::query(AssertSqlSafe(dropped)).execute(&mut place.raw().await).await.unwrap();
        let found = store.diagnose().await.unwrap();
        assert!(
            found.iter().any(|found| found.subject == "segments" && found.severity == Severity::Error),
            "{found:?}"
        );
        if index == "time" {
            let error = store.query(&query).await.unwrap_err();
            assert!(error.to_string().contains("migrate"), "{error}");
        }
        store.migrate().await.unwrap();
        assert_nothing_is_diagnosed(&store).await;
        assert_eq!(store.query(&query).await.unwrap().len(), 1500);
    }
}
