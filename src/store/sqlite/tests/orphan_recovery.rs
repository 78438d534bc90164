//! Recovery of `started` events.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::super::config::with_suffix;
use super::super::liveness_lock::LivenessLock;
use super::*;
use crate::store::{OrphanRecovery as _, Severity};

fn close(event: &AuditEvent) -> AuditEvent {
    let mut end = AuditEvent::new(event.event_type.clone());
    end.phase = Phase::Unknown;
    end.request.started_event_id = Some(event.event_id);
    end
}

fn lock_files(place: &Place) -> usize {
    let names = std::fs::read_dir(place.folder.path()).unwrap();
    names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().contains("-writer-")).count()
}

#[tokio::test]
async fn an_ended_request_is_no_orphan() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&[started(1), started(2)]).await.unwrap();
    store.append(&[ending(3, &started(1)), event(4)]).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM audit_started").await, 1);
    assert_eq!(store.recover(&close).await.unwrap(), 0, "its own");
    store.append(&[ending(5, &started(2))]).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(
        place.number("SELECT (SELECT count(*) FROM audit_started) + (SELECT count(*) FROM audit_writers)").await,
        0
    );
    assert_eq!(lock_files(&place), 0);
}

#[tokio::test]
async fn doctor_tells_the_open_events_of_the_dead_from_those_of_the_living() {
    let place = Place::new();
    let (living, dead) = (place.open().await, place.open().await);
    living.append(&[started(1), started(2)]).await.unwrap();
    dead.append(&[started(3)]).await.unwrap();
    let open = async |store: &SqliteStore| {
        let found = store.diagnose().await.unwrap();
        let open = found.into_iter().filter(|one| one.subject == "open");
        open.map(|one| (one.severity, one.message.split(' ').next().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let of = |severity, number: &str| (severity, number.to_owned());
    assert_eq!(open(&place.try_open(false).await.unwrap()).await, [of(Severity::Ok, "3")]);
    drop(dead);
    for store in [&living, &place.try_open(false).await.unwrap()] {
        assert_eq!(open(store).await, [of(Severity::Ok, "2"), of(Severity::Warning, "1")]);
    }
    assert_eq!(living.recover(&close).await.unwrap(), 1, "the lock was released");
    assert_eq!(open(&living).await, [of(Severity::Ok, "2")]);
}

#[tokio::test]
async fn a_writer_whose_lock_file_was_removed_takes_it_again() {
    let place = Place::new();
    let store = place.open().await;
    let remove = || {
        for file in std::fs::read_dir(place.folder.path()).unwrap().map(Result::unwrap) {
            if file.file_name().to_string_lossy().contains("-writer-") {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
    };
    store.append(&[started(1)]).await.unwrap();
    remove();
    store.health().await.unwrap();
    let other = place.open().await;
    assert_eq!(other.recover(&close).await.unwrap(), 0, "health took the lock again");
    remove();
    store.append(&[event(2)]).await.unwrap();
    assert_eq!(other.recover(&close).await.unwrap(), 0, "an append took the lock again");
}

/// As two processes of an app do that seeds its random numbers, for tests that can be repeated.
#[tokio::test]
async fn writers_with_equal_seeds_have_locks_of_their_own() {
    let place = Place::new();
    fastrand::seed(7);
    let one = place.open().await;
    fastrand::seed(7);
    let two = place.open().await;
    one.append(&[started(1)]).await.unwrap();
    two.append(&[started(2)]).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM audit_writers").await, 2);
    assert_eq!(lock_files(&place), 2);
    assert_eq!(one.recover(&close).await.unwrap() + two.recover(&close).await.unwrap(), 0);
}

#[test]
fn a_writer_takes_no_lock_file_of_another() {
    let place = Place::new();
    let mut lock = LivenessLock::new();
    let id = *lock.id();
    let name = format!("-writer-{:032x}", u128::from_be_bytes(id));
    let others = std::fs::File::create_new(with_suffix(&place.path(), &name)).unwrap();
    lock.register(&place.path()).unwrap();
    assert_ne!(*lock.id(), id);
    others.try_lock().unwrap();
    // Its own is taken again.
    let own = *lock.id();
    std::fs::remove_file(with_suffix(&place.path(), &format!("-writer-{:032x}", u128::from_be_bytes(own)))).unwrap();
    // Nor does a failure make it another writer.
    let path = with_suffix(&place.path(), &format!("-writer-{:032x}", u128::from_be_bytes(own)));
    let held = std::fs::File::create_new(&path).unwrap();
    held.lock().unwrap();
    lock.register(&place.path()).unwrap_err();
    drop(held);
    lock.register(&place.path()).unwrap();
    assert_eq!(*lock.id(), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_orphan_is_closed_once_whoever_comes_first() {
    let place = Place::new();
    let dead = place.open().await;
    dead.append(&events(0..3)).await.unwrap();
    dead.append(&(10..20).map(started).collect::<Vec<_>>()).await.unwrap();
    settle(&dead).await;
    dead.append(&[ending(30, &started(12))]).await.unwrap();
    drop(dead);
    let stores: Vec<_> = [place.open().await, place.open().await, place.open().await].map(std::sync::Arc::new).into();
    let tasks: Vec<_> =
        stores.iter().cloned().map(|store| tokio::spawn(async move { store.recover(&close).await.unwrap() })).collect();
    let mut closed = 0;
    for task in tasks {
        closed += task.await.unwrap();
    }
    assert_eq!(closed, 9);
    let ends = Filter { phase: Phase::Unknown.into(), ..Filter::default() };
    let ended = stores[0].query(&PageQuery::new(ends, 100)).await.unwrap();
    let mut ids: Vec<_> = ended.iter().map(|event| event.request.started_event_id.unwrap()).collect();
    ids.sort();
    let open: Vec<_> = (10..20).filter(|n| *n != 12).map(|n| event(n).event_id).collect();
    assert_eq!(ids, open);
    assert_eq!(lock_files(&place), 0);
    assert_eq!(place.number("SELECT count(*) FROM audit_writers").await, 0);
}

#[tokio::test]
async fn the_events_of_a_living_neighbour_are_left_alone_until_it_is_killed() {
    let place = Place::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::sqlite::tests::orphan_recovery::neighbour", "--ignored", "--nocapture"])
        .env("NEIGHBOUR_LOG", place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("neighbour has started")));
    let store = place.open().await;
    assert_eq!(store.recover(&close).await.unwrap(), 0);
    assert_eq!(lock_files(&place), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.recover(&close).await.unwrap(), 1);
    assert_eq!(store.recover(&close).await.unwrap(), 0);
    assert_eq!(lock_files(&place), 0);
    place.assert_whole().await;
}

/// The other process of the test above: it waits to be killed.
#[tokio::test]
#[ignore = "run by the_events_of_a_living_neighbour_are_left_alone_until_it_is_killed"]
async fn neighbour() {
    let Ok(path) = std::env::var("NEIGHBOUR_LOG") else { return };
    let store = SqliteStore::open(&format!("sqlite:{path}"), OpenOptions::default()).await.unwrap();
    store.append(&[started(1)]).await.unwrap();
    println!("\nneighbour has started");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}
