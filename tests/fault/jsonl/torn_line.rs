//! A torn line that cannot be moved away for now.

use std::fs::File;
use std::io::Write as _;

use super::scene::Scene;
use crate::store_fails::until_recovered;
use crate::support::strace::Fault;
use crate::support::{Kind, beside, beside_others, fire};

#[test]
fn a_repair_that_fails_again_and_again_leaves_one_copy() {
    let _turn = beside_others();
    let scene = Scene::new("");
    let state = beside(&scene.log, ".state");
    let copies = || {
        let names = std::fs::read_dir(&state).expect("the state").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("torn-")).count()
    };
    let mut shots = until_recovered(&scene.server, "before");
    let fault = Fault::on_file(scene.server.pid(), &state, "fsync", "error=EIO");
    File::options().append(true).open(&scene.log).expect("the log").write_all(b"torn").expect("it is written");
    let mut client = scene.server.client();
    for number in 0..3 {
        shots.push(fire(&mut client, Kind::Upload, format!("during-{number}")));
        assert!(!shots[shots.len() - 1].is_success(), "nothing is written behind a torn line");
    }
    assert!(copies() <= 1, "{} copies of one line", copies());
    drop(fault);
    shots.extend(until_recovered(&scene.server, "after"));
    assert_eq!(copies(), 1);
    let record = scene.record();
    record.assert_successes(&shots);
}
