//! Rows that a listing would show and that no leaf vouches for, and honest logs that look like them.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::Timestamp;
use tower_audit::sealing::{Damage, RetentionKey, SealKey, Sealer, SealerError, Verifier};
use tower_audit::store::{AuditStore as _, MemoryStore};

use super::support::{Database, SealedLog, event, kinds, seal};

const EVENTS: u64 = 600;

/// A sealed log on SQLite: its events are in a segment, and one more is in the journal.
async fn in_segment_and_journal() -> SealedLog {
    let log = SealedLog::of(EVENTS).await;
    log.keep_copy().await;
    let store = log.open().await;
    store.append(&[event(EVENTS)]).await.expect("an append");
    seal(&mut log.sealer(&store)).await;
    store.close().await.expect("the store closes");
    assert!(log.verify().await.is_intact());
    log
}

/// A statement, and a kind of damage that a verification then finds.
async fn finds(log: &SealedLog, sql: &str, damage: Damage) {
    let report = tokio::time::timeout(Duration::from_secs(60), log.tampered(sql)).await.expect("it ends");
    assert!(kinds(&report).contains(&damage), "{sql}: {report:?}");
}

#[tokio::test]
async fn a_second_row_with_the_id_of_a_sealed_event_is_found() {
    let log = in_segment_and_journal().await;
    finds(
        &log,
        "INSERT INTO audit_segment_1(seq, event_id, created_at, event_type, phase, event) \
         SELECT 0, (SELECT event_id FROM audit_leaves WHERE n = 600), created_at, event_type, phase, event FROM audit_segment_1 LIMIT 1; \
         UPDATE audit_segments SET first_at = 0, events_n = events_n + 1 WHERE n = 1",
        Damage::Inserted,
    )
    .await;
}

#[tokio::test]
async fn a_row_whose_id_is_none_is_found() {
    let log = in_segment_and_journal().await;
    finds(
        &log,
        "INSERT INTO audit_segment_1(seq, event_id, created_at, event_type, phase, event) \
         SELECT 0, x'00', created_at, event_type, phase, event FROM audit_segment_1 LIMIT 1; \
         UPDATE audit_segments SET events_n = events_n + 1 WHERE n = 1",
        Damage::Inserted,
    )
    .await;
}

#[tokio::test]
async fn an_event_of_the_future_without_a_leaf_is_found() {
    let log = in_segment_and_journal().await;
    finds(
        &log,
        "INSERT INTO audit_segment_1(seq, event_id, created_at, event_type, phase, event) \
         SELECT 0, x'0199a700000070008000000000000001', 4070908800000000, event_type, phase, event FROM audit_segment_1 LIMIT 1; \
         UPDATE audit_segments SET min_id = x'00', last_at = 4070908800000000, events_n = events_n + 1 WHERE n = 1",
        Damage::UnsealedTooLong,
    )
    .await;
}

#[tokio::test]
async fn a_leaf_below_zero_hides_no_event() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(300).await;
        let sql = match database {
            Database::Sqlite => "INSERT INTO audit_leaves VALUES (-1, x'0199a700000070008000000000000001', x'', x'')",
            #[cfg(feature = "postgres")]
            Database::Postgres => {
                "INSERT INTO audit_events(event_id, event_type, created_at) VALUES ('0199a700-0000-7000-8000-000000000001', 'upload', '2026-05-28T00:00:00Z'); \
                 INSERT INTO audit_events_leaves VALUES (-1, '0199a700-0000-7000-8000-000000000001', '', '')"
            }
        };
        finds(&log, sql, Damage::SealEdited).await;
    }
}

#[tokio::test]
async fn a_leaf_with_a_huge_number_ends_a_verification() {
    let log = SealedLog::of(300).await;
    for number in [i64::MAX, 2_000_000_000] {
        finds(
            &log,
            &format!(
                "INSERT INTO audit_leaves VALUES ({number}, x'0199a700000070008000000000000001', x'', zeroblob(32))"
            ),
            Damage::Missing,
        )
        .await;
    }
}

#[tokio::test]
async fn a_log_without_a_trusted_checkpoint_is_not_intact() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealKey::create(folder.path().join("key"), "example.com/audit").unwrap();
    let store = MemoryStore::new();
    let report = Verifier::new(&store, vec![key.verifier_key()]).verify(|_| {}).await.unwrap();
    assert!(report.findings.is_empty() && !report.is_intact(), "{report:?}");
}

/// An event that was committed late, or waits for its turn in a backlog.
#[tokio::test]
async fn an_event_that_gets_its_leaf_meanwhile_is_not_damage() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(200).await;
        let store = log.open().await;
        store.append(&[event(50), event(10_000)]).await.unwrap();
        let mut sealer = log.sealer(&store);
        let keys = vec![log.key.clone()];
        let verifier = Verifier::new(&store, keys);
        let (report, _) = tokio::join!(verifier.verify(|_| {}), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            seal(&mut sealer).await
        });
        let report = report.unwrap();
        assert!(report.is_intact(), "{database:?}: {report:?}");
        store.close().await.unwrap();
    }
}

/// Two sealers with a copy of the key each, of which one wins every batch.
#[tokio::test]
async fn a_standby_sealer_does_not_go_on_from_an_older_state() {
    let log = SealedLog::new();
    for (from, to) in [("key", "standby"), ("key.checkpoint", "standby.checkpoint")] {
        std::fs::copy(log.file(from), log.file(to)).unwrap();
    }
    let standby = |store| Sealer::new(store, SealKey::load(log.file("standby")).unwrap());
    let add = async |numbers: std::ops::Range<u64>| {
        let store = log.open().await;
        let mut idle = standby(Arc::clone(&store));
        idle.step().await.unwrap();
        store.append(&numbers.map(event).collect::<Vec<_>>()).await.unwrap();
        seal(&mut log.sealer(&store)).await;
        assert_eq!(idle.step().await.unwrap().sealed, 0);
        store.close().await.unwrap();
    };
    add(0..100).await;
    std::fs::copy(log.file("audit.db"), log.file("old.db")).unwrap();
    add(100..150).await;
    std::fs::rename(log.file("old.db"), log.file("audit.db")).unwrap();
    let store = log.open().await;
    store.append(&[event(300)]).await.unwrap();
    let error = standby(Arc::clone(&store)).step().await.unwrap_err().to_string();
    assert!(error.contains("has signed a tree of 150 leaves, and the store has 100"), "{error}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_sealer_that_cannot_remember_signs_no_more() {
    let log = SealedLog::of(20).await;
    // The new file cannot be written where there is a folder.
    std::fs::create_dir(log.file("key.checkpoint.new")).unwrap();
    let store = log.open().await;
    let mut sealer = log.sealer(&store);
    for number in 100..104 {
        store.append(&[event(number)]).await.unwrap();
        assert!(matches!(sealer.step().await, Err(SealerError::Key(_))));
    }
    let newest = store.parts().sealing.unwrap().newest_checkpoint().await.unwrap().unwrap();
    assert_eq!(newest.size, 21, "one batch, and none after it");
    std::fs::remove_dir(log.file("key.checkpoint.new")).unwrap();
    assert_eq!(seal(&mut sealer).await.size, 24);
    store.close().await.unwrap();
    assert_eq!(log.kept().size, 24);
}

/// A row of somebody else takes the number of the next leaf.
#[tokio::test]
async fn a_row_in_the_way_of_the_sealer_is_named() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        log.tamper(match database {
            Database::Sqlite => "INSERT INTO audit_leaves VALUES (100, x'0199a700000070008000000000000001', x'', x'')",
            #[cfg(feature = "postgres")]
            Database::Postgres => {
                "INSERT INTO audit_events_leaves VALUES (100, '0199a700-0000-7000-8000-000000000001', '', '')"
            }
        })
        .await;
        let store = log.open().await;
        store.append(&[event(500)]).await.unwrap();
        assert!(log.sealer(&store).step().await.is_err(), "{database:?}");
        store.close().await.unwrap();
    }
}

/// Somebody who takes the signed end of an old purge out, and numbers those behind it anew.
#[tokio::test]
async fn a_purge_whose_end_was_taken_out_is_not_taken_back() {
    let log = SealedLog::of(200).await;
    let store = log.open().await;
    let mut later = event(200);
    later.created_at = Timestamp::from_micros(Timestamp::now().as_micros() + 3_600_000_000).unwrap();
    store.append(&[later]).await.unwrap();
    seal(&mut log.sealer(&store)).await;
    store.close().await.unwrap();
    log.keep_copy().await;
    log.purge(50).await;
    // The events of that purge are purged as well.
    let store = log.open().await;
    let purge = tower_audit::retention::Purge::before(Timestamp::now()).key(log.retention.clone());
    assert_eq!(purge.run(&*store).await.unwrap().deleted, 152);
    seal(&mut log.sealer(&store)).await;
    store.close().await.unwrap();
    assert!(log.verify().await.is_intact());
    finds(
        &log,
        "DELETE FROM audit_removals WHERE n = 2; UPDATE audit_removals SET n = n - 1 WHERE n > 2; \
         ATTACH '{kept}' AS kept; INSERT INTO audit_segment_1 SELECT * FROM kept.audit_segment_1 AS old WHERE old.seq <= 50; \
         UPDATE audit_segments SET min_id = x'00', first_at = 0, events_n = (SELECT count(*) FROM audit_segment_1); \
         UPDATE audit_leaves SET seed = (SELECT old.seed FROM kept.audit_leaves AS old WHERE old.n = audit_leaves.n) WHERE n < 50",
        Damage::PurgeForged,
    )
    .await;
}

/// The event is gone, so the id is signed by the purge alone.
#[tokio::test]
async fn the_id_of_a_purged_leaf_is_signed() {
    let log = SealedLog::of(200).await;
    log.purge(50).await;
    let sql = "UPDATE audit_leaves SET event_id = x'0199a700000070008000000000000001' WHERE n = 7";
    finds(&log, sql, Damage::PurgeForged).await;
}

/// Somebody who exchanges the leaves of two events for the time of a purge.
#[tokio::test]
async fn a_purge_signs_the_ids_and_not_the_numbers_alone() {
    let log = SealedLog::of(200).await;
    log.keep_copy().await;
    let store = log.open().await;
    let sealing = store.parts().sealing.unwrap();
    let old = sealing.leaves(0, 1).await.unwrap()[0].event_id;
    let victim = sealing.leaves(150, 1).await.unwrap()[0].event_id;
    store.close().await.unwrap();
    let give = |first, second| {
        format!(
            "UPDATE audit_leaves SET event_id = x'00' WHERE n = 0; UPDATE audit_leaves SET event_id = x'{second}' WHERE n = 150; \
             UPDATE audit_leaves SET event_id = x'{first}' WHERE n = 0"
        )
    };
    log.tamper(&give(victim, old)).await;
    log.purge(1).await;
    let kept = log.file("kept.db");
    log.tamper(&format!(
        "{}; DELETE FROM audit_segment_1 WHERE event_id = x'{victim}'; ATTACH '{}' AS kept; \
         INSERT INTO audit_segment_1 SELECT * FROM kept.audit_segment_1 AS old WHERE old.event_id = x'{old}'; \
         UPDATE audit_segments SET min_id = x'00', first_at = 0, events_n = (SELECT count(*) FROM audit_segment_1)",
        give(old, victim),
        kept.display()
    ))
    .await;
    let report = log.verify().await;
    assert_eq!(kinds(&report), [Damage::PurgeForged], "{report:?}");
}

/// Somebody who hides the tables of the seal for the time of a purge.
#[tokio::test]
async fn a_purge_with_a_key_is_not_run_unsigned() {
    let log = SealedLog::of(100).await;
    log.tamper("ALTER TABLE audit_checkpoints RENAME TO hidden").await;
    let store = log.open().await;
    let purge = tower_audit::retention::Purge::before(event(50).created_at).key(log.retention.clone());
    let error = purge.run(&*store).await.unwrap_err();
    assert!(matches!(error, tower_audit::retention::PurgeError::NotSealed), "{error:?}");
    store.close().await.unwrap();
    log.tamper("ALTER TABLE hidden RENAME TO audit_checkpoints").await;
    assert!(log.verify().await.is_intact(), "nothing was deleted");
}

/// A long purge of a log that somebody begins to seal.
#[tokio::test]
async fn a_purge_ends_when_sealing_begins() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealKey::create(folder.path().join("key"), "example.com/audit").unwrap();
    let retention = RetentionKey::create(folder.path().join("retention"), "example.com/audit").unwrap();
    let keys = vec![key.verifier_key()];
    let store = MemoryStore::new();
    store.append(&(0..5000).map(event).collect::<Vec<_>>()).await.unwrap();
    let mut sealer = Sealer::new(store.clone(), key);
    let purge = tower_audit::retention::Purge::before(event(4900).created_at);
    let preview = purge.preview(&store).await.unwrap();
    let mut chunks = 0;
    // After the first chunk, on a thread of its own.
    let begin = |_| {
        chunks += 1;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(seal(&mut sealer));
            });
        });
    };
    let error = purge.run_until(&store, &preview, std::future::pending(), begin).await.unwrap_err();
    assert_eq!(chunks, 1);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("retention key"), "{error:?}");
    seal(&mut sealer).await;
    let report = Verifier::new(&store, keys).retention_key(retention.verifier_key()).verify(|_| {}).await.unwrap();
    assert!(report.is_intact() && report.intact > 3000, "{report:?}");
}
