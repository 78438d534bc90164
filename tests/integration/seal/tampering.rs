//! Manipulations that need more than statements: with the format, with a key, with an old copy.

use sqlx::Row as _;
use tower_audit::Timestamp;
use tower_audit::seal::{Checkpoint, Hash, SignedNote, Signer};
use tower_audit::sealing::{Damage, SealKey, Sealer, Verifier};
use tower_audit::store::{AuditStore as _, MemoryStore, StoredSeed};

use super::support::{Database, SealedLog, event, kinds, seal};

const EVENTS: u64 = 900;

#[tokio::test]
async fn an_untouched_log_is_intact() {
    let log = SealedLog::of(EVENTS).await;
    let report = log.verify_against(Some(log.kept())).await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.size, report.intact, report.unsealed, report.checkpoints), (EVENTS, EVENTS, 0, 9));
    assert_eq!(report.root, Some(log.kept().root));
}

#[tokio::test]
async fn leaves_that_changed_their_places_are_named() {
    // Sealed in small steps, as an idle log is.
    let log = SealedLog::new();
    let store = log.open().await;
    let mut sealer = log.sealer(&store);
    for first in (0..40).step_by(5) {
        store.append(&(first..first + 5).map(event).collect::<Vec<_>>()).await.unwrap();
        seal(&mut sealer).await;
    }
    store.close().await.unwrap();
    log.tamper(
        "UPDATE audit_leaves SET n = -1 WHERE n = 16; UPDATE audit_leaves SET n = 16 WHERE n = 18; UPDATE audit_leaves SET n = 18 WHERE n = -1",
    )
    .await;
    let report = log.verify().await;
    assert_eq!(kinds(&report), [Damage::Reordered], "{report:?}");
    assert_eq!(report.findings[0].text, "the leaves 16 and 18 have changed their places");
}

/// Somebody who knows the format, but not the key, edits an event and its leaf together.
#[tokio::test]
async fn an_edit_that_also_makes_the_leaf_anew_is_found() {
    let log = SealedLog::of(EVENTS).await;
    let store = log.open().await;
    let sealing = store.parts().sealing.unwrap();
    let leaf = sealing.leaves(333, 1).await.unwrap().remove(0);
    let StoredSeed::Whole(seed) = leaf.seed else { panic!("a seed") };
    let mut event = sealing.events(&[leaf.event_id]).await.unwrap().remove(0);
    store.close().await.unwrap();
    event.outcome = Some(500);
    let hash = tower_audit::seal::Leaf::of(&event, &tower_audit::seal::Seed::from_bytes(seed)).hash();
    let mut db = log.connect().await;
    sqlx::query("UPDATE audit_segment_1 SET outcome = 500, event = ?1 WHERE event_id = ?2")
        .bind(serde_json::to_string(&event).unwrap())
        .bind(leaf.event_id.to_bytes().to_vec())
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::query("UPDATE audit_leaves SET hash = ?1 WHERE n = 333")
        .bind(hash.as_bytes().to_vec())
        .execute(&mut db)
        .await
        .unwrap();
    drop(db);
    let report = log.verify().await;
    assert!(kinds(&report).contains(&Damage::SealEdited), "{report:?}");
    assert_eq!(report.findings[0].index, Some(300), "the first since the last root that fits: {report:?}");
}

#[tokio::test]
async fn an_end_that_was_cut_cleanly_is_found_with_a_checkpoint_that_was_kept() {
    let log = SealedLog::of(EVENTS).await;
    let kept = log.kept();
    log.tamper(
        "DELETE FROM audit_checkpoints WHERE size > 600; DELETE FROM audit_nodes WHERE n >= 2; \
         DELETE FROM audit_segment_1 WHERE event_id IN (SELECT event_id FROM audit_leaves WHERE n >= 600); \
         DELETE FROM audit_journal WHERE events_n > 0; DELETE FROM audit_leaves WHERE n >= 600",
    )
    .await;
    assert!(log.verify().await.is_intact(), "nothing in the file tells of it");
    let report = log.verify_against(Some(kept)).await;
    assert_eq!(kinds(&report), [Damage::TailCut], "{report:?}");
    // Nor does the sealer go on from there.
    let store = log.open().await;
    let error = log.sealer(&store).step().await.unwrap_err().to_string();
    assert!(error.contains("has signed a tree of 900 leaves, and the store has 600"), "{error}");
}

#[tokio::test]
async fn a_checkpoint_of_another_key_is_named() {
    let log = SealedLog::of(300).await;
    let other = Signer::from_seed("example.com/audit", [9; 32]).unwrap();
    let note = SignedNote::sign(log.kept().to_string(), &[&other]).unwrap();
    let mut db = log.connect().await;
    sqlx::query("UPDATE audit_checkpoints SET note = ?1 WHERE size = 300")
        .bind(note.to_string())
        .execute(&mut db)
        .await
        .unwrap();
    drop(db);
    let report = log.verify().await;
    assert_eq!(kinds(&report), [Damage::WrongKey], "{report:?}");
    let store = log.open().await;
    let error = log.sealer(&store).step().await.unwrap_err().to_string();
    assert!(error.contains("is not of this key"), "{error}");
}

/// A thief of the key signs another tree.
#[tokio::test]
async fn a_signed_checkpoint_of_another_history_is_a_fork() {
    let log = SealedLog::of(EVENTS).await;
    let text = std::fs::read_to_string(log.file("key")).unwrap();
    let thief: Signer = text.parse().unwrap();
    let forged = Checkpoint::new("example.com/audit", 650, Hash::of_leaf(b"other")).unwrap();
    let note = SignedNote::sign(forged.to_string(), &[&thief]).unwrap();
    let mut db = log.connect().await;
    sqlx::query("INSERT INTO audit_checkpoints VALUES (650, ?1, 0, '')")
        .bind(note.to_string())
        .execute(&mut db)
        .await
        .unwrap();
    drop(db);
    let report = log.verify().await;
    assert_eq!(kinds(&report), [Damage::Fork], "{report:?}");
}

#[tokio::test]
async fn two_histories_are_told_apart_by_a_kept_checkpoint() {
    let log = SealedLog::of(500).await;
    std::fs::copy(log.file("audit.db"), log.file("old.db")).unwrap();
    std::fs::copy(log.file("key.checkpoint"), log.file("old.checkpoint")).unwrap();
    let seal_more = async |number: u64| {
        let store = log.open().await;
        store.append(&[event(number)]).await.unwrap();
        let sealed = seal(&mut log.sealer(&store)).await;
        store.close().await.unwrap();
        sealed
    };
    seal_more(1000).await;
    let kept = log.kept();
    // The old file is put back, and the sealer's memory with it: then it signs another tree of 501 leaves.
    std::fs::rename(log.file("old.db"), log.file("audit.db")).unwrap();
    std::fs::rename(log.file("old.checkpoint"), log.file("key.checkpoint")).unwrap();
    assert_eq!(seal_more(1001).await.size, kept.size);
    assert!(log.verify().await.is_intact(), "nothing in the file tells of it");
    assert_eq!(kinds(&log.verify_against(Some(kept)).await), [Damage::Fork]);
}

#[tokio::test]
async fn events_that_nobody_seals_are_named() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    let mut young = event(200);
    young.created_at = Timestamp::now();
    store.append(&[young]).await.unwrap();
    store.close().await.unwrap();
    let report = log.verify().await;
    assert!(report.is_intact() && report.unsealed == 1, "{report:?}");
    let log = SealedLog::of(0).await;
    let store = log.open().await;
    store.append(&[event(1), event(2)]).await.unwrap();
    store.close().await.unwrap();
    let report = log.verify().await;
    assert_eq!(kinds(&report), [Damage::UnsealedTooLong], "{report:?}");
    assert_eq!(report.unsealed, 2);
}

#[tokio::test]
async fn what_came_after_a_checkpoint_is_verified_alone() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(500).await;
        let since = log.kept();
        let store = log.open().await;
        store.append(&(500..800).map(event).collect::<Vec<_>>()).await.unwrap();
        seal(&mut log.sealer(&store)).await;
        let verify = async |since: &Checkpoint, kept: Checkpoint| {
            let verifier = Verifier::new(&store, vec![log.key.clone()]).since(since.clone()).against(kept);
            verifier.verify(|_| {}).await.unwrap()
        };
        let report = verify(&since, log.kept()).await;
        assert!(report.is_intact(), "{database:?}: {report:?}");
        assert_eq!((report.since, report.size, report.intact), (500, 800, 300));
        assert!(verify(&log.kept(), since.clone()).await.is_intact(), "nothing came after the newest");

        let mut other = since.clone();
        other.root = Hash::of_leaf(b"other");
        assert_eq!(kinds(&verify(&other, since.clone()).await), [Damage::Fork]);
        let later = Checkpoint::new("example.com/audit", 900, other.root).unwrap();
        assert_eq!(kinds(&verify(&later, since.clone()).await), [Damage::TailCut]);
        // Leaf 700 is behind the checkpoint, leaf 7 is not.
        let leaves = if *database == Database::Sqlite { "audit_leaves" } else { "audit_events_leaves" };
        for (leaf, expected) in [(7, None), (700, Some(700))] {
            let sql =
                format!("UPDATE {leaves} SET seed = (SELECT o.seed FROM {leaves} o WHERE o.n = 100) WHERE n = {leaf}");
            log.tamper(&sql).await;
            let report = verify(&since, since.clone()).await;
            assert_eq!(report.findings.first().and_then(|finding| finding.index), expected, "{report:?}");
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn one_event_is_verified_alone() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(600).await;
        log.purge(20).await;
        let store = log.open().await;
        let sealing = store.parts().sealing.unwrap();
        let verify = async |leaf: u64| {
            let id = sealing.leaves(leaf, 1).await.unwrap().remove(0).event_id;
            let verifier = Verifier::new(&store, vec![log.key.clone()]).retention_key(log.retention.verifier_key());
            verifier.verify_event(id).await.unwrap().expect("it has a leaf")
        };
        let report = verify(300).await;
        assert!(report.is_intact() && report.intact == 1 && report.size == 602, "{database:?}: {report:?}");
        let report = verify(7).await;
        assert!(report.is_intact() && report.purged == 1, "{database:?}: {report:?}");
        let unknown = Verifier::new(&store, vec![log.key.clone()]).verify_event(event(1).event_id).await.unwrap();
        assert_eq!(unknown, None);
        let (leaves, events, checkpoints) = match database {
            Database::Sqlite => ("audit_leaves", "audit_segment_1", "audit_checkpoints"),
            _ => ("audit_events_leaves", "audit_events", "audit_events_checkpoints"),
        };
        let of = |n: u64| format!("WHERE event_id = (SELECT event_id FROM {leaves} WHERE n = {n})");
        let other = "(SELECT o.seed FROM {leaves} o WHERE o.n = 100)".replace("{leaves}", leaves);
        for (sql, leaf, expected) in [
            (format!("UPDATE {events} SET outcome = 403 {}", of(30)), 30, Damage::Edited),
            (format!("DELETE FROM {events} {}", of(31)), 31, Damage::Missing),
            (format!("UPDATE {leaves} SET seed = {other} WHERE n = 32"), 32, Damage::Edited),
            (
                format!("UPDATE {leaves} SET hash = (SELECT o.hash FROM {leaves} o WHERE o.n = 100) WHERE n = 33"),
                33,
                Damage::Edited,
            ),
            (
                format!("UPDATE {leaves} SET hash = (SELECT o.hash FROM {leaves} o WHERE o.n = 100) WHERE n = 513"),
                512,
                Damage::SealEdited,
            ),
            (
                format!("UPDATE {checkpoints} SET note = replace(note, '602', '603') WHERE size = 602"),
                300,
                Damage::SealEdited,
            ),
        ] {
            log.tamper(&sql).await;
            assert_eq!(kinds(&verify(leaf).await).first(), Some(&expected), "{database:?}: {sql}");
        }
        store.close().await.unwrap();
    }
}

/// The limit that docs/threat-model.md names: nothing tells of the last two seconds.
#[tokio::test]
async fn what_was_changed_before_it_was_sealed_leaves_no_trace() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    store.append(&[event(100), event(101)]).await.unwrap();
    store.close().await.unwrap();
    log.tamper("UPDATE audit_journal SET events = replace(events, '\"number\":101', '\"number\":999')").await;
    let store = log.open().await;
    assert_eq!(seal(&mut log.sealer(&store)).await.size, 102);
    store.close().await.unwrap();
    assert!(log.verify_against(Some(log.kept())).await.is_intact());
}

#[tokio::test]
async fn a_store_without_a_seal_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealKey::create(folder.path().join("key"), "example.com/audit").unwrap();
    let store = MemoryStore::new();
    store.append(&[event(1)]).await.unwrap();
    let mut sealer = Sealer::new(store.clone(), key);
    assert_eq!(sealer.step().await.unwrap().sealed, 1);
    let log = SealedLog::of(1).await;
    let mut db = log.connect().await;
    let tables =
        sqlx::query("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'audit_leaves%'").fetch_one(&mut db).await;
    assert_eq!(tables.unwrap().get::<i64, _>(0), 2, "the table and its index are made with the first leaf");
}
