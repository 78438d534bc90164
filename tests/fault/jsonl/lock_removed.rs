//! `rm -r PATH.state` under a running service, and another process that makes it again at once.

use std::fs;
use std::thread;

use tower_audit::store::{OpenOptions, open};
use tower_audit::{AuditEvent, EventType};

use super::scene::settings;
use crate::support::strace::Fault;
use crate::support::{Folder, Kind, Record, SOON, beside, beside_others, fire, until};

#[test]
fn a_failed_append_does_not_cut_lines_of_a_process_that_has_another_lock() {
    let _turn = beside_others();
    let folder = Folder::new();
    let log = folder.path().join("audit.jsonl");
    let url = format!("jsonl:{}", log.display());
    let server = settings(&folder, &url).deadline(std::time::Duration::from_secs(20)).start();
    let mut client = server.client();
    let mut shots = vec![fire(&mut client, Kind::Upload, "before".to_owned())];
    let length = || fs::metadata(&log).expect("the file is there").len();
    let before = length();
    let fault = Fault::on_file(server.pid(), &log, "fdatasync", "error=EIO:delay_enter=1000000:when=1");
    let mut other = AuditEvent::new(EventType::AUTH);
    other.request.request_id = Some("other".into());
    thread::scope(|scope| {
        let firing = scope.spawn(|| {
            let mut client = server.client();
            fire(&mut client, Kind::Upload, "during".to_owned())
        });
        until("the line is written", SOON, || (length() > before).then_some(()));
        fs::remove_dir_all(beside(&log, ".state")).expect("the state is there");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = open(&url, OpenOptions::default()).await.expect("it opens");
            store.append(std::slice::from_ref(&other)).await.expect("it is kept");
        });
        shots.push(firing.join().expect("a client does not panic"));
    });
    drop(fault);
    shots.extend(crate::store_fails::until_recovered(&server, "after"));
    server.stop();
    let record = Record::read_url(&url);
    record.assert_successes(&shots);
    assert_eq!(record.of_request(tower_audit::Phase::Completed, "other").len(), 1, "it was acknowledged");
}
