//! No response without its event, and no effect without a trace, by the order of the system calls: an event is synced
//! before a byte of its response leaves, and a `started` event before the effect of the handler.

mod check;
mod trace;

use std::fs;
use std::path::Path;

use self::check::Expected;
#[cfg(feature = "jsonl")]
pub(crate) use self::trace::parse;
use crate::support::{Client, Folder, Kind, SOON, Settings, beside, beside_others, fire, strace, until, url};

const REQUESTS: usize = 100;

#[test]
fn an_event_is_synced_before_its_response_leaves() {
    let folder = Folder::new();
    is_in_order(&folder, &url(&folder.database()), &beside(&folder.database(), "-wal"));
}

#[cfg(feature = "jsonl")]
#[test]
fn a_line_is_synced_before_its_response_leaves() {
    let folder = Folder::new();
    let path = folder.path().join("audit.jsonl");
    is_in_order(&folder, &format!("jsonl:{}", path.display()), &path);
}

/// Events are written to the file `log`.
fn is_in_order(folder: &Folder, url: &str, log: &Path) {
    let _turn = beside_others();
    let traced = folder.path().join("trace");
    let words = strace::tracing("fdatasync,fsync,write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2", &traced);
    let server = Settings::new(url).env("EFFECTS", folder.effects_file()).under(words).start();
    let pid = server.pid();

    let mut client = Client::new(server.address());
    let mut expected = Vec::new();
    for number in 0..REQUESTS {
        let kind = if number % 2 == 0 { Kind::Upload } else { Kind::Admin };
        let shot = fire(&mut client, kind, format!("order-{number:04}"));
        assert_eq!(shot.answer().status, 200, "{}", server.said());
        expected.push(Expected { id: shot.id, is_written_ahead: kind == Kind::Admin });
    }
    drop(client);
    server.stop();

    let pid = pid.to_string();
    let text = until("the trace is whole", SOON, || {
        let text = String::from_utf8_lossy(&fs::read(&traced).expect("there is a trace")).into_owned();
        text.lines().any(|line| trace::split(line) == Some((&pid, "+++ exited with 0 +++"))).then_some(text)
    });
    let calls = trace::parse(&text);
    match check::check(&calls, log, &folder.effects_file(), &expected) {
        Ok(syncs) => println!("order: {REQUESTS} responses, {} calls, {syncs} syncs, each in its place", calls.len()),
        Err(why) => panic!("{why}"),
    }
}
