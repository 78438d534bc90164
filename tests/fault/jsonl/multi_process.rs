//! Two processes on one file; one of them is killed.

use super::scene::settings;
use crate::support::{Folder, Record, SOON, beside_others, load_while, until};

#[test]
fn two_processes_append_to_one_file() {
    let _turn = beside_others();
    let folder = Folder::new();
    let url = format!("jsonl:{}?rotate_bytes=64K&gzip=true", folder.path().join("audit.jsonl").display());
    let (first, second) = (settings(&folder, &url).start(), settings(&folder, &url).start());
    let address = second.address();
    let mut killed = Vec::new();
    let mut shots = load_while(first.address(), 4, "first", |progress| {
        killed = load_while(address, 4, "second", |others| {
            until("both go well", SOON, || (progress.successes() >= 200 && others.successes() >= 200).then_some(()));
            second.kill();
        });
        let before = progress.successes();
        until("the first goes on", SOON, || (progress.successes() >= before + 50).then_some(()));
    });
    shots.extend(killed);
    // The next start closes the events of the process that was killed, and not those of the one that lives.
    settings(&folder, &url).start().stop();
    first.stop();
    let record = Record::read_url(&url);
    record.assert_successes(&shots);
    record.assert_all_ended();
}
