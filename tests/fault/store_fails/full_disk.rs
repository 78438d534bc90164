//! No space is left on the disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tower_audit::store::{OpenOptions, open};
use tower_audit::{AuditEvent, EventType};

use super::assertions::{assert_answers, outcomes, until_recovered};
use crate::support::{
    Client, Folder, Kind, Record, SOON, Shot, beside_others, fire, in_own_namespace, integrity, run, until, url,
};

const NAME: &str = "store_fails::full_disk::a_full_disk_refuses_and_recovers";
const CHECKPOINT_FAILS: &str = "store_fails::full_disk::a_checkpoint_that_fails_leaves_no_connection_open";

#[test]
fn a_full_disk_refuses_and_recovers() {
    let _turn = beside_others();
    in_own_namespace(NAME, || {
        let folder = Folder::new();
        let disk = mounted(&folder, "8m");
        let database = disk.join("audit.db");
        let server = folder.settings_for(&database).deadline(Duration::from_millis(700)).start();
        let mut client = server.client();
        let mut shots = vec![
            fire(&mut client, Kind::Upload, "before-upload".to_owned()),
            fire(&mut client, Kind::Admin, "before-admin".to_owned()),
        ];
        assert!(shots.iter().all(Shot::is_success), "{}", server.said());

        while_full(&disk, || {
            server.until_health(503);
            for kind in [Kind::Admin, Kind::Upload] {
                shots.extend(until_refused(&mut client, kind, 3));
            }
        });
        let refusals = outcomes(&shots);
        shots.extend(until_recovered(&server, "full"));
        server.stop();

        assert_answers(&shots, &folder.effects());
        let record = Record::read(&database);
        record.assert_successes(&shots);
        println!("{NAME}: {refusals}");
    });
}

/// The write-ahead log has room within its file, so that appends succeed; the database has none.
#[test]
fn a_checkpoint_that_fails_leaves_no_connection_open() {
    let _turn = beside_others();
    in_own_namespace(CHECKPOINT_FAILS, || {
        let folder = Folder::new();
        let disk = mounted(&folder, "96m");
        let (database, log, greed) = (disk.join("audit.db"), disk.join("audit.db-wal"), disk.join("greed"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = open(&url(&database), OpenOptions::default()).await.expect("it opens");
            while fs::metadata(&log).expect("the log").len() < ROOM {
                store.append(&[event(1)]).await.expect("there is room");
            }
            while store.maintain().await.expect("there is room") {}
            let open_before = count_open(&log);
            let mut file = File::create(&greed).expect("a file on the disk");
            while file.write_all(&[0; 4096]).is_ok() {}

            for _ in 0..4 {
                let large: Vec<AuditEvent> = (0..25).map(|_| event(100_000)).collect();
                store.append(&large).await.expect("the log has room");
            }
            store.maintain().await.expect_err("the database has none");
            let mut failures = 0;
            for _ in 0..6 {
                store.append(&[event(1)]).await.expect("the log has room");
                failures += usize::from(store.maintain().await.is_err());
            }
            let open_after = count_open(&log);
            assert!(open_after <= open_before, "{open_after} after {open_before}");
            assert!(failures < 3, "a checkpoint that failed is not tried again at once: {failures}");

            drop(file);
            fs::remove_file(&greed).expect("space is made");
            let length = fs::metadata(&database).expect("the database").len();
            let large: Vec<AuditEvent> = (0..100).map(|_| event(100_000)).collect();
            store.append(&large).await.expect("there is room");
            while store.maintain().await.expect("there is room") {}
            assert!(fs::metadata(&database).expect("the database").len() > length, "the log is copied");
            store.close().await.expect("it closes");
            assert_eq!(count_open(&log), 0);
        });
        assert_eq!(integrity(&database), "ok");
    });
}

/// A file system of this size.
fn mounted(folder: &Folder, size: &str) -> PathBuf {
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).expect("a folder to mount to");
    let disk_name = disk.to_str().expect("a path of text");
    run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", disk_name]);
    disk
}

/// An event with details of so many bytes.
fn event(bytes: usize) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.details.insert("long".into(), "x".repeat(bytes).into());
    event
}

/// Counts the descriptors that this process has of a file.
fn count_open(path: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("Linux lists them");
    open.filter(|one| one.as_ref().is_ok_and(|one| fs::read_link(one.path()).is_ok_and(|of| of == path))).count()
}

/// The length of a write-ahead log of 7,600 frames. From 8,000 on, an append copies them.
const ROOM: u64 = 30 << 20;

/// Runs `body` while a thread fills every byte that becomes free, also those that a truncated log frees.
pub(crate) fn while_full(disk: &Path, body: impl FnOnce()) {
    /// Stops the filling thread, even if the test panics.
    struct Enough<'a>(&'a AtomicBool);
    impl Drop for Enough<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let greed = disk.join("greed");
    let (is_enough, is_full) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let enough = Enough(&is_enough);
        scope.spawn(|| {
            let mut file = File::create(&greed).expect("a file on the disk");
            while !is_enough.load(Ordering::Relaxed) {
                if file.write_all(&[0; 4096]).is_err() {
                    is_full.store(true, Ordering::Relaxed);
                    thread::yield_now();
                }
            }
        });
        until("the disk is full", SOON, || is_full.load(Ordering::Relaxed).then_some(()));
        body();
        drop(enough);
    });
    fs::remove_file(greed).expect("space is made");
}

/// Sends requests until so many were refused.
pub(crate) fn until_refused(client: &mut Client, kind: Kind, refusals: usize) -> Vec<Shot> {
    let mut shots: Vec<Shot> = Vec::new();
    let mut refused = 0;
    until("requests are refused", SOON, || {
        let shot = fire(client, kind, format!("full-{kind:?}-{}", shots.len()));
        refused += usize::from(!shot.is_success());
        shots.push(shot);
        (refused >= refusals).then_some(())
    });
    shots
}
