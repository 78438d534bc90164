//! Files that are removed while another process has the log open, step by step.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::super::config::with_suffix;
use super::*;

/// Another process, which does as it is told. Dropped, it is killed.
struct Other {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::sqlite::tests::files_removed_while_open::does_as_it_is_told",
                "--ignored",
                "--nocapture",
            ])
            .env("OTHER_LOG", place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it has done this.
    fn tell(&mut self, command: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
        let done = self.lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("done: "));
        assert_eq!(done.as_deref(), Some(&*format!("done: {command}")));
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The other process.
#[tokio::test]
#[ignore = "run by the tests of this file"]
async fn does_as_it_is_told() {
    let Ok(path) = std::env::var("OTHER_LOG") else { return };
    let (mut store, mut raw) = (None, None);
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match *line.split(' ').collect::<Vec<_>>().as_slice() {
            ["append", first, end] => {
                if store.is_none() {
                    let url = format!("sqlite:{path}");
                    store = Some(SqliteStore::open(&url, OpenOptions::default()).await.unwrap());
                }
                let store = store.as_ref().unwrap();
                store.append(&events(first.parse().unwrap()..end.parse().unwrap())).await.unwrap();
                settle(store).await;
            }
            // A program of somebody else's: with the files as they are when it is told so first.
            ["read"] => {
                let options = SqliteConnectOptions::new().filename(&path);
                let db = raw.insert(SqliteConnection::connect_with(&options).await.unwrap());
                sqlx::query("SELECT * FROM audit_journal").fetch_all(db).await.unwrap();
            }
            ["write"] => {
                let db = raw.as_mut().unwrap();
                sqlx::query("CREATE TABLE IF NOT EXISTS beside (n)").execute(&mut *db).await.unwrap();
                sqlx::query("INSERT INTO beside VALUES (1)").execute(db).await.unwrap();
            }
            ["copy"] => {
                let db = raw.as_mut().unwrap();
                let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(FULL)").fetch_one(db).await.unwrap();
                assert_eq!(busy, 0);
            }
            ["empty"] => {
                let db = raw.as_mut().unwrap();
                let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(db).await.unwrap();
                assert_eq!(busy, 0);
            }
            ["close"] => store.take().unwrap().close().await.unwrap(),
            _ => panic!("{line:?}"),
        }
        println!("\ndone: {line}");
    }
}

async fn assert_has(place: &Place, store: SqliteStore, expected: Vec<AuditEvent>, case: &str) {
    assert_eq!(all(&store).await, newest_first(expected.clone()), "{case}");
    store.close().await.unwrap();
    assert_eq!(all(&place.open().await).await, newest_first(expected), "{case}");
    place.assert_whole().await;
}

/// The other process has made a new index, copied the log into the database, and begun the log anew. The index that was removed
/// counts frames of the earlier log: copied by it, they would be pages in the wrong places.
#[tokio::test]
async fn a_connection_with_a_removed_index_copies_nothing_when_it_is_closed() {
    for is_closing in [false, true] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..40)).await.unwrap();
        settle(&store).await;
        std::fs::remove_file(with_suffix(&place.path(), "-shm")).unwrap();
        let mut other = Other::start(&place);
        other.tell("append 40 400");
        other.tell("read");
        other.tell("empty");
        other.tell("append 400 900");
        drop(other);
        if is_closing {
            store.close().await.unwrap();
            assert_has(&place, place.open().await, events(0..900), "closed").await;
        } else {
            store.append(&events(900..901)).await.expect_err("the index is another one");
            store.append(&events(900..901)).await.unwrap();
            assert_has(&place, store, events(0..901), "open").await;
        }
    }
}

/// The other process has added to the log with a newer index. Only that one knows where its events are.
#[tokio::test]
async fn a_removed_log_that_another_process_has_added_to_is_left_to_it() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..40)).await.unwrap();
    settle(&store).await;
    std::fs::remove_file(with_suffix(&place.path(), "-shm")).unwrap();
    let mut other = Other::start(&place);
    other.tell("append 40 60");
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(with_suffix(&place.path(), suffix)).unwrap();
    }
    store.append(&events(60..61)).await.expect_err("the files are removed");
    let error = store.append(&events(60..61)).await.expect_err("the last events are elsewhere");
    assert!(error.is_transient() && error.to_string().contains("another process has its last events"), "{error}");
    // It copies and empties the log, and no other is begun.
    other.tell("close");
    store.append(&events(60..61)).await.unwrap();
    assert_has(&place, store, events(0..61), "left to the other").await;
}

/// Another program has copied the removed log and died before it was emptied. A third one has begun the log anew several times: the index
/// counts the frames of the newest. Copied by it, the removed ones would be pages in the wrong places; and there is nothing to copy.
#[tokio::test]
async fn a_removed_log_whose_events_are_copied_is_let_go_though_it_is_not_empty() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..40)).await.unwrap();
    let mut other = Other::start(&place);
    other.tell("read");
    std::fs::remove_file(with_suffix(&place.path(), "-wal")).unwrap();
    other.tell("copy");
    drop(other);
    let mut third = Other::start(&place);
    third.tell("read");
    for _ in 0..6 {
        third.tell("write");
        third.tell("copy");
    }
    third.tell("write");
    drop(third);
    store.append(&events(40..41)).await.expect_err("the log is removed");
    store.append(&events(40..41)).await.unwrap();
    assert_has(&place, store, events(0..41), "copied and not emptied").await;
}
