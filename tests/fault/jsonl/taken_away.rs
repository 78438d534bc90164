//! The file is removed, renamed or cut by another program under load.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::scene::{Scene, settings};
use crate::support::strace::Fault;
use crate::support::{Folder, Kind, Record, SOON, beside, beside_others, fire, run, until};

#[test]
fn a_file_that_is_removed_is_put_back() {
    let _turn = beside_others();
    let scene = Scene::new("");
    let mut shots = Vec::new();
    for round in 0..3 {
        let remove = || fs::remove_file(&scene.log).expect("the file is there");
        shots.extend(scene.disturb(&format!("removed-{round}"), remove).0);
    }
    scene.server.terminate();
    let record = scene.record();
    record.assert_successes(&shots);
    record.assert_all_ended();
    assert!(scene.server.said().contains("was removed while it was written"), "{}", scene.server.said());
}

/// logrotate's `create`: renamed, and a new file made.
#[test]
fn a_file_that_is_rotated_by_another_program_is_left_for_the_new_one() {
    let _turn = beside_others();
    let scene = Scene::new("");
    let mut shots = Vec::new();
    for round in 0..3 {
        let rotate = || {
            for number in (1..3).rev() {
                let name = |number| beside(&scene.log, &format!(".{number}"));
                let _ = fs::rename(name(number), name(number + 1));
            }
            fs::rename(&scene.log, beside(&scene.log, ".1")).expect("the file is there");
            // The server may have made one meanwhile.
            drop(fs::File::options().append(true).create(true).open(&scene.log).expect("a new file"));
        };
        shots.extend(scene.disturb(&format!("renamed-{round}"), rotate).0);
    }
    scene.server.terminate();
    let record = scene.record();
    record.assert_successes(&shots);
    record.assert_all_ended();
    assert!(fs::metadata(beside(&scene.log, ".1")).expect("it was rotated").len() > 0);
    assert!(fs::metadata(&scene.log).expect("there is a new file").len() > 0);
}

/// logrotate's `copytruncate` may lose what is written between its copy and its cut, by its design: it is noticed.
#[test]
fn a_file_that_is_cut_is_noticed_and_goes_on() {
    let _turn = beside_others();
    let scene = Scene::new("");
    let cut = || {
        fs::copy(&scene.log, beside(&scene.log, ".1")).expect("a copy");
        fs::File::options().write(true).truncate(true).open(&scene.log).expect("it is cut");
    };
    let (shots, cut_at) = scene.disturb("cut", cut);
    scene.server.terminate();
    // What was answered before the copy is in it; an event that is in both is shown once.
    let record = scene.record();
    record.assert_successes(shots.iter().filter(|shot| shot.sent > cut_at));
    assert!(scene.server.said().contains("was cut while it was written"), "{}", scene.server.said());
    let text = fs::read_to_string(&scene.log).expect("the file is there");
    assert!(text.contains("\"audit.failed\""), "the log itself says that it was cut");
}

/// Between the write and the acknowledgement: a success is in the log all the same.
#[test]
fn what_happens_to_the_file_during_the_sync_is_noticed() {
    let _turn = beside_others();
    let folder = Folder::new();
    let log = folder.path().join("audit.jsonl");
    let url = format!("jsonl:{}", log.display());
    let server = settings(&folder, &url).deadline(Duration::from_secs(20)).start();
    let cut = |log: &Path| drop(fs::File::options().write(true).truncate(true).open(log).expect("it is cut"));
    let remove = |log: &Path| fs::remove_file(log).expect("it is there");
    let rename = |log: &Path| fs::rename(log, beside(log, ".1")).expect("it is there");
    let disturbances: [&dyn Fn(&Path); 3] = [&cut, &remove, &rename];
    let mut client = server.client();
    for (number, disturb) in disturbances.into_iter().enumerate() {
        let first = fire(&mut client, Kind::Upload, format!("first-{number}"));
        assert!(first.is_success(), "{}", server.said());
        let length = || fs::metadata(&log).expect("the file is there").len();
        let before = length();
        // Half a second, in microseconds.
        let fault = Fault::on_file(server.pid(), &log, "fdatasync", "delay_enter=500000");
        let mut client = server.client();
        let id = format!("during-{number}");
        let shot = thread::scope(|scope| {
            let firing = scope.spawn(|| fire(&mut client, Kind::Upload, id.clone()));
            until("the line is written", SOON, || (length() > before).then_some(()));
            disturb(&log);
            firing.join().expect("a client does not panic")
        });
        drop(fault);
        assert!(shot.is_success(), "{}", server.said());
        Record::read_url(&url).assert_successes([&shot]);
    }
    server.stop();
}

/// logrotate has compressed the renamed file, and removes it after its name was read and before it is looked at.
#[test]
fn a_renamed_file_that_is_removed_while_the_folder_is_read_is_found_in_its_copy() {
    let _turn = beside_others();
    let folder = Folder::new();
    let (log, calls) = (folder.path().join("audit.jsonl"), folder.path().join("calls"));
    let url = format!("jsonl:{}", log.display());
    let server = settings(&folder, &url).deadline(Duration::from_secs(20)).start();
    let mut client = server.client();
    let first = fire(&mut client, Kind::Upload, "first".to_owned());
    let renamed = beside(&log, ".1");
    fs::rename(&log, &renamed).expect("it is there");
    run("gzip", &["--keep", renamed.to_str().expect("a path of text")]);
    let fault = Fault::traced_on_file(server.pid(), &renamed, "statx", "delay_enter=500000", &calls);
    let second = thread::scope(|scope| {
        let firing = scope.spawn(|| fire(&mut client, Kind::Upload, "second".to_owned()));
        let is_looked_at = || fs::read_to_string(&calls).is_ok_and(|calls| calls.contains("statx(")).then_some(());
        until("the file is looked at", SOON, is_looked_at);
        fs::remove_file(&renamed).expect("it is there");
        firing.join().expect("a client does not panic")
    });
    drop(fault);
    assert!(!server.said().contains("was removed, moved or cut"), "{}", server.said());
    server.stop();
    Record::read_url(&url).assert_successes([&first, &second]);
}
