//! No space is left on the disk: an append is refused whole, and the log goes on when there is room.

use std::fs;

use super::scene::settings;
use crate::store_fails::{until_recovered, until_refused, while_full};
use crate::support::{Folder, Kind, Record, SOON, Shot, beside_others, fire, in_own_namespace, run, until};

const NAME: &str = "jsonl::full_disk::a_full_disk_leaves_no_half_line";

const REMOVED: &str = "jsonl::full_disk::a_file_that_is_removed_is_put_back_when_there_is_room";

#[test]
fn a_file_that_is_removed_is_put_back_when_there_is_room() {
    let _turn = beside_others();
    in_own_namespace(REMOVED, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk.to_str().expect("a path of text")]);
        let log = disk.join("audit.jsonl");
        let url = format!("jsonl:{}", log.display());
        let server = settings(&folder, &url).start();
        let mut client = server.client();
        let mut shots: Vec<Shot> =
            (0..20).map(|number| fire(&mut client, Kind::Upload, format!("before-{number}"))).collect();
        while_full(&disk, || {
            fs::remove_file(&log).expect("the file is there");
            for kind in [Kind::Admin, Kind::Upload] {
                shots.extend(until_refused(&mut client, kind, 3));
            }
        });
        shots.extend(until_recovered(&server, "full"));
        until("it is put back", SOON, || {
            shots.push(fire(&mut client, Kind::Upload, format!("after-{}", shots.len())));
            server.said().contains("were put back").then_some(())
        });
        let everything = || Record::read_url(&url);
        everything().assert_successes(&shots);
        server.stop();
        everything().assert_successes(&shots);
    });
}

#[test]
fn a_full_disk_leaves_no_half_line() {
    let _turn = beside_others();
    in_own_namespace(NAME, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk.to_str().expect("a path of text")]);
        let log = disk.join("audit.jsonl");
        let url = format!("jsonl:{}", log.display());
        let server = settings(&folder, &url).start();
        let mut client = server.client();
        let mut shots: Vec<Shot> = Vec::new();
        while_full(&disk, || {
            for kind in [Kind::Admin, Kind::Upload] {
                shots.extend(until_refused(&mut client, kind, 3));
            }
            server.until_health(503);
        });
        shots.extend(until_recovered(&server, "full"));
        shots.push(fire(&mut client, Kind::Admin, "after".to_owned()));
        server.stop();
        // Where only the end was refused, the next start closes the request.
        settings(&folder, &url).start().stop();
        let record = Record::read_url(&url);
        record.assert_successes(&shots);
        record.assert_all_ended();
        let text = fs::read_to_string(&log).expect("it is text");
        for line in text.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "half a line: {line}");
        }
    });
}
