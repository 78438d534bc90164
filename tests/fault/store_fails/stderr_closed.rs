//! The store fails while stderr is closed: `tracing_subscriber::fmt` panics at every line.

use std::fs;
use std::time::Duration;

use super::assertions::{assert_answers, until_recovered};
use super::full_disk::{until_refused, while_full};
use super::locked::while_locked;
use crate::support::{Folder, Kind, Record, Shot, beside_others, fire, in_own_namespace, run};

const DEADLINE: Duration = Duration::from_millis(700);
const MUCH_SLACK: Duration = Duration::from_millis(2000);
const NAME: &str = "store_fails::stderr_closed::the_disk_of_the_log_and_of_stderr_is_full";

#[track_caller]
fn assert_in_time(shots: &[Shot]) {
    for shot in shots {
        assert!(shot.took < DEADLINE + MUCH_SLACK, "{} waited {:?}", shot.id, shot.took);
    }
}

#[test]
fn nobody_reads_stderr() {
    let _turn = beside_others();
    let folder = Folder::new();
    let server = folder.settings().deadline(DEADLINE).stderr_breaks().start();
    let mut shots = Vec::new();
    for round in 0..2 {
        while_locked(&folder.database(), "BEGIN EXCLUSIVE", || {
            for kind in [Kind::Upload, Kind::Admin] {
                // A connection each: what panics in a handler of the server's own ends its connection.
                shots.push(fire(&mut server.client(), kind, format!("mute-{round}-{kind:?}")));
                assert!(!shots.last().is_some_and(Shot::is_success), "it was written past the lock");
            }
        });
        shots.extend(until_recovered(&server, &format!("mute-{round}")));
    }
    server.stop();
    assert_in_time(&shots);
    assert_answers(&shots, &folder.effects());
    Record::read(&folder.database()).assert_successes(&shots);
}

#[test]
fn the_disk_of_the_log_and_of_stderr_is_full() {
    let _turn = beside_others();
    in_own_namespace(NAME, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk.to_str().expect("a path of text")]);
        let database = disk.join("audit.db");
        let server = folder.settings_for(&database).deadline(DEADLINE).stderr_to(disk.join("stderr")).start();
        let mut shots = Vec::new();
        while_full(&disk, || {
            for kind in [Kind::Admin, Kind::Upload] {
                shots.extend(until_refused(&mut server.client(), kind, 3));
            }
        });
        shots.extend(until_recovered(&server, "full"));
        server.stop();
        assert_in_time(&shots);
        assert_answers(&shots, &folder.effects());
        Record::read(&database).assert_successes(&shots);
    });
}
