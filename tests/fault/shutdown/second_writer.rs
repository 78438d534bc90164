//! Several servers on one log: the open events of a dead one are closed as `unknown` once, those of the others never.

use std::thread;

use tower_audit::Phase;

use crate::support::{Client, Folder, Record, Request, SOON, Server, beside_others, until};

#[test]
fn only_what_the_dead_had_started_is_closed() {
    let _turn = beside_others();
    let folder = Folder::new();
    let settings = folder.settings().env("UPLOAD_WRITE_AHEAD", "1");
    let (living, dying) = (settings.start(), settings.start());
    let ends_of = |record: &Record, id: &str| {
        [Phase::Started, Phase::Completed, Phase::Unknown].map(|phase| record.of_request(phase, id).len())
    };

    let address = living.address();
    let slow = thread::spawn(move || Client::new(address).send(&Request::upload("living", "sleep_ms=3000")));
    let cut = dying.client().send_only(&Request::upload("dying", "sleep_ms=60000")).expect("it is sent");
    until("both handlers run", SOON, || (folder.effects().len() == 2).then_some(()));
    dying.kill();
    drop(cut);

    // Several start at once, and only one of them may close it.
    let third: Vec<_> = (0..3).map(|_| settings.spawn()).collect();
    let third: Vec<Server> = third.into_iter().map(|server| server.listening().expect("it starts")).collect();
    assert!(!slow.is_finished(), "the living server has answered too early for this test to show anything");
    let record = Record::read(&folder.database());
    assert_eq!(ends_of(&record, "dying"), [1, 0, 1], "started, completed, unknown");
    assert_eq!(ends_of(&record, "living"), [1, 0, 0], "started, completed, unknown");
    assert_eq!(
        record.of_request(Phase::Unknown, "dying")[0].request.started_event_id,
        Some(record.of_request(Phase::Started, "dying")[0].event_id)
    );

    let answer = slow.join().expect("the client does not panic").expect("the living server answers");
    assert_eq!(answer.status, 200);
    for server in third {
        server.stop();
    }
    living.kill();
    settings.start().stop();
    let record = Record::read(&folder.database());
    assert_eq!(ends_of(&record, "dying"), [1, 0, 1], "started, completed, unknown");
    assert_eq!(ends_of(&record, "living"), [1, 1, 0], "started, completed, unknown");
    record.assert_all_ended();
}
