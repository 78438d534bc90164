//! Maintenance beside the appends: chunks that are prepared in memory, and checkpoints by a connection of their own.

use super::super::config::with_suffix;
use super::super::journal::compaction::{self, Step};
use super::*;
use crate::store::{Severity, StoreAdmin as _};

/// Brings events into segments, and the store to where it knows every row of the journal: it has read those that were there.
async fn warm(store: &SqliteStore) {
    store.append(&events(0..600)).await.unwrap();
    maintain_all(store).await;
    settle(store).await;
}

async fn next_step(store: &SqliteStore) -> Step {
    let mut lease = store.lease("test").await.unwrap();
    let step = compaction::next_step(&mut lease.state, 0).await;
    lease.finish(step).await.unwrap()
}

#[tokio::test]
async fn a_chunk_is_taken_from_memory_and_inserted_as_it_was_appended() {
    let place = Place::new();
    let store = place.open().await;
    warm(&store).await;
    for n in 6..20 {
        store.append(&events(n * 100..(n + 1) * 100)).await.unwrap();
    }
    let Step::Move(planned) = next_step(&store).await else { panic!("the texts are in memory") };
    // They go on meanwhile.
    store.append(&events(2000..2010)).await.unwrap();
    let prepared = planned.prepare().unwrap();
    let mut lease = store.lease("test").await.unwrap();
    let moved = prepared.apply(&mut lease.state).await;
    assert!(lease.finish(moved).await.unwrap());
    let right = newest_first(events(0..2010));
    assert_eq!(all(&store).await, right);
    assert!(place.number("SELECT sum(events_n) FROM audit_journal").await < 512);
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 2010);
    store.append(&events(0..2010)).await.unwrap();
    assert_eq!(all(&store).await, right, "each once");
    for diagnostic in store.diagnose().await.unwrap() {
        assert!(diagnostic.severity == Severity::Ok || diagnostic.subject == "mount", "{diagnostic:?}");
    }
    place.assert_whole().await;
}

/// A chunk in memory would overwrite the changes of another connection to the journal.
#[tokio::test]
async fn a_chunk_that_another_connection_may_have_changed_is_read_from_the_file() {
    const BLANKED: &str = "UPDATE audit_journal SET events = replace(events, 'user3', 'other')";
    let place = Place::new();
    let store = place.open().await;
    for is_between in [false, true] {
        warm(&store).await;
        store.append(&events(600..1200)).await.unwrap();
        store.append(&events(1200..1210)).await.unwrap();
        let mut other = place.raw().await;
        let Step::Move(planned) = next_step(&store).await else { panic!("the texts are in memory") };
        let prepared = planned.prepare().unwrap();
        if is_between {
            sqlx::query(BLANKED).execute(&mut other).await.unwrap();
            let mut lease = store.lease("test").await.unwrap();
            let moved = prepared.apply(&mut lease.state).await;
            assert!(!lease.finish(moved).await.unwrap());
        } else {
            drop(prepared);
            sqlx::query(BLANKED).execute(&mut other).await.unwrap();
        }
        assert!(matches!(next_step(&store).await, Step::Locked));
        maintain_all(&store).await;
        let found = all(&store).await;
        assert!(found.iter().any(|event| event.actor.user_email.as_deref() == Some("other")), "{is_between}");
        assert_eq!(found.len(), 1210);
        store.recreate().await.unwrap();
    }
    place.assert_whole().await;
}

/// Otherwise the log grows as long as the appends do not pause.
#[tokio::test]
async fn the_log_is_begun_anew_after_a_checkpoint_beside_the_appends() {
    let place = Place::new();
    let store = place.open().await;
    let mut large = events(0..120);
    large.iter_mut().for_each(|event| drop(event.details.insert("long".into(), "x".repeat(100_000).into())));
    for batch in large.chunks(40) {
        store.append(batch).await.unwrap();
    }
    let frames = async || {
        let lease = store.lease("test").await.unwrap();
        let progress = lease.state.connection.db.identity.log_progress().unwrap();
        lease.finish(Ok(progress.frames)).await.unwrap()
    };
    let before = frames().await;
    assert!(before > 2000, "{before}");
    maintain_all(&store).await;
    store.append(&events(120..121)).await.unwrap();
    let after = frames().await;
    // The moves add as many as they move, to those before unless the log was begun anew.
    assert!(after < before, "{after} after {before}");
    assert_eq!(all(&store).await.len(), 121);
    store.close().await.unwrap();
    let log = with_suffix(&place.path(), "-wal");
    assert!(!log.exists(), "the last connection copies the log, whichever that is");
    place.assert_whole().await;
}
