//! No space is left on the disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::assertions::{assert_answers, outcomes, until_recovered};
use crate::support::{Client, Folder, Kind, Record, SOON, Shot, beside_others, fire, in_own_namespace, run, until};

const NAME: &str = "store_fails::full_disk::a_full_disk_refuses_and_recovers";

#[test]
fn a_full_disk_refuses_and_recovers() {
    let _turn = beside_others();
    in_own_namespace(NAME, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        let disk_name = disk.to_str().expect("a path of text");
        run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk_name]);
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
