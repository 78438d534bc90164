//! Files of the log are removed or replaced while another process has the log open. SQLite copies the write-ahead log into
//! the database only with the last connection of all processes, so a server must do that itself: no success is ever lost,
//! whether it was answered before the removal or after.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::assertions::{assert_answers, outcomes, until_recovered};
use crate::support::{
    Database, Folder, Record, SOON, Server, Shot, alone, beside, beside_others, integrity, load_while, until, url,
};

const ROUNDS: usize = 5;

/// `tower-audit tail --follow`, with the log open.
struct Tail(Child);

impl Tail {
    /// Starts it and waits until it has shown an event.
    fn start(database: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tower-audit"))
            .args(["tail", "--follow", "--format", "jsonl", "--url", &url(database)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        lines.next().expect("it shows an event").expect("it can be read");
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self(child)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A log, and a server that writes it.
struct Scene {
    folder: Folder,
    database: PathBuf,
    server: Server,
    shots: Vec<Shot>,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let database = folder.database();
        let server = folder.settings().start();
        let shots = until_recovered(&server, "first");
        Self { folder, database, server, shots }
    }

    /// Does something to the files under load, `ROUNDS` times.
    fn disturb(&mut self, name: &str, mut what: impl FnMut(usize)) {
        for round in 0..ROUNDS {
            let shots = load_while(self.server.address(), 4, &format!("{name}-{round}"), |progress| {
                until("requests go well", SOON, || (progress.successes() >= 40).then_some(()));
                what(round);
                let before = progress.successes();
                until("requests go well again", SOON, || (progress.successes() >= before + 40).then_some(()));
            });
            println!("{name}: {}", outcomes(&shots));
            self.shots.extend(shots);
        }
    }

    /// Every success is in the log while it is written, and after everything has ended.
    fn loses_nothing(self, others: Vec<Server>) {
        let Self { folder, database, server, mut shots } = self;
        shots.extend(until_recovered(&server, "last"));
        assert_answers(&shots, &folder.effects());
        Record::read(&database).assert_successes(&shots);
        for server in others.into_iter().chain([server]) {
            server.until_health(200);
            server.stop();
            Record::read(&database).assert_successes(&shots);
        }
        assert_eq!(integrity(&database), "ok");
    }
}

fn remove(database: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        // It is not there while nobody has made another.
        let _ = fs::remove_file(beside(database, suffix));
    }
}

#[test]
fn a_write_ahead_log_that_is_removed_beside_a_reader() {
    let _turn = beside_others();
    for suffixes in [&["-wal"][..], &["-wal", "-shm"], &["-shm", "-wal"], &["-shm"]] {
        let mut scene = Scene::new();
        let tail = Tail::start(&scene.database);
        let database = scene.database.clone();
        scene.disturb(&suffixes.concat(), |_| remove(&database, suffixes));
        scene.loses_nothing(Vec::new());
        drop(tail);
    }
}

#[test]
fn a_write_ahead_log_that_is_removed_beside_a_writer_and_a_reader() {
    let _turn = alone();
    for suffixes in [&["-wal"][..], &["-wal", "-shm"], &["-shm", "-wal"], &["-shm"]] {
        let mut scene = Scene::new();
        let other = scene.folder.settings().start();
        let tail = Tail::start(&scene.database);
        let (database, address) = (scene.database.clone(), other.address());
        let name = suffixes.concat();
        let mut shots = Vec::new();
        for round in 0..2 {
            shots.extend(load_while(address, 4, &format!("other{name}-{round}"), |of_other| {
                scene.disturb(&format!("both{name}-{round}"), |_| {
                    remove(&database, suffixes);
                    let before = of_other.successes();
                    until("the other answers", SOON, || (of_other.successes() >= before + 20).then_some(()));
                });
            }));
        }
        scene.shots.extend(shots);
        scene.loses_nothing(vec![other]);
        drop(tail);
    }
}

/// The other server has the removed log open, and notices nothing as long as nobody asks it for anything.
#[test]
fn a_write_ahead_log_that_is_removed_beside_an_idle_writer() {
    let _turn = beside_others();
    for suffixes in [&["-wal"][..], &["-wal", "-shm"], &["-shm"]] {
        let mut scene = Scene::new();
        let idle = scene.folder.settings().start();
        scene.shots.extend(until_recovered(&idle, "idle"));
        let database = scene.database.clone();
        scene.disturb(&suffixes.concat(), |_| remove(&database, suffixes));
        scene.loses_nothing(vec![idle]);
    }
}

/// As above, but the server that goes on ends first, and the one with the removed files last.
#[test]
fn a_server_that_ends_last_with_removed_files_takes_nothing_along() {
    let _turn = beside_others();
    for suffixes in [&["-wal"][..], &["-wal", "-shm"], &["-shm"]] {
        let mut scene = Scene::new();
        let idle = scene.folder.settings().start();
        scene.shots.extend(until_recovered(&idle, "idle"));
        let database = scene.database.clone();
        scene.disturb(&suffixes.concat(), |_| remove(&database, suffixes));
        let Scene { database, server, shots, .. } = scene;
        server.stop();
        idle.stop();
        Record::read(&database).assert_successes(&shots);
        assert_eq!(integrity(&database), "ok");
    }
}

#[test]
fn a_server_that_ends_saves_the_log_that_was_removed() {
    let _turn = beside_others();
    let Scene { folder, database, server, mut shots } = Scene::new();
    let tail = Tail::start(&database);
    shots.extend(load_while(server.address(), 4, "ends", |progress| {
        until("requests go well", SOON, || (progress.successes() >= 40).then_some(()));
    }));
    remove(&database, &["-wal"]);
    server.stop();
    drop(tail);
    Record::read(&database).assert_successes(&shots);
    let next = folder.settings().start();
    Record::read(&database).assert_successes(&shots);
    next.stop();
    Record::read(&database).assert_successes(&shots);
    assert_eq!(integrity(&database), "ok");
}

/// A copy of an earlier write-ahead log takes the place of the one in use.
#[test]
fn a_write_ahead_log_that_an_older_one_replaces() {
    let _turn = beside_others();
    let mut scene = Scene::new();
    let idle = scene.folder.settings().start();
    let tail = Tail::start(&scene.database);
    let log = beside(&scene.database, "-wal");
    let (older, copy) = (scene.folder.path().join("older"), scene.folder.path().join("copy"));
    fs::copy(&log, &older).expect("the write-ahead log is there");
    scene.disturb("older", |_| {
        fs::copy(&older, &copy).expect("an older log");
        fs::rename(&copy, &log).expect("it takes the name");
    });
    scene.loses_nothing(vec![idle]);
    drop(tail);
}

/// The events of a removed log are in no file that has a name. A server that starts meanwhile must not write beside them.
#[test]
fn a_server_that_starts_beside_a_removed_log_waits_for_its_events() {
    let _turn = beside_others();
    let Scene { folder, database, server, mut shots } = Scene::new();
    shots.extend(load_while(server.address(), 4, "before", |progress| {
        until("requests go well", SOON, || (progress.successes() >= 40).then_some(()));
    }));
    remove(&database, &["-wal"]);
    let exit = folder.settings().refused();
    assert!(exit.stderr.contains("write-ahead log"), "{}", exit.stderr);
    // The one that has the log copies it, and goes on with the new one.
    server.until_health(200);
    let next = folder.settings().start();
    shots.extend(until_recovered(&next, "next"));
    shots.extend(until_recovered(&server, "server"));
    Record::read(&database).assert_successes(&shots);
    server.stop();
    next.stop();
    Record::read(&database).assert_successes(&shots);
    assert_eq!(integrity(&database), "ok");
}

/// As docs/operate.md says it: nothing but a reader has the removed log.
#[cfg(target_os = "linux")]
#[test]
fn the_log_of_a_killed_server_can_be_copied_from_a_reader() {
    let _turn = beside_others();
    let Scene { folder, database, server, mut shots } = Scene::new();
    let tail = Tail::start(&database);
    shots.extend(load_while(server.address(), 4, "before", |progress| {
        until("requests go well", SOON, || (progress.successes() >= 40).then_some(()));
    }));
    remove(&database, &["-wal"]);
    server.kill();
    let exit = folder.settings().refused();
    assert!(exit.stderr.contains("write-ahead log"), "{}", exit.stderr);
    let log = beside(&database, "-wal");
    let removed = fs::read_dir(format!("/proc/{}/fd", tail.0.id()))
        .expect("its descriptors can be listed")
        .map(|entry| entry.expect("they can be listed").path())
        .find(|path| fs::read_link(path).is_ok_and(|name| name == beside(&log, " (deleted)")))
        .expect("the reader has the removed log");
    fs::copy(removed, &log).expect("it can be copied");
    drop(tail);
    let next = folder.settings().start();
    Record::read(&database).assert_successes(&shots);
    next.stop();
    Record::read(&database).assert_successes(&shots);
    assert_eq!(integrity(&database), "ok");
}

/// A program without our commit hook goes on writing with the removed log, and the frames that it counts are missing in the new
/// one. Nothing is acknowledged behind them, and nothing is copied into the database that is not there.
#[test]
fn a_program_that_writes_with_the_removed_log_makes_a_gap() {
    let _turn = beside_others();
    for is_killed in [true, false] {
        let Scene { folder, database, server, mut shots } = Scene::new();
        let idle = folder.settings().start();
        let mut program = Database::open(&database);
        program.execute("CREATE TABLE other(a); INSERT INTO other VALUES (1)");
        remove(&database, &["-wal"]);
        shots.extend(load_while(server.address(), 4, "before", |progress| {
            until("requests go well", SOON, || (progress.successes() >= 40).then_some(()));
        }));
        shots.extend(until_recovered(&idle, "idle"));
        // The new log is begun again, with the frames of before behind its end. The program reads no page that is in it.
        let mut another = Database::open(&database);
        another.execute("PRAGMA wal_checkpoint(RESTART)");
        another.close();
        server.until_health(200);
        program.execute("INSERT INTO other VALUES (2)");
        let refused = load_while(server.address(), 4, "gap", |progress| {
            until("requests are refused", SOON, || (progress.failures() >= 8).then_some(()));
        });
        assert_eq!(server.health(), 503);
        assert!(server.said().contains("has a gap"), "{}", server.said());
        shots.extend(refused);
        assert_answers(&shots, &folder.effects());
        // It has no event to write, and would copy the log.
        idle.terminate();
        idle.ended();
        program.close();
        if is_killed {
            server.kill();
        } else {
            server.terminate();
            server.ended();
        }
        Record::read(&database).assert_successes(&shots);
        let next = folder.settings().start();
        shots.extend(until_recovered(&next, "next"));
        next.stop();
        Record::read(&database).assert_successes(&shots);
        assert_eq!(integrity(&database), "ok");
    }
}

/// The database goes away with its name; a success is in the log at PATH or in a copy of the one that was there.
#[test]
fn a_database_that_is_removed_or_renamed_beside_another_server() {
    let _turn = alone();
    for is_kept in [false, true] {
        let mut scene = Scene::new();
        let other = scene.folder.settings().start();
        let tail = Tail::start(&scene.database);
        let (database, address) = (scene.database.clone(), other.address());
        let away = |round| scene_file(&database, round);
        let mut shots = Vec::new();
        shots.extend(load_while(address, 4, "other", |of_other| {
            scene.disturb("database", |round| {
                match is_kept {
                    true => fs::rename(&database, away(round)).expect("the database is there"),
                    false => fs::remove_file(&database).expect("the database is there"),
                }
                let before = of_other.successes();
                until("the other answers", SOON, || (of_other.successes() >= before + 20).then_some(()));
            });
        }));
        shots.extend(scene.shots);
        for server in [scene.server, other] {
            server.until_health(200);
            server.stop();
        }
        drop(tail);
        assert_somewhere(&database, &shots);
        assert_eq!(integrity(&database), "ok");
    }
}

/// The database comes back with the log of another server, which has written it at its other place and was killed. The first
/// server has the log that it wrote before the move, and must not write that over it.
#[test]
fn a_moved_database_that_another_server_has_written_comes_back() {
    let _turn = beside_others();
    let Scene { folder, database, server, mut shots } = Scene::new();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder to move to");
    let moved = elsewhere.join("audit.db");
    fs::rename(&database, &moved).expect("the database is there");
    shots.extend(until_recovered(&server, "meanwhile"));
    let other = folder.settings_for(&moved).start();
    let mut at_path = until_recovered(&other, "other");
    other.kill();
    for suffix in ["", "-wal", "-shm"] {
        let away = beside(&elsewhere.join("meanwhile.db"), suffix);
        fs::rename(beside(&database, suffix), away).expect("a log of meanwhile");
    }
    for suffix in ["", "-wal"] {
        fs::rename(beside(&moved, suffix), beside(&database, suffix)).expect("the log of the other server");
    }
    at_path.extend(until_recovered(&server, "back"));
    assert!(server.said().contains("another write-ahead log is there"), "{}", server.said());
    server.stop();
    Record::read(&database).assert_successes(&at_path);
    assert_somewhere(&database, &shots);
    assert_eq!(integrity(&database), "ok");
}

fn scene_file(database: &Path, round: usize) -> PathBuf {
    beside(database, &format!(".away-{round}"))
}

/// Every success is in the log, or in a copy that a server has made of the one before.
fn assert_somewhere(database: &Path, shots: &[Shot]) {
    let folder = database.parent().expect("it is in a folder");
    let names = fs::read_dir(folder).expect("it can be listed").map(|entry| entry.expect("it can be listed").path());
    let copies = names.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("audit.db-replaced-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    });
    let records: Vec<Record> = copies.chain([database.to_owned()]).map(|path| Record::read(&path)).collect();
    let found: std::collections::HashSet<&str> =
        records.iter().flat_map(|record| record.counts(tower_audit::Phase::Completed).into_keys()).collect();
    let lost: Vec<&str> = shots
        .iter()
        .filter(|shot| shot.is_success() && !found.contains(shot.id.as_str()))
        .map(|shot| shot.id.as_str())
        .collect();
    assert!(lost.is_empty(), "{} answered and lost: {lost:?}", lost.len());
}
