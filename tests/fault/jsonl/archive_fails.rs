//! An archive on a part of the disk that cannot be read, or that is slow.

use std::fs;
use std::thread;

use tower_audit::{AuditEvent, EventType};

use super::scene::Scene;
use crate::store_fails::until_recovered;
use crate::support::strace::failing;
use crate::support::{Folder, Kind, SOON, beside, beside_others, fire, run, until};

fn lines(count: usize) -> String {
    let line = |number| {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.request.request_id = Some(format!("archived-{number}").into());
        serde_json::to_string(&event).expect("JSON") + "\n"
    };
    (0..count).map(line).collect()
}

fn words(words: &[std::ffi::OsString]) -> Vec<&str> {
    words.iter().map(|word| word.to_str().expect("text")).collect()
}

#[test]
fn an_archive_that_cannot_be_read_is_shown_as_one_event() {
    let _turn = beside_others();
    let folder = Folder::new();
    let log = folder.path().join("audit.jsonl");
    fs::write(&log, lines(3)).expect("a log");
    fs::write(beside(&log, ".1"), lines(5)).expect("an archive");
    let url = format!("jsonl:{}", log.display());
    let program = |command: &[&str]| {
        let mut all = failing("read,pread64", "error=EIO", &beside(&log, ".1"));
        all.push(env!("CARGO_BIN_EXE_tower-audit").into());
        all.extend(command.iter().map(Into::into));
        all.extend(["--url".into(), url.clone().into()]);
        let all = words(&all);
        run(all[0], &all[1..])
    };
    assert_eq!(program(&["count"]).trim(), "4");
    let shown = program(&["query", "--all", "--format", "jsonl"]);
    assert!(shown.contains("audit.jsonl.1 cannot be read"), "{shown}");
    // The next process reads it.
    assert_eq!(run(env!("CARGO_BIN_EXE_tower-audit"), &["count", "--url", &url]).trim(), "8");
}

/// A process that opens the log reads its archives. The others append meanwhile.
#[test]
fn archives_are_indexed_without_the_lock_of_the_log() {
    let _turn = beside_others();
    let scene = Scene::new("");
    let mut shots = until_recovered(&scene.server, "before");
    let archive = beside(&scene.log, ".1");
    fs::write(&archive, lines(30_000)).expect("an archive");
    let url = scene.url();
    thread::scope(|scope| {
        let opening = scope.spawn(|| {
            let mut all = failing("read,pread64", "delay_enter=20000", &archive);
            all.extend([env!("CARGO_BIN_EXE_tower-audit"), "migrate", "--url", &url].map(Into::into));
            let all = words(&all);
            run(all[0], &all[1..])
        });
        let mut client = scene.server.client();
        until("the other has opened the log", SOON, || {
            shots.push(fire(&mut client, Kind::Admin, format!("during-{}", shots.len())));
            assert!(shots[shots.len() - 1].is_success(), "{}", scene.server.said());
            opening.is_finished().then_some(())
        });
        opening.join().expect("it does not panic");
    });
    scene.record().assert_successes(&shots);
}
