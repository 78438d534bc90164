//! A limit of the size of files (`ulimit -f`): an error, and no signal that ends the process.

use std::fs;

use super::scene::settings;
use crate::store_fails::{until_recovered, until_refused};
use crate::support::{Folder, Kind, Record, SOON, beside_others, fire, run, until};

const LIMIT: u64 = 48 << 10;

#[test]
fn a_file_at_the_limit_of_its_size_refuses_and_recovers() {
    let _turn = beside_others();
    let folder = Folder::new();
    let url = format!("jsonl:{}?rotate_bytes=0", folder.path().join("audit.jsonl").display());
    let server = settings(&folder, &url).under(["prlimit", &format!("--fsize={LIMIT}:"), "--"]).start();
    let mut client = server.client();
    let mut shots = Vec::new();
    until("the file is as large as it may be", SOON, || {
        shots.push(fire(&mut client, Kind::Upload, format!("fills-{}", shots.len())));
        assert!(shots.last().is_some_and(|shot| shot.answer.is_some()), "every request is answered");
        shots.last().is_some_and(|shot| !shot.is_success()).then_some(())
    });
    for kind in [Kind::Admin, Kind::Upload] {
        shots.extend(until_refused(&mut client, kind, 3));
    }
    server.until_health(503);
    run("prlimit", &["--pid", &server.pid().to_string(), "--fsize=unlimited:"]);
    shots.extend(until_recovered(&server, "limit"));
    server.stop();
    let record = Record::read_url(&url);
    record.assert_successes(&shots);
    record.assert_all_ended();
}

#[test]
fn a_file_below_its_rotation_is_rotated_at_the_limit() {
    let _turn = beside_others();
    let folder = Folder::new();
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("a folder for the log");
    let url = format!("jsonl:{}", home.join("audit.jsonl").display());
    let server = settings(&folder, &url).under(["prlimit", &format!("--fsize={LIMIT}:"), "--"]).start();
    let mut client = server.client();
    let mut shots = Vec::new();
    until("it is rotated", SOON, || {
        shots.push(fire(&mut client, Kind::Upload, format!("fills-{}", shots.len())));
        assert!(shots.last().is_some_and(|shot| shot.is_success()), "{}", server.said());
        (fs::read_dir(&home).expect("the folder").count() > 3).then_some(())
    });
    assert_eq!(server.health(), 200);
    server.stop();
    Record::read_url(&url).assert_successes(&shots);
}
