//! Hanging up hides nothing: requests whose client leaves at a random moment are recorded.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tower_audit::Phase;

use crate::support::{Client, Folder, Record, Request, SOON, beside_others, until};

const HANG_UPS: usize = 60;
const CLIENTS: usize = 6;
const HANDLER_MS: u64 = 200;

#[test]
fn a_request_whose_client_hung_up_is_recorded() {
    let _turn = beside_others();
    let folder = Folder::new();
    let server = folder.settings().start();
    let address = server.address();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for number in 0..HANG_UPS / CLIENTS {
                    hang_up(address, &format!("left-{client}-{number}")).expect("the server takes requests");
                }
            });
        }
    });

    // The server still runs, and so do the handlers without a client.
    let record = until("the events of those who left", SOON, || {
        let record = Record::read(&folder.database());
        let is_whole = folder.effects().keys().all(|id| !record.of_request(Phase::Completed, id).is_empty());
        is_whole.then_some(record)
    });
    let effects = folder.effects();
    let mut cut_short = 0;
    for id in effects.keys() {
        let completed = record.of_request(Phase::Completed, id);
        assert_eq!(completed.len(), 1, "{id}");
        assert_eq!(completed[0].outcome, Some(200), "{id}: the handler went on to its end");
        let lasted = completed[0].request.duration_us.expect("it says how long it took");
        assert!(lasted >= HANDLER_MS * 1000, "{id}: the handler was ended after {lasted} us");
        cut_short += 1;
    }
    assert!(cut_short > HANG_UPS / 2, "most of them came to their handler: {cut_short}");
    println!("hang up: {HANG_UPS} clients left within {HANDLER_MS} ms, {cut_short} handlers ran, each with its event");
    server.stop();
    assert_eq!(Record::read(&folder.database()).len(), effects.len(), "nothing came of the others");
}

/// Sends a request and leaves at some moment before its response can come.
fn hang_up(address: SocketAddr, id: &str) -> io::Result<()> {
    let request = Request::upload(id, &format!("sleep_ms={HANDLER_MS}"));
    let connection = Client::new(address).send_only(&request)?;
    let moment = Duration::from_micros(fastrand::u64(..HANDLER_MS * 1000));
    let begun = Instant::now();
    until("the moment to leave", SOON, || (begun.elapsed() >= moment).then_some(()));
    drop(connection);
    Ok(())
}
