//! The log is removed, replaced or taken away under the writer: a success is always in the file at its path.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::assertions::{assert_answers, outcomes, until_recovered};
use crate::support::{Folder, Record, SOON, Server, Shot, beside, beside_others, integrity, load_while, until};

/// A log in a folder of its own, and its server.
struct Scene {
    folder: Folder,
    home: PathBuf,
    database: PathBuf,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let home = folder.path().join("home");
        fs::create_dir(&home).expect("a folder for the log");
        let database = home.join("audit.db");
        let server = folder.settings_for(&database).deadline(Duration::from_millis(500)).start();
        until_recovered(&server, "first");
        Self { folder, home, database, server }
    }

    /// Does something to the log under load, then lets the load go on for a while. Every success requested
    /// after that must be in the file at the path. Returns the whole load.
    fn disturb(&self, name: &str, what: impl FnOnce()) -> Vec<Shot> {
        let mut disturbed = None;
        let shots = load_while(self.server.address(), 4, name, |progress| {
            until("requests go well", SOON, || (progress.successes() >= 20).then_some(()));
            what();
            disturbed = Some(Instant::now());
            let before = progress.successes();
            until("requests go well again", SOON, || (progress.successes() >= before + 20).then_some(()));
        });
        let disturbed = disturbed.expect("it was disturbed");
        assert_answers(&shots, &self.folder.effects());
        Record::read(&self.database).assert_successes(shots.iter().filter(|shot| shot.sent > disturbed));
        shots
    }

    /// Under load, a copy of another log takes the place of the database, and of nothing else.
    fn is_replaced_by(&self, other: &Path, name: &str) -> Vec<Shot> {
        self.disturb(name, || {
            let copy = self.folder.path().join("copy.db");
            fs::copy(other, &copy).expect("another log");
            fs::rename(copy, &self.database).expect("it takes the name");
        })
    }

    /// During the fault every request is refused, and health fails.
    fn is_refused(&self, name: &str) -> Vec<Shot> {
        let shots = load_while(self.server.address(), 4, name, |progress| {
            until("requests are refused", SOON, || (progress.failures() >= 8).then_some(()));
            assert_eq!(self.server.health(), 503, "while requests are refused");
        });
        assert!(shots.iter().all(|shot| !shot.is_success()), "{name}: recorded where nobody will find it");
        assert_eq!(self.server.health(), 503, "while nobody asks for anything");
        assert_answers(&shots, &self.folder.effects());
        shots
    }

    /// Afterwards the server recovers without a restart.
    fn recovers(self, name: &str) {
        let shots = until_recovered(&self.server, name);
        Record::read(&self.database).assert_successes(&shots);
        self.server.stop();
        Record::read(&self.database).assert_successes(&shots);
    }
}

#[test]
fn a_database_that_is_removed() {
    let _turn = beside_others();
    let scene = Scene::new();
    for round in 0..5 {
        let shots = scene.disturb(&format!("removed-{round}"), || {
            fs::remove_file(&scene.database).expect("the database is there");
        });
        println!("database removed under load: {}", outcomes(&shots));
    }
    scene.recovers("removed");
}

#[test]
fn a_write_ahead_log_that_is_removed() {
    let _turn = beside_others();
    let scene = Scene::new();
    for round in 0..5 {
        let shots = scene.disturb(&format!("wal-{round}"), || {
            fs::remove_file(beside(&scene.database, "-wal")).expect("the write-ahead log is there");
        });
        println!("write-ahead log removed under load: {}", outcomes(&shots));
    }
    scene.recovers("wal");
}

#[test]
fn a_database_that_is_replaced_by_another_log() {
    let _turn = beside_others();
    let scene = Scene::new();
    let other = scene.folder.path().join("other.db");
    scene.folder.settings_for(&other).start().stop();
    for round in 0..3 {
        let shots = scene.is_replaced_by(&other, &format!("replaced-{round}"));
        println!("database replaced under load: {}", outcomes(&shots));
    }
    scene.recovers("replaced");
}

#[test]
fn a_log_that_takes_the_place_is_not_damaged() {
    let _turn = beside_others();
    let scene = Scene::new();
    // Large enough that its pages are not those of the log it takes the place of.
    let other = scene.folder.path().join("other.db");
    let server = scene.folder.settings_for(&other).start();
    load_while(server.address(), 4, "other", |progress| {
        until("the other log has grown", SOON, || (progress.successes() >= 500).then_some(()));
    });
    server.stop();
    let kept = Record::read(&other).len();
    scene.is_replaced_by(&other, "damaged");
    assert!(Record::read(&scene.database).len() > kept, "the log that took the place is damaged");
    assert_eq!(integrity(&scene.database), "ok");
    scene.recovers("damaged");
}

#[test]
fn a_log_whose_place_something_else_takes() {
    let _turn = beside_others();
    let scene = Scene::new();
    let away = scene.folder.path().join("away");
    fs::rename(&scene.home, &away).expect("the folder is there");
    fs::create_dir(&scene.home).expect("another folder");
    let text = "no database at all, but long enough to be one. ".repeat(200);
    fs::write(&scene.database, &text).expect("a file");
    scene.is_refused("foreign");
    assert_eq!(fs::read_to_string(&scene.database).expect("the file is there"), text, "somebody else's file");
    fs::remove_file(&scene.database).expect("the file is there");
    scene.recovers("foreign");
}

#[test]
fn a_directory_that_is_moved_away_and_comes_back() {
    let _turn = beside_others();
    let scene = Scene::new();
    let away = scene.folder.path().join("away");
    fs::rename(&scene.home, &away).expect("the folder is there");
    scene.is_refused("moved");
    fs::rename(&away, &scene.home).expect("the folder comes back");
    scene.recovers("moved");
}

#[test]
fn a_directory_that_is_removed_and_made_again() {
    let _turn = beside_others();
    let scene = Scene::new();
    fs::remove_dir_all(&scene.home).expect("the folder is there");
    let shots = scene.is_refused("rmdir");
    println!("directory removed: {}", outcomes(&shots));
    fs::create_dir(&scene.home).expect("the folder is made again");
    scene.recovers("rmdir");
}
