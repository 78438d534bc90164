//! A purge that is killed after it has overwritten lines, and before it has told the readers.

use tower_audit::query::Filter;
use tower_audit::store::{AuditStore, OpenOptions, open};
use tower_audit::{AuditEvent, EventType, Timestamp};

use crate::support::strace::failing;
use crate::support::{Folder, beside_others, try_run};

async fn uploads(store: &dyn AuditStore) -> u64 {
    let filter = Filter::new().event_type("upload");
    store.parts().reader.expect("it can be read").count(&filter).await.expect("it is counted")
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "each test has a runtime of its own")]
async fn a_reader_does_not_show_what_it_removed() {
    let _turn = beside_others();
    let folder = Folder::new();
    let log = folder.path().join("audit.jsonl");
    let url = format!("jsonl:{}", log.display());
    let store = open(&url, OpenOptions::default()).await.expect("it opens");
    let mut events: Vec<AuditEvent> = (0..1000).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
    for event in &mut events[..900] {
        event.created_at = Timestamp::from_micros(event.created_at.as_micros() - 10 * 86_400_000_000).expect("a time");
    }
    store.append(&events).await.expect("they are kept");
    assert_eq!(uploads(&*store).await, 1000);
    // Between two lines.
    let mut words = failing("pwrite64", "signal=KILL:when=5", &log);
    words.extend(
        [env!("CARGO_BIN_EXE_tower-audit"), "purge", "--older-than", "5d", "--yes", "--url", &url].map(Into::into),
    );
    let words: Vec<&str> = words.iter().map(|word| word.to_str().expect("text")).collect();
    try_run(words[0], &words[1..]).expect_err("it is killed");
    let left = std::fs::read_to_string(&log).expect("it is text");
    assert!(!left.contains(&events[0].event_id.to_string()), "it was killed too early: {left}");
    let expected = left.matches("\"event_type\":\"upload\"").count() as u64;
    assert!((900..1000).contains(&expected), "{expected} are left");
    assert_eq!(uploads(&*store).await, expected);
    store.append(&[AuditEvent::new(EventType::UPLOAD)]).await.expect("it is kept");
    assert_eq!(uploads(&*store).await, expected + 1);
}
