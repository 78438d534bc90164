//! A rotation that is killed again and again, at random moments, ends as one that was not.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{AuditStore, OpenOptions, Reader, open};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

use crate::support::{Folder, SOON, alone, integrity, run, until, url};

const KILLS: u64 = 20;
const EVENTS: i64 = 24_000;
const LEFT_BY_NUMBER: usize = 3000;

fn events() -> Vec<AuditEvent> {
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().expect("a time");
    let event = |number: i64| {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.created_at = Timestamp::from_micros(start.as_micros() + number * 1_000_000).expect("in range");
        event.actor = Actor::user(if number % 5 == 0 { "keeper" } else { "nils" });
        event
    };
    (0..EVENTS).map(event).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn reader(store: &dyn AuditStore) -> &dyn Reader {
    store.parts().reader.expect("it can be read")
}

async fn uploads(store: &dyn AuditStore) -> u64 {
    reader(store).count(&Filter::new().event_type("upload")).await.expect("it is counted")
}

async fn purges(store: &dyn AuditStore) -> u64 {
    reader(store).count(&Filter::new().event_type("audit.purge")).await.expect("it is counted")
}

/// Starts the program and kills it at `kill`: each moment from before its first event to after many chunks.
async fn kill_once(store: &dyn AuditStore, words: &[&str], kill: u64) {
    let (before, recorded) = (uploads(store).await, purges(store).await);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tower-audit"))
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    // In turn: at once, after `started`, after some chunks.
    let begun = Instant::now();
    loop {
        let is_due = match kill % 3 {
            0 => true,
            1 => purges(store).await > recorded,
            _ => before.saturating_sub(uploads(store).await) > fastrand::u64(..1500),
        };
        if is_due || child.try_wait().expect("it is asked").is_some() {
            break;
        }
        assert!(begun.elapsed() < SOON, "nothing happened: {words:?}");
        tokio::task::yield_now().await;
    }
    let _ = child.kill();
    until("the program ends", SOON, || child.try_wait().expect("it is asked"));
}

fn killed_again_and_again(database: &Path, words: &[&str], seen: impl AsyncFn(&dyn AuditStore)) {
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.extend(["--url".to_owned(), url(database), "--quiet".to_owned(), "--yes".to_owned()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    runtime().block_on(async {
        let store = open(&url(database), OpenOptions::default()).await.expect("it opens");
        for batch in events().chunks(500) {
            store.append(batch).await.expect("it is kept");
        }
        for kill in 0..KILLS {
            kill_once(&*store, &words, kill).await;
        }
        assert!(uploads(&*store).await < EVENTS as u64, "no kill came after the first chunk");
        run(env!("CARGO_BIN_EXE_tower-audit"), &words);
        seen(&*store).await;
        store.close().await.expect("it closes");
    });
    assert_eq!(integrity(database), "ok");
}

async fn all(store: &dyn AuditStore) -> Vec<AuditEvent> {
    reader(store).query(&PageQuery::new(Filter::default(), usize::MAX)).await.expect("it is read")
}

#[test]
fn a_rotation_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let _turn = alone();
    let folder = Folder::new();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, "- rotate: 36500\n  user: keeper\n- rotate: 30\n  action: .*\n").expect("it is written");
    let words = ["rotate", "--config", rules.to_str().expect("UTF-8")];
    killed_again_and_again(&folder.database(), &words, async |store| {
        let found: Vec<_> =
            all(store).await.into_iter().filter(|event| event.event_type == EventType::UPLOAD).collect();
        assert_eq!(found.len() as i64, EVENTS / 5);
        assert!(found.iter().all(|event| event.actor.user_email.as_deref() == Some("keeper")));
    });
}

/// Between the marks the next run goes on, though there are fewer events than the high watermark.
#[test]
fn a_number_is_reached_however_often_it_is_killed() {
    let _turn = alone();
    let folder = Folder::new();
    let (high, low) = ((EVENTS - 10).to_string(), LEFT_BY_NUMBER.to_string());
    let words = ["rotate", "--high-watermark", &high, "--low-watermark", &low];
    killed_again_and_again(&folder.database(), &words, async |store| {
        let found = all(store).await;
        assert_eq!(found.len(), LEFT_BY_NUMBER + 2, "the newest, and the two events of the last run");
        let oldest = found.last().expect("an event").created_at;
        let uploads = found.iter().filter(|event| event.event_type == EventType::UPLOAD).count() as i64;
        let start: Timestamp = "2024-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(
            oldest.as_micros(),
            start.as_micros() + (EVENTS - uploads) * 1_000_000,
            "none in between is missing"
        );
    });
}
