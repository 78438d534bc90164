//! Every system call of one append on the log's files, found by a trace, fails in turn.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::scene::Scene;
use crate::store_fails::until_recovered;
use crate::support::strace::{Fault, Tracing};
use crate::support::{Kind, Shot, alone, beside, fire};
use crate::syscall_order::parse;

#[test]
fn each_call_of_one_append_fails_in_turn() {
    let _turn = alone();
    let scene = Scene::new("");
    let state = beside(&scene.log, ".state");
    let home = scene.log.parent().expect("it is in a folder").to_owned();
    let files: [PathBuf; 4] = [scene.log.clone(), state.join("lock"), home.clone(), state];
    let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    let mut shots = until_recovered(&scene.server, "before");
    let traced = scene.folder.path().join("trace");
    let tracing = Tracing::of_files(scene.server.pid(), &files, &traced);
    let mut client = scene.server.client();
    shots.push(fire(&mut client, Kind::Upload, "traced".to_owned()));
    tracing.end();
    let calls: Vec<String> =
        parse(&fs::read_to_string(&traced).expect("the trace")).into_iter().map(|call| call.name).collect();
    assert!(calls.iter().any(|name| name == "write") && calls.iter().any(|name| name == "fdatasync"), "{calls:?}");
    assert!(calls.len() >= 10, "{calls:?}");
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut told = Vec::new();
    for (number, name) in calls.iter().enumerate() {
        let nth = seen.entry(name).and_modify(|nth| *nth += 1).or_insert(1);
        let fault = Fault::on_files(scene.server.pid(), &files, name, &format!("error=EIO:when={nth}"));
        let shot = fire(&mut client, Kind::Upload, format!("case-{number}"));
        drop(fault);
        assert!(shot.answer.is_some(), "{name} {nth}: every request is answered: {}", scene.server.said());
        told.push(format!("{name} {nth}: {}", shot.status.unwrap_or_default()));
        shots.push(shot);
        shots.extend(until_recovered(&scene.server, &format!("after-{number}")));
    }
    println!("{}", told.join(", "));
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
