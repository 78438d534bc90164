//! The sealer: in time, one at a time, and never against its own signature.

use std::time::{Duration, Instant};

use tower_audit::seal::TlogProof;
use tower_audit::sealing::{EventProof, SealKey, Sealer, prove};
use tower_audit::store::AuditStore as _;
use tower_audit::{AuditEvent, AuditLog, EventType};

use super::support::{SealedLog, event, seal};

/// Waits for a condition, at most ten seconds.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

#[tokio::test]
async fn a_log_seals_its_events_while_it_runs_and_when_it_closes() {
    let log = SealedLog::new();
    let key = SealKey::load(log.file("key")).unwrap();
    let audit = AuditLog::builder().url(&log.url()).seal(key).open().await.unwrap();
    for number in 0..20 {
        audit.record(event(number)).await.unwrap();
    }
    let taken = until("sealed", || audit.seal_status().unwrap().size == 20).await;
    assert!(taken < Duration::from_secs(2), "{taken:?} from durable to sealed");
    audit.health().await.unwrap();
    let status = audit.seal_status().unwrap();
    assert!(status.caught_up_at.is_some() && status.error.is_none() && !status.is_stopped, "{status:?}");
    audit.record(event(21)).await.unwrap();
    audit.close().await.unwrap();
    let report = log.verify_against(Some(log.kept())).await;
    assert!(report.is_intact() && report.size == 21 && report.unsealed == 0, "{report:?}");
}

#[tokio::test]
async fn a_log_whose_tree_was_rolled_back_records_and_is_not_healthy() {
    let log = SealedLog::of(200).await;
    std::fs::copy(log.file("audit.db"), log.file("backup.db")).unwrap();
    let store = log.open().await;
    store.append(&[event(300)]).await.unwrap();
    seal(&mut log.sealer(&store)).await;
    store.close().await.unwrap();
    std::fs::rename(log.file("backup.db"), log.file("audit.db")).unwrap();

    let key = SealKey::load(log.file("key")).unwrap();
    let audit = AuditLog::builder().url(&log.url()).seal(key).open().await.unwrap();
    until("refused", || audit.seal_status().unwrap().is_stopped).await;
    audit.record(event(301)).await.unwrap();
    let error = audit.health().await.unwrap_err().to_string();
    assert!(error.contains("has signed a tree of 201 leaves, and the store has 200"), "{error}");
    audit.close().await.unwrap();
}

#[tokio::test]
async fn of_two_sealers_one_seals_and_another_takes_over() {
    let log = SealedLog::new();
    let (one, other) = (log.open().await, log.open().await);
    let (mut first, mut second) = (log.sealer(&one), log.sealer(&other));
    for number in 0..30 {
        one.append(&[event(2 * number), event(2 * number + 1)]).await.unwrap();
        // Both see the same events; the one that comes second has to look again.
        match number % 3 {
            0 => assert_eq!(seal(&mut first).await.size, 2 * number + 2),
            1 => assert_eq!(seal(&mut second).await.size, 2 * number + 2),
            _ => {
                let (a, b) = tokio::join!(first.step(), second.step());
                assert!(a.unwrap().sealed + b.unwrap().sealed <= 2, "no event twice");
            }
        }
    }
    drop(first);
    assert_eq!(seal(&mut second).await.size, 60);
    one.close().await.unwrap();
    other.close().await.unwrap();
    let report = log.verify_against(Some(log.kept())).await;
    assert!(report.is_intact() && report.size == 60, "{report:?}");
}

#[tokio::test]
async fn a_key_keeps_the_memory_of_what_it_has_signed() {
    let log = SealedLog::of(20).await;
    assert_eq!(SealKey::load(log.file("key")).unwrap().newest_checkpoint().size, 20);
    #[cfg(unix)]
    for name in ["key", "key.checkpoint"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(log.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let error = SealKey::create(log.file("key"), "example.com/other").unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
    // Without its memory, it would sign anything.
    std::fs::remove_file(log.file("key.checkpoint")).unwrap();
    let error = SealKey::load(log.file("key")).unwrap_err();
    assert!(error.to_string().contains("the newest tree that the key has signed"), "{error}");
    std::fs::write(log.file("key.checkpoint"), "x\n").unwrap();
    assert!(SealKey::load(log.file("key")).is_err());
    let error = SealKey::create(log.file("new"), "no name").unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("without spaces"), "{error}");
    assert!(!log.file("new").exists() && !log.file("new.checkpoint").exists());
}

#[tokio::test]
async fn an_event_is_proven_without_the_log() {
    let log = SealedLog::of(700).await;
    let store = log.open().await;
    for index in [0, 255, 256, 699] {
        let leaf = store.parts().sealing.unwrap().leaves(index, 1).await.unwrap().remove(0);
        let proven = prove(&*store, leaf.event_id).await.unwrap().expect("it is sealed");
        // As text, as it is handed on.
        let proof: TlogProof = proven.proof.to_string().parse().unwrap();
        let json = serde_json::to_string(&proven.event).unwrap();
        let read = EventProof::new(serde_json::from_str(&json).unwrap(), proof.clone());
        assert_eq!(read.verify(std::slice::from_ref(&log.key)).unwrap(), log.kept());
        let mut other = proven.event.clone();
        other.outcome = Some(201);
        assert!(EventProof::new(other, proof.clone()).verify(std::slice::from_ref(&log.key)).is_err());
        let mut moved = proof;
        moved.index ^= 1;
        assert!(EventProof::new(proven.event, moved).verify(std::slice::from_ref(&log.key)).is_err());
    }
    let unsealed = AuditEvent::new(EventType::UPLOAD);
    store.append(std::slice::from_ref(&unsealed)).await.unwrap();
    assert_eq!(prove(&*store, unsealed.event_id).await.unwrap(), None);
    assert!(!format!("{:?}", Sealer::new(store, SealKey::load(log.file("key")).unwrap())).contains("PRIVATE"));
}
