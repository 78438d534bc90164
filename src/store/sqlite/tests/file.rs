//! The file itself: which is opened, and whether it is still there.

use super::super::config::with_suffix;
use super::super::journal::append;
use super::*;
use crate::store::StoreErrorKind;

#[tokio::test]
async fn what_is_not_there_is_not_made_without_being_asked() {
    let place = Place::new();
    let error = place.try_open(false).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("audit.db"), "{error}");
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0);
    std::fs::write(place.path(), b"").unwrap();
    assert_eq!(place.try_open(false).await.unwrap_err().kind(), StoreErrorKind::Config);
    assert_eq!(std::fs::metadata(place.path()).unwrap().len(), 0);

    place.open().await.append(&events(0..3)).await.unwrap();
    let second = place.try_open(false).await.unwrap();
    assert_eq!(all(&second).await.len(), 3);
    second.append(&events(3..5)).await.unwrap();
    assert_eq!(all(&second).await.len(), 5);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_for_its_owner_alone_and_the_mode_of_another_stays() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let modes = || {
        let files = std::fs::read_dir(place.folder.path()).unwrap();
        let modes = files.map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777);
        modes.collect::<Vec<_>>()
    };
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    assert!(modes().len() >= 2 && modes().iter().all(|mode| *mode == 0o600), "{:?}", modes());
    store.close().await.unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    place.open().await.append(&events(3..5)).await.unwrap();
    assert_eq!(std::fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn other_files_are_refused_and_left_as_they_are() {
    let place = Place::new();
    for sql in ["CREATE TABLE t(a); PRAGMA user_version = 1", "PRAGMA application_id = 7"] {
        let mut options = SqliteConnectOptions::new().filename(place.path()).create_if_missing(true);
        options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(sql).persistent(false).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        let before = std::fs::read(place.path()).unwrap();
        for create in [true, false] {
            let error = place.try_open(create).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Config);
            assert!(error.to_string().contains("another application"), "{error}");
        }
        assert_eq!(std::fs::read(place.path()).unwrap(), before);
        std::fs::remove_file(place.path()).unwrap();
    }
    std::fs::write(place.path(), "not a database, but long enough to be looked at ".repeat(100)).unwrap();
    let error = place.try_open(true).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config, "{error}");
    std::fs::remove_file(place.path()).unwrap();
    std::fs::create_dir(place.path()).unwrap();
    assert_eq!(place.try_open(true).await.unwrap_err().kind(), StoreErrorKind::Config);
    let error = SqliteStore::open("sqlite:/dev/null", OpenOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
}

#[tokio::test]
async fn a_newer_version_is_refused() {
    let place = Place::new();
    place.open().await.close().await.unwrap();
    sqlx::query("UPDATE audit_version SET version = 3").execute(&mut place.raw().await).await.unwrap();
    for create in [true, false] {
        let error = place.try_open(create).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains("version 3"), "{error}");
    }
}

#[tokio::test]
async fn commits_are_durable_and_the_file_is_ours() {
    let place = Place::new();
    let store = place.open().await;
    let mut lease = store.lease("test").await.unwrap();
    for (pragma, value) in [("synchronous", "2"), ("journal_mode", "wal"), ("user_version", "0")] {
        let row = sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}")))
            .fetch_one(&mut *lease.state.connection.db)
            .await
            .unwrap();
        let found = row.try_get::<String, _>(0).unwrap_or_else(|_| row.get::<i64, _>(0).to_string());
        assert_eq!(found, value, "{pragma}");
    }
    lease.finish(Ok(())).await.unwrap();
    assert_eq!(place.number("PRAGMA application_id").await, i64::from(super::super::schema::APPLICATION_ID));
    store.health().await.unwrap();
    assert_eq!(all(&store).await, []);
    assert!(!format!("{store:?}").contains("audit.db"));
}

/// Appends until it works again, and says how often it did not.
async fn recovers(store: &SqliteStore, batch: &[AuditEvent]) -> usize {
    for failures in 0..5 {
        match store.append(batch).await {
            Ok(()) => return failures,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    panic!("the store does not recover");
}

#[tokio::test]
async fn a_file_that_was_removed_or_replaced_is_noticed() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..5)).await.unwrap();
    for gone in [vec!["audit.db"], vec!["audit.db-wal"], vec!["audit.db", "audit.db-wal", "audit.db-shm"]] {
        for name in &gone {
            std::fs::remove_file(place.folder.path().join(name)).unwrap();
        }
        assert!(store.health().await.unwrap_err().is_transient());
        recovers(&store, &events(0..9)).await;
        store.health().await.unwrap();
        // The log that is there now says that another was there.
        assert_eq!(place.number("SELECT sum(events_n) FROM audit_journal").await, 10, "{gone:?}");
        assert_eq!(all(&store).await.len(), 10, "readers follow");
        let listed = all(&place.open().await).await;
        assert_eq!(listed.iter().filter(|event| event.event_type == EventType::AUDIT_FAILED).count(), 1, "{gone:?}");
        assert_eq!(listed.len(), 10, "{gone:?}");
    }
    // Replaced by another log.
    let other = Place::new();
    other.open().await.append(&events(20..22)).await.unwrap();
    let copied = other.open().await;
    copied.close().await.unwrap();
    std::fs::rename(other.path(), place.path()).unwrap();
    let error = store.append(&events(0..9)).await.unwrap_err();
    assert!(error.to_string().contains("removed or replaced"), "{error}");
}

#[tokio::test]
async fn a_folder_that_was_removed_is_noticed_and_not_made() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..5)).await.unwrap();
    let folder = place.folder.path().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    for _ in 0..3 {
        assert!(store.append(&events(5..6)).await.unwrap_err().is_transient());
        assert!(store.health().await.unwrap_err().is_transient());
    }
    assert!(!folder.exists());
    std::fs::create_dir(&folder).unwrap();
    store.append(&events(0..6)).await.unwrap();
    assert_eq!(all(&store).await.len(), 7, "and one says that another log was there");
}

#[tokio::test]
async fn a_held_lock_is_an_error_that_passes() {
    let place = Place::new();
    let options = OpenOptions { timeout: std::time::Duration::from_millis(40), ..OpenOptions::default() };
    let store = SqliteStore::open(&format!("sqlite:{}", place.path().display()), options).await.unwrap();
    let mut other = place.raw().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert!(store.append(&events(0..1)).await.unwrap_err().is_transient());
    assert!(store.append(&[started(2)]).await.unwrap_err().is_transient());
    assert!(store.health().await.unwrap_err().is_transient());
    assert_eq!(all(&store).await, []);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    store.append(&events(0..1)).await.unwrap();
    assert_eq!(all(&store).await.len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_followed_and_must_go_on_to_lead_there() {
    let place = Place::new();
    let real = Place::new();
    std::os::unix::fs::symlink(real.path(), place.path()).unwrap();
    let store = place.open().await;
    store.append(&events(0..2)).await.unwrap();
    assert_eq!(all(&real.open().await).await.len(), 2);
    std::fs::remove_file(place.path()).unwrap();
    assert!(store.append(&events(2..3)).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_passes_and_keeps_nothing_half() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..5)).await.unwrap();
    let mut lease = store.lease("test").await.unwrap();
    // SQLite makes it as few as the file has.
    sqlx::query("PRAGMA max_page_count = 1").execute(&mut *lease.state.connection.db).await.unwrap();
    lease.finish(Ok(())).await.unwrap();
    let big = [events(10..60), vec![started(60)]].concat();
    let error = store.append(&big).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no space"), "{error}");
    assert_eq!(all(&store).await.len(), 5);
    // The next connection has no such limit.
    store.append(&big).await.unwrap();
    assert_eq!(all(&store).await.len(), 56);
    place.assert_whole().await;
}

/// As between the look at the files and the commit: another process may have made another index by then, or gone over to
/// another log, and would write to the same place of the write-ahead log.
#[tokio::test]
async fn nothing_is_committed_with_an_index_or_a_log_that_was_removed() {
    for suffix in ["-shm", "-wal"] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3)).await.unwrap();
        let mut lease = store.lease("append").await.unwrap();
        std::fs::remove_file(with_suffix(&place.path(), suffix)).unwrap();
        let (connection, writer) = lease.parts();
        let done = append::append(connection, writer, &events(3..5)).await;
        assert!(done.is_err(), "the commit hook misses {suffix}");
        let error = lease.finish(done).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Transient, "{error}");
        assert!(error.to_string().contains(suffix), "{error}");
        store.append(&events(3..5)).await.unwrap();
        assert_eq!(all(&store).await, newest_first(events(0..5)), "{suffix}");
        place.assert_whole().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_with_two_names_is_refused_and_makes_health_ill() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    store.health().await.unwrap();
    let twin = place.folder.path().join("twin.db");
    std::fs::hard_link(place.path(), &twin).unwrap();
    let error = store.health().await.unwrap_err();
    assert!(error.is_transient() && crate::store::chain(&error).to_string().contains("hard link"), "{error:?}");
    // The log of this name has its events.
    assert_eq!(all(&place.try_open(false).await.unwrap()).await.len(), 3);
    for create in [true, false] {
        let options = OpenOptions { create_if_missing: create, ..OpenOptions::default() };
        let error = SqliteStore::open(&format!("sqlite:{}", twin.display()), options).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains("hard link"), "{error}");
    }
    std::fs::remove_file(twin).unwrap();
    store.health().await.unwrap();
    store.append(&events(3..4)).await.unwrap();
}

/// An account that may write every file is stopped as well: SQLite would make files that others cannot write.
#[cfg(unix)]
#[tokio::test]
async fn a_read_only_file_is_refused_and_those_beside_it_follow_its_mode() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    set_permissions(place.path(), Permissions::from_mode(0o444)).unwrap();
    for error in [store.health().await.unwrap_err(), place.try_open(true).await.unwrap_err()] {
        assert!(error.to_string().contains("the file is read-only"), "{error}");
    }
    set_permissions(place.path(), Permissions::from_mode(0o640)).unwrap();
    for suffix in ["-wal", "-shm"] {
        set_permissions(with_suffix(&place.path(), suffix), Permissions::from_mode(0o444)).unwrap();
    }
    store.health().await.unwrap();
    for suffix in ["-wal", "-shm"] {
        let mode = metadata(with_suffix(&place.path(), suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{suffix}");
    }
}
