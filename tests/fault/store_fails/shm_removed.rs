//! The index of the log file (`-shm`) is removed while two processes write the log. The lock that they take turns by is in it.

use std::fs;

use crate::support::{Folder, Record, SOON, alone, beside, integrity, load_while, until};

const REMOVALS: usize = 8;

#[test]
fn two_processes_whose_index_is_removed_lose_nothing_and_go_on() {
    let _turn = alone();
    let folder = Folder::new();
    let servers = [folder.settings().start(), folder.settings().start()];
    let index = beside(&folder.database(), "-shm");
    let [one, other] = servers.each_ref().map(|server| server.address());
    let mut shots = Vec::new();
    let first = load_while(one, 4, "one", |of_one| {
        shots = load_while(other, 4, "other", |of_other| {
            for _ in 0..REMOVALS {
                for progress in [of_one, of_other] {
                    let before = progress.successes();
                    until("both answer", SOON, || (progress.successes() >= before + 20).then_some(()));
                }
                // It is not there while nobody has made another.
                let _ = fs::remove_file(&index);
            }
        });
    });
    shots.extend(first);
    for server in servers {
        server.until_health(200);
        server.stop();
    }
    Record::read(&folder.database()).assert_successes(&shots);
    assert_eq!(integrity(&folder.database()), "ok");
}
