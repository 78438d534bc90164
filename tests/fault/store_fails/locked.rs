//! Another process holds the lock of the log.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::assertions::{assert_answers, until_recovered};
use crate::support::{Database, Folder, Kind, Record, Request, Shot, alone, fire};

const DEADLINE: Duration = Duration::from_millis(700);
/// Time allowed beyond the timeout to the better of two rounds.
const SLACK: Duration = Duration::from_millis(600);
/// Time allowed beyond it to any answer, on a busy machine.
const MUCH_SLACK: Duration = Duration::from_millis(2000);
const CLIENTS: usize = 8;

#[test]
fn a_held_lock_costs_the_deadline_and_no_more() {
    let _turn = alone();
    let folder = Folder::new();
    let server = folder.settings().deadline(DEADLINE).start();
    let mut shots = Vec::new();
    let mut best = Duration::MAX;
    for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let name = begin.split_at(6).1.to_lowercase();
        let held: Vec<Shot> = while_locked(&folder.database(), begin, || {
            assert_eq!(server.ask(&Request::get("/health")).status, 200, "what is not audited goes on");
            let held = thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS)
                    .map(|number| {
                        let kind = if number % 2 == 0 { Kind::Upload } else { Kind::Admin };
                        let mut client = server.client();
                        let id = format!("{name}-{number}");
                        scope.spawn(move || fire(&mut client, kind, id))
                    })
                    .collect();
                clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
            });
            assert_eq!(server.health(), 503);
            held
        });
        let longest = held.iter().map(|shot| shot.took).max().unwrap_or_default();
        println!(
            "lock held ({begin}): {CLIENTS} answers, the last {:?} after the deadline",
            longest.saturating_sub(DEADLINE)
        );
        for shot in &held {
            assert!(!shot.is_success(), "{} was written past the lock", shot.id);
            assert!(shot.took < DEADLINE + MUCH_SLACK, "{} waited {:?}", shot.id, shot.took);
        }
        best = best.min(longest);
        shots.extend(held);
        shots.extend(until_recovered(&server, &name));
    }
    assert!(best < DEADLINE + SLACK, "every round had answers that took {best:?} or more");
    server.stop();
    assert_answers(&shots, &folder.effects());
    Record::read(&folder.database()).assert_successes(&shots);
}

/// Runs `body` while this process holds the lock.
pub(super) fn while_locked<T>(path: &Path, begin: &'static str, body: impl FnOnce() -> T) -> T {
    let mut database = Database::open(path);
    database.execute(begin);
    let result = body();
    database.execute("ROLLBACK");
    database.close();
    result
}
