//! `tower-audit ship` is killed again and again while it moves a log: the copy has every event once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tower_audit::store::{self, OpenOptions};
use tower_audit::{AuditEvent, EventType, Timestamp};

use crate::cluster::Cluster;
use crate::support::{Folder, Record, SOON, alone, run, until, url};

/// Several times what one process ships before it is killed.
const EVENTS: usize = 20_000;
const MOST_KILLS: usize = 5;

/// Behind the part of a log that is read again and again.
fn an_hour_old() -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    let hour = Duration::from_secs(3600);
    event.created_at = event.created_at.checked_sub(hour).unwrap_or(Timestamp::MIN);
    event
}

#[test]
fn a_killed_ship_goes_on_where_it_was_and_doubles_nothing() {
    let _turn = alone();
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = Folder::new();
    let from = url(&folder.database());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = store::open(&from, OpenOptions::default()).await.expect("it opens");
        for _ in 0..EVENTS / 500 {
            let batch: Vec<_> = (0..500).map(|_| an_hour_old()).collect();
            store.append(&batch).await.expect("they are kept");
        }
        store.close().await.expect("it closes");
    });
    let program = env!("CARGO_BIN_EXE_tower-audit");
    let (to, progress) = (database.url(), folder.path().join("progress"));
    let words = ["ship", "--from", &from, "--to", &to, "--progress", progress.to_str().expect("text"), "--follow"];
    let count = || database.sql("SELECT count(*) FROM audit_events").parse().unwrap_or(0);
    let mut counts: Vec<usize> = Vec::new();
    // The table is made by the first.
    run(program, &["migrate", "--url", &to]);
    while count() < EVENTS && counts.len() < MOST_KILLS {
        let before = count();
        let mut child =
            Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program");
        until("it ships", SOON, || (count() > before).then_some(()));
        // Somewhere in the next batches.
        let (begun, moment) = (Instant::now(), Duration::from_millis(fastrand::u64(..100)));
        until("the moment of the kill", SOON, || (begun.elapsed() >= moment).then_some(()));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        counts.push(count());
    }
    run(program, &words[..words.len() - 1]);
    assert!(counts.len() >= 3, "it was too fast to be killed: {counts:?}");
    println!("ship: after each of {} kills the copy had {counts:?} events", counts.len());
    let (copy, original) = (Record::read_url(&to), Record::read_url(&from));
    assert_eq!(copy.len(), EVENTS);
    let ids = |record: &Record| {
        let mut ids: Vec<_> = record.of_phase(tower_audit::Phase::Completed).map(|event| event.event_id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&copy), ids(&original));
}
