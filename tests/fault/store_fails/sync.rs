//! The disk fails or hangs when it is asked to make something durable.

use std::thread;
use std::time::Duration;

use super::assertions::{assert_answers, outcomes, until_recovered};
use crate::support::strace::Fault;
use crate::support::{Folder, Kind, Record, Request, SOON, Shot, alone, fire, load_while, until};

const DEADLINE: Duration = Duration::from_millis(700);
/// For a machine that is busy with something else.
const SLACK: Duration = Duration::from_millis(2000);

#[test]
fn a_sync_that_fails_is_no_success() {
    let _turn = alone();
    let folder = Folder::new();
    let server = folder.settings().deadline(DEADLINE).start();
    let shots = load_while(server.address(), 6, "eio", |progress| {
        for _ in 0..3 {
            let before = progress.successes();
            until("requests go well", SOON, || (progress.successes() >= before + 50).then_some(()));
            let fault = Fault::in_syncs_of(server.pid(), "error=EIO");
            let before = progress.failures();
            until("requests are refused", SOON, || (progress.failures() >= before + 12).then_some(()));
            server.until_health(503);
            drop(fault);
            server.until_health(200);
        }
    });
    let last = until_recovered(&server, "eio");
    server.kill();

    println!("EIO on sync: {}", outcomes(&shots));
    assert_answers(shots.iter().chain(&last), &folder.effects());
    folder.settings().start().stop();
    let record = Record::read(&folder.database());
    record.assert_successes(shots.iter().chain(&last));
    record.assert_all_ended();
}

#[test]
fn a_sync_that_hangs_costs_the_deadline_and_no_more() {
    let _turn = alone();
    let folder = Folder::new();
    let server = folder.settings().deadline(DEADLINE).start();
    let mut shots = until_recovered(&server, "before");
    // Eight seconds, in microseconds.
    let fault = Fault::in_syncs_of(server.pid(), "delay_enter=8000000");
    let hung: Vec<Shot> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let kind = if number % 2 == 0 { Kind::Upload } else { Kind::Admin };
                let mut client = server.client();
                scope.spawn(move || fire(&mut client, kind, format!("hung-{number}")))
            })
            .collect();
        assert_eq!(server.ask(&Request::get("/health")).status, 200, "what is not audited goes on");
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
    });
    assert_eq!(server.health(), 503);
    drop(fault);
    let longest = hung.iter().map(|shot| shot.took).max().unwrap_or_default();
    println!("sync hangs: {} answers, the last {:?} after the deadline", hung.len(), longest.saturating_sub(DEADLINE));
    for shot in &hung {
        assert!(!shot.is_success(), "{} was answered before it was durable", shot.id);
        assert!(shot.took < DEADLINE + SLACK, "{} waited {:?}", shot.id, shot.took);
    }
    shots.extend(hung);
    shots.extend(until_recovered(&server, "hung"));
    server.stop();
    assert_answers(&shots, &folder.effects());
    Record::read(&folder.database()).assert_successes(&shots);
}
