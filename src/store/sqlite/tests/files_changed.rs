//! Files and rows that somebody else changes under an open store.

use std::fs::{File, read};

use super::super::config::with_suffix;
use super::super::journal::append;
use super::super::writer_state::StateTransaction;
use super::*;
use crate::store::StoreErrorKind;

/// The last frame of the write-ahead log is cut off. Nothing more is written, and what is there stays as it is.
#[tokio::test]
async fn a_write_ahead_log_that_was_cut_is_damage_until_another_file_is_there() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..100)).await.unwrap();
    let files = [place.path(), with_suffix(&place.path(), "-wal")];
    let log = File::options().write(true).open(&files[1]).unwrap();
    log.set_len(log.metadata().unwrap().len() - 100).unwrap();
    let before = files.each_ref().map(|file| read(file).unwrap());
    for _ in 0..3 {
        let error = store.append(&events(100..101)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        let error = store.health().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    }
    assert!(files.each_ref().map(|file| read(file).unwrap()) == before, "the files are evidence");
    for suffix in ["", "-wal", "-shm"] {
        std::fs::rename(with_suffix(&place.path(), suffix), with_suffix(&place.path(), &format!(".away{suffix}")))
            .unwrap();
    }
    store.append(&events(100..101)).await.unwrap();
    store.health().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(place.number("SELECT sum(events_n) FROM audit_journal").await, 2, "the event, and one that says why");
    let away = with_suffix(&place.path(), ".away");
    assert!(read(&away).unwrap() == before[0] && read(with_suffix(&away, "-wal")).unwrap() == before[1]);
}

/// The ids of rows that are gone are known no more: the events are appended again.
#[tokio::test]
async fn events_whose_rows_were_deleted_are_appended_again() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    store.append(&events(3..5)).await.unwrap();
    let delete = "DELETE FROM audit_journal WHERE seq = (SELECT max(seq) FROM audit_journal)";
    sqlx::query(delete).execute(&mut place.raw().await).await.unwrap();
    assert_eq!(all(&store).await.len(), 3);
    store.append(&events(3..5)).await.unwrap();
    assert_eq!(all(&store).await, newest_first(events(0..5)));
}

#[tokio::test]
async fn a_reader_reads_the_file_that_took_the_place() {
    let (place, other) = (Place::new(), Place::new());
    for (place, events) in [(&place, events(0..3)), (&other, events(20..22))] {
        let store = place.open().await;
        store.append(&events).await.unwrap();
        store.close().await.unwrap();
    }
    let reader = place.try_open(false).await.unwrap();
    assert_eq!(all(&reader).await.len(), 3);
    std::fs::rename(other.path(), place.path()).unwrap();
    assert_eq!(all(&reader).await, newest_first(events(20..22)));
}

/// As between the look at the files and the lock: by then another process may have gone over to another log.
#[cfg(unix)]
#[tokio::test]
async fn no_transaction_begins_with_a_removed_file() {
    for suffix in ["-wal", "-shm"] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3)).await.unwrap();
        let mut lease = store.lease("test").await.unwrap();
        std::fs::remove_file(with_suffix(&place.path(), suffix)).unwrap();
        let begun = StateTransaction::begin(&mut lease.state).await.map(drop);
        assert!(begun.is_err(), "nobody looks with the lock: {suffix}");
        let error = lease.finish(begun).await.expect_err(suffix);
        assert!(error.is_transient() && error.to_string().contains("removed"), "{error}");
        store.append(&events(3..5)).await.unwrap();
        assert_eq!(all(&store).await, newest_first(events(0..5)), "{suffix}");
        place.assert_whole().await;
    }
}

/// The database alone is moved and put back; only a health check has met that. Its log was set aside meanwhile.
#[tokio::test]
async fn a_database_that_is_put_back_has_its_log_again() {
    for is_closed in [false, true] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3)).await.unwrap();
        let moved = with_suffix(&place.path(), ".moved");
        std::fs::rename(place.path(), &moved).unwrap();
        store.health().await.expect_err("there is no file, or a new one is begun later");
        std::fs::remove_file(place.path()).ok();
        std::fs::rename(&moved, place.path()).unwrap();
        if !is_closed {
            store.append(&events(3..5)).await.unwrap();
            assert_eq!(all(&store).await, newest_first(events(0..5)));
        }
        store.close().await.unwrap();
        let again = place.open().await;
        assert_eq!(all(&again).await.len(), if is_closed { 3 } else { 5 });
        place.assert_whole().await;
    }
}

/// Another process has had the database open while it was back, and was killed: its log is at the path.
#[tokio::test]
async fn a_database_that_is_put_back_keeps_the_log_of_another_process() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    store.maintain().await.unwrap();
    let moved = with_suffix(&place.path(), ".moved");
    std::fs::rename(place.path(), &moved).unwrap();
    store.health().await.expect_err("there is no file, or a new one is begun later");
    std::fs::remove_file(place.path()).ok();
    std::fs::rename(&moved, place.path()).unwrap();
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(with_suffix(&place.path(), suffix)).ok();
    }
    let other = Place::new();
    std::fs::copy(place.path(), other.path()).unwrap();
    let of_other = other.open().await;
    of_other.append(&[event(7)]).await.unwrap();
    std::fs::copy(with_suffix(&other.path(), "-wal"), with_suffix(&place.path(), "-wal")).unwrap();
    store.append(&[event(8)]).await.unwrap();
    let listed = all(&store).await;
    assert!(listed.contains(&event(7)) && listed.contains(&event(8)), "{listed:?}");
    place.assert_whole().await;
    let names = std::fs::read_dir(place.folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let kept = names.filter(|name| name.to_string_lossy().contains("-wal-of-replaced-")).count();
    assert_eq!(kept, 1, "the log that has the first events");
}

/// The idle one is asked for nothing: its connection has the removed files open.
#[tokio::test]
async fn two_stores_of_a_process_go_over_to_new_files() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let place = Place::new();
        let (store, idle) = (place.open().await, place.open().await);
        for round in 0..3 {
            idle.append(&[event(10 * round)]).await.unwrap();
            store.append(&[event(10 * round + 1)]).await.unwrap();
            assert_eq!(all(&idle).await.len() as u64, 4 * round + 2);
            for suffix in suffixes {
                std::fs::remove_file(with_suffix(&place.path(), suffix)).unwrap();
            }
            let mut appended = store.append(&[event(10 * round + 2)]).await;
            for _ in 0..2 {
                if appended.is_err() {
                    appended = store.append(&[event(10 * round + 2)]).await;
                }
            }
            appended.unwrap_or_else(|error| panic!("{suffixes:?} {round}: {error}"));
            // It opens the file again with its next event.
            let _ = idle.append(&[event(10 * round + 3)]).await;
            idle.append(&[event(10 * round + 3)]).await.unwrap();
        }
        assert_eq!(all(&store).await.len(), 12, "{suffixes:?}");
        store.close().await.unwrap();
        idle.close().await.unwrap();
        place.assert_whole().await;
        assert_eq!(all(&place.open().await).await.len(), 12, "{suffixes:?}");
    }
}

/// Every event asks for a connection: those that read the tables in vain are closed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_that_cannot_read_the_tables_do_not_add_up() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    let mut raw = place.raw().await;
    sqlx::query("ALTER TABLE audit_segments RENAME TO away").execute(&mut raw).await.unwrap();
    let database = super::super::file_key::file_key(&place.path()).unwrap().unwrap();
    let mut counts = Vec::new();
    for _ in 0..10 {
        store.append(&[event(3), event(0)]).await.unwrap_err();
        counts.push(super::super::open_descriptors::count_open(database));
    }
    assert!(counts.iter().all(|count| *count <= counts[0] + 1), "{counts:?}");
    sqlx::query("ALTER TABLE away RENAME TO audit_segments").execute(&mut raw).await.unwrap();
    store.append(&[event(3)]).await.unwrap();
    assert_eq!(all(&store).await.len(), 4);
}

/// As a program makes one that has a removed log open: a frame that the index counts is missing, this many before the last.
#[cfg(unix)]
fn make_gap(place: &Place, before_last: u64) {
    use std::os::unix::fs::FileExt as _;

    let log = File::options().read(true).write(true).open(with_suffix(&place.path(), "-wal")).unwrap();
    let mut page = [0; 4];
    log.read_exact_at(&mut page, 8).unwrap();
    let frame = 24 + u64::from(u32::from_be_bytes(page));
    let end = log.metadata().unwrap().len();
    assert_eq!((end - 32) % frame, 0);
    log.write_all_at(&[0; 24], end - (before_last + 1) * frame).unwrap();
}

#[cfg(unix)]
#[track_caller]
fn assert_gap(error: &StoreError) {
    assert!(error.kind() == StoreErrorKind::Corrupt && error.to_string().contains("has a gap"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_written_behind_a_gap_of_the_write_ahead_log() {
    use sqlx::Connection as _;

    use crate::store::{AppConnection, Transactional as _};

    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    let mut app = place.raw().await;
    make_gap(&place, 0);
    // Opening is refused, too.
    assert_gap(&place.try_open(true).await.unwrap_err());
    let mut transaction = app.begin().await.unwrap();
    assert_gap(&store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap_err());
    transaction.rollback().await.unwrap();
    let mut lease = store.lease("test").await.unwrap();
    let begun = StateTransaction::begin(&mut lease.state).await.map(drop);
    assert_gap(&begun.unwrap_err());
    lease.state.connection.roll_back().await;
    // The commit hook.
    let (state, writer_lock) = lease.parts();
    let appended = append::append(state, writer_lock, &events(3..5)).await;
    assert_gap(&lease.finish(appended).await.unwrap_err());
    let error = store.append(&events(3..5)).await.unwrap_err();
    assert_gap(&error);
}

/// The end of a store.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Closed,
    Dropped,
    /// After its log was removed, too.
    Removed,
}

/// SQLite would copy pages that are not there.
#[cfg(unix)]
#[tokio::test]
async fn a_write_ahead_log_with_a_gap_is_not_copied_into_the_database() {
    for end in [End::Closed, End::Dropped, End::Removed] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3)).await.unwrap();
        let mut raw = place.raw().await;
        for _ in 0..2 {
            sqlx::query("UPDATE audit_probe SET times = times + 1").execute(&mut raw).await.unwrap();
        }
        raw.close().await.unwrap();
        let before = read(place.path()).unwrap();
        make_gap(&place, 1);
        if end == End::Removed {
            std::fs::remove_file(with_suffix(&place.path(), "-wal")).unwrap();
            store.append(&events(3..5)).await.unwrap_err();
            assert_gap(&store.append(&events(3..5)).await.unwrap_err());
        }
        if end == End::Dropped {
            drop(store);
            // As long as another connection takes to be closed.
            let other = Place::new();
            other.open().await.close().await.unwrap();
        } else {
            assert_gap(&store.close().await.unwrap_err());
        }
        assert!(read(place.path()).unwrap() == before, "{end:?}");
    }
}

/// A new connection would use the index that the read has open.
#[tokio::test]
async fn a_read_of_a_removed_index_is_waited_for() {
    let place = Place::new();
    let options = OpenOptions { timeout: std::time::Duration::from_millis(100), ..OpenOptions::default() };
    let store = SqliteStore::open(&format!("sqlite:{}", place.path().display()), options).await.unwrap();
    store.append(&events(0..3)).await.unwrap();
    let lease = store.readers.take(&store.config).await.unwrap();
    std::fs::remove_file(with_suffix(&place.path(), "-shm")).unwrap();
    store.append(&events(3..5)).await.unwrap_err();
    let error = store.append(&events(3..5)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("a read of the file"), "{error}");
    drop(lease);
    // The driver closes its connection on another thread.
    while let Err(error) = store.append(&events(3..5)).await {
        assert!(error.is_transient(), "{error}");
        tokio::task::yield_now().await;
    }
    assert_eq!(all(&store).await, newest_first(events(0..5)));
    place.assert_whole().await;
}

/// The process that wrote it was killed.
#[tokio::test]
async fn a_reader_leaves_the_write_ahead_log_as_it_is() {
    let (place, copy) = (Place::new(), Place::new());
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    let files = |place: &Place| ["", "-wal"].map(|suffix| with_suffix(&place.path(), suffix));
    for (from, to) in files(&place).iter().zip(files(&copy)) {
        std::fs::copy(from, to).unwrap();
    }
    let before = files(&copy).map(|file| read(file).unwrap());
    let reader = copy.try_open(false).await.unwrap();
    assert_eq!(all(&reader).await.len(), 3);
    reader.close().await.unwrap();
    assert!(files(&copy).map(|file| read(file).unwrap_or_default()) == before);
}
