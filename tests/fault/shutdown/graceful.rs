//! Hanging up hides nothing: after SIGTERM, a server answers and records the requests in flight, with or without a client.

use std::thread;

use tower_audit::Phase;

use crate::support::{Client, Folder, Record, Request, SOON, beside_others, until};

const WAITING: usize = 6;
const GONE: usize = 6;

#[test]
fn what_was_begun_is_recorded_before_the_server_ends() {
    let _turn = beside_others();
    for round in 0..3 {
        let folder = Folder::new();
        let server = folder.settings().start();
        let address = server.address();
        let request = |name: &str, number: usize| Request::upload(&format!("{name}-{number}"), "sleep_ms=400");

        let exit = thread::scope(|scope| {
            let waiting: Vec<_> = (0..WAITING)
                .map(|number| scope.spawn(move || Client::new(address).send(&request("waits", number))))
                .collect();
            let gone: Vec<_> = (0..GONE)
                .map(|number| Client::new(address).send_only(&request("gone", number)).expect("it is sent"))
                .collect();
            until("every handler runs", SOON, || (folder.effects().len() == WAITING + GONE).then_some(()));
            if round == 1 {
                server.terminate();
                drop(gone);
            } else {
                drop(gone);
                server.terminate();
            }
            for client in waiting {
                let answer = client.join().expect("a client does not panic").expect("what was begun is answered");
                assert_eq!(answer.status, 200);
            }
            server.ended()
        });
        assert!(exit.status.success(), "{exit:?}");
        let record = Record::read(&folder.database());
        for id in folder.effects().keys() {
            let completed = record.of_request(Phase::Completed, id);
            assert_eq!(completed.len(), 1, "{id}");
            assert_eq!(completed[0].outcome, Some(200), "{id}");
        }
        assert_eq!(record.len(), WAITING + GONE);
    }
    println!("shutdown: 3 servers ended with {WAITING} clients waiting and {GONE} gone, nothing lost");
}

#[test]
fn what_was_started_is_completed_before_the_server_ends() {
    let _turn = beside_others();
    let folder = Folder::new();
    let server = folder.settings().env("UPLOAD_WRITE_AHEAD", "1").start();
    let gone = server.client().send_only(&Request::upload("gone", "sleep_ms=400")).expect("it is sent");
    until("the handler runs", SOON, || folder.effects().contains_key("gone").then_some(()));
    drop(gone);
    server.stop();
    let record = Record::read(&folder.database());
    assert_eq!(record.of_request(Phase::Started, "gone").len(), 1);
    assert_eq!(record.of_request(Phase::Completed, "gone").len(), 1);
    record.assert_all_ended();
}
