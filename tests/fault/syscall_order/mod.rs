//! No response without its event, and no effect without a trace, by the order of the system calls: an event is synced
//! before a byte of its response leaves, and a `started` event before the effect of the handler.

mod check;
mod trace;

use std::fs;
use std::path::Path;

use self::check::{Expected, IsLogFn};
use self::trace::Call;
#[cfg(feature = "jsonl")]
pub(crate) use self::trace::parse;
use crate::support::{Client, Folder, Kind, SOON, Settings, beside, beside_others, fire, strace, until, url};

const REQUESTS: usize = 100;

#[test]
fn an_event_is_synced_before_its_response_leaves() {
    let folder = Folder::new();
    let log = beside(&folder.database(), "-wal");
    assert_in_order(&folder, &url(&folder.database()), &|path| log == Path::new(path));
}

#[cfg(feature = "jsonl")]
#[test]
fn a_line_is_synced_before_its_response_leaves() {
    let folder = Folder::new();
    let path = folder.path().join("audit.jsonl");
    assert_in_order(&folder, &format!("jsonl:{}", path.display()), &|other| path == Path::new(other));
}

/// The name of a segment is as durable as what is in it.
#[cfg(feature = "jsonl")]
#[test]
fn a_frame_is_synced_in_its_segment_before_its_response_leaves() {
    let folder = Folder::new();
    let directory = folder.path().join("spool");
    let url = format!("spool:{}?to=jsonl:{}", directory.display(), folder.path().join("audit.jsonl").display());
    let is_segment = |path: &str| path.ends_with(".segment") && Path::new(path).starts_with(&directory);
    let calls = assert_in_order(&folder, &url, &is_segment);
    let mut segments = 0;
    for first in calls.iter().filter(|call| is_segment(call.target()) && call.arguments.contains("#tower-audit spool"))
    {
        let response = calls.iter().find(|call| check::is_response(call) && call.entered > first.entered);
        let response = response.expect("there is a response to the request of its first frame");
        let home = Path::new(first.target()).parent().expect("it is in a folder");
        let is_synced = calls.iter().any(|call| {
            let is_in_time = call.entered > first.entered && call.succeeded().is_some_and(|at| at < response.entered);
            call.name == "fsync" && Path::new(call.target()) == home && is_in_time
        });
        assert!(is_synced, "the folder of {} is synced before a response leaves", first.target());
        segments += 1;
    }
    assert!(segments > 0, "the first append begins a segment");
}

#[cfg(feature = "duckdb")]
#[test]
fn a_commit_of_duckdb_is_synced_before_its_response_leaves() {
    let folder = Folder::new();
    let path = folder.path().join("audit.duckdb");
    let log = beside(&path, ".wal");
    assert_in_order(&folder, &crate::duckdb_library::url(&path), &|path| log == Path::new(path));
}

/// Returns the calls.
fn assert_in_order(folder: &Folder, url: &str, is_log: IsLogFn<'_>) -> Vec<Call> {
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
    match check::check(&calls, is_log, &folder.effects_file(), &expected) {
        Ok(syncs) => println!("order: {REQUESTS} responses, {} calls, {syncs} syncs, each in its place", calls.len()),
        Err(why) => panic!("{why}"),
    }
    calls
}
