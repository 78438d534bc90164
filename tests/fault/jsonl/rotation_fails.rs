//! A rotation that fails: the log goes on in the file that it has, says so, and rotates later.

use std::fs;

use super::scene::Scene;
use crate::store_fails::until_recovered;
use crate::support::strace::Fault;
use crate::support::{Kind, SOON, beside_others, fire, until};

#[test]
fn a_failing_rotation_refuses_no_append() {
    let _turn = beside_others();
    // The new name is refused; or the old one is gone and a new file cannot be made.
    for (number, (calls, how)) in
        [("rename,renameat,renameat2", "error=EACCES"), ("open,openat", "error=ENOSPC")].into_iter().enumerate()
    {
        let scene = Scene::new("?rotate_bytes=64K");
        let home = scene.log.parent().expect("it is in a folder").to_owned();
        let files = || fs::read_dir(&home).expect("the folder").count();
        let mut shots = until_recovered(&scene.server, "before");
        // A reader inside of the server would open the file, too.
        let fault = Fault::on_file(scene.server.pid(), &scene.log, calls, how);
        let mut client = scene.server.client();
        let length = || fs::metadata(&scene.log).map_or(0, |file| file.len());
        until("the file outgrows its rotation", SOON, || {
            let shot = fire(&mut client, Kind::Upload, format!("during-{number}-{}", shots.len()));
            assert!(shot.is_success(), "{calls}: {:?}: {}", shot.answer, scene.server.said());
            shots.push(shot);
            (length() > 80 << 10).then_some(())
        });
        assert_eq!(files(), 2, "the log and its state");
        drop(fault);
        assert!(scene.server.said().contains("cannot be rotated"), "{}", scene.server.said());
        until("it is rotated", SOON, || {
            shots.push(fire(&mut client, Kind::Upload, format!("after-{number}-{}", shots.len())));
            (files() > 2).then_some(())
        });
        let record = scene.record();
        record.assert_successes(&shots);
        record.assert_all_ended();
    }
}
