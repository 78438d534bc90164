//! Each system call of an append fails in turn: no response claims what is not kept, and the log then reads clean.

use std::fs;

use super::scene::{Scene, settings};
use crate::store_fails::until_recovered;
use crate::support::strace::Fault;
use crate::support::{Kind, Shot, alone, beside, fire};

#[test]
fn each_call_of_an_append_fails_in_turn() {
    let _turn = alone();
    let scene = Scene::new("");
    let log = scene.log.clone();
    let lock = beside(&log, ".state").join("lock");
    let home = log.parent().expect("it is in a folder").to_owned();
    let mut shots = until_recovered(&scene.server, "before");
    let cases = [
        (&log, "write", "error=ENOSPC"),
        (&log, "write", "error=EIO"),
        (&log, "write", "error=EINTR:when=1+2"),
        (&log, "fdatasync", "error=EIO"),
        // Neither synced nor cut: the file is left for a new one.
        (&log, "fdatasync,ftruncate", "error=EIO"),
        (&log, "statx,fstat,newfstatat", "error=EIO"),
        (&lock, "openat", "error=EMFILE"),
        (&lock, "flock", "error=ENOLCK"),
        (&lock, "pread64", "error=EIO"),
        (&home, "statx,fstat,newfstatat", "error=EIO"),
    ];
    for (number, (file, calls, how)) in cases.into_iter().enumerate() {
        let fault = Fault::on_file(scene.server.pid(), file, calls, how);
        let mut client = scene.server.client();
        let mut refused = 0;
        for round in 0..2 {
            for kind in [Kind::Admin, Kind::Upload] {
                let shot = fire(&mut client, kind, format!("case-{number}-{round}-{kind:?}"));
                refused += usize::from(!shot.is_success());
                assert!(shot.answer.is_some(), "{calls} {how}: every request is answered");
                shots.push(shot);
            }
        }
        drop(fault);
        println!("{calls} on {}: {how}: {refused} of 4 refused", file.display());
        let is_passing = how.contains("EINTR");
        assert_eq!(refused == 0, is_passing, "{calls} {how}: {}", scene.server.said());
        shots.extend(until_recovered(&scene.server, &format!("after-{number}")));
    }
    let url = scene.url();
    scene.server.stop();
    let record = crate::support::Record::read_url(&url);
    record.assert_successes(&shots);
    record.assert_all_ended();
    let effects = scene.folder.effects();
    record.assert_no_effect_without_record(&effects, shots.iter().filter(|shot: &&Shot| shot.kind == Kind::Admin));
    for entry in fs::read_dir(&home).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_file() {
            for line in fs::read_to_string(&path).expect("it is text").lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{}: {line}", path.display());
            }
        }
    }
}

/// Another sync would succeed for lines that the disk does not have, in another process, too.
#[test]
fn every_process_leaves_a_file_that_could_be_neither_synced_nor_cut() {
    let _turn = alone();
    let scene = Scene::new("");
    let other = settings(&scene.folder, &scene.url()).start();
    let home = scene.log.parent().expect("it is in a folder").to_owned();
    let files = || {
        fs::read_dir(&home)
            .expect("the folder")
            .filter(|entry| entry.as_ref().is_ok_and(|one| one.path().is_file()))
            .count()
    };
    let mut shots = until_recovered(&scene.server, "before");
    assert_eq!(files(), 1);
    let fault = Fault::on_file(scene.server.pid(), &scene.log, "fdatasync,ftruncate,renameat2", "error=EIO");
    let shot = fire(&mut scene.server.client(), Kind::Upload, "refused".to_owned());
    assert!(!shot.is_success());
    shots.push(shot);
    let shot = fire(&mut other.client(), Kind::Upload, "other".to_owned());
    assert!(shot.is_success(), "{}", other.said());
    shots.push(shot);
    assert_eq!(files(), 2, "it is not appended to any more");
    drop(fault);
    shots.extend(until_recovered(&scene.server, "after"));
    shots.extend(until_recovered(&other, "other"));
    assert_eq!(files(), 2);
    scene.record().assert_successes(&shots);
}
