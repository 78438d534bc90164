//! The successor of a sealer's key: after a rotation, and after a restore.

use std::sync::Arc;

use tower_audit::EventType;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::retention::{Purge, PurgeError};
use tower_audit::seal::{Checkpoint, SignedNote, Signer, VerifierKey};
use tower_audit::sealing::Damage::{Fork, Missing, TailCut, WrongKey};
use tower_audit::sealing::{
    KeySuccession, Refusal, Report, RetentionKey, SealKey, Sealer, SealerError, Verifier, trusted_keys,
};
use tower_audit::store::AuditStore;

use super::support::{Database, SealedLog, event, kinds, seal};

/// Appends events, and seals them with the key in this file.
async fn go_on(log: &SealedLog, store: &Arc<dyn AuditStore>, key: &str, numbers: std::ops::Range<u64>) {
    store.append(&numbers.map(event).collect::<Vec<_>>()).await.expect("no error");
    seal(&mut Sealer::new(Arc::clone(store), SealKey::load(log.file(key)).expect("no error"))).await;
}

async fn verify(store: &Arc<dyn AuditStore>, log: &SealedLog, key: &VerifierKey) -> Report {
    let verifier = Verifier::new(store, vec![key.clone()]).retention_key(log.retention.verifier_key());
    verifier.sealer_wait(std::time::Duration::ZERO).verify(|_| {}).await.expect("no error")
}

#[tokio::test]
async fn whoever_trusts_the_first_key_trusts_its_successors() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        KeySuccession::of(log.file("key"), log.file("key2")).run(&*store).await.unwrap();
        // The old sealer goes on until the new one has begun.
        go_on(&log, &store, "key", 100..150).await;
        go_on(&log, &store, "key2", 150..200).await;
        let refused = log.sealer(&store).step().await.unwrap_err();
        assert!(matches!(refused, SealerError::Refused(Refusal::WrongKey(_))), "{refused}");
        KeySuccession::of(log.file("key2"), log.file("key3")).run(&*store).await.unwrap();
        go_on(&log, &store, "key3", 200..250).await;

        let report = log.verify_against(Some(log.kept())).await;
        assert!(report.is_intact(), "{database:?}: {report:?}");
        assert_eq!((report.size, report.intact), (252, 252), "with the event of each rotation");
        let keys = trusted_keys(&store, std::slice::from_ref(&log.key)).await.unwrap();
        assert_eq!(keys.len(), 3);
        let third = SealKey::load(log.file("key3")).unwrap();
        assert_eq!(keys[2], third.verifier_key());
        assert_eq!(third.newest_checkpoint().size, 252);
        // A key vouches for later ones, not for earlier ones.
        assert_eq!(kinds(&verify(&store, &log, &keys[2]).await), [WrongKey]);

        // A purge that compares events with the seal knows the newest key, too.
        let purge = Purge::before(event(10).created_at).key(log.retention.clone()).seal_key(log.key.clone());
        assert_eq!(purge.run(&*store).await.unwrap().deleted, 10, "{database:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_that_was_removed_or_forged_is_found() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    let second = KeySuccession::of(log.file("key"), log.file("key2")).run(&*store).await.unwrap();
    go_on(&log, &store, "key2", 100..150).await;
    log.compact(&*store).await;
    store.close().await.unwrap();
    let report = log.tampered("DELETE FROM audit_segment_1 WHERE event_type = 'audit.key_rotated'").await;
    assert!(kinds(&report).contains(&WrongKey) && kinds(&report).contains(&Missing), "{report:?}");

    // A checkpoint of the old key after one of the new one: somebody has found the old key.
    let old: Signer = std::fs::read_to_string(log.file("key")).unwrap().trim().parse().unwrap();
    let note = std::fs::read_to_string(log.file("key2.checkpoint")).unwrap();
    let note: SignedNote = note.parse().unwrap();
    let newest = Checkpoint::open(&note, std::slice::from_ref(&second)).unwrap();
    let store = log.open().await;
    go_on(&log, &store, "key2", 150..160).await;
    store.close().await.unwrap();
    let newer = std::fs::read_to_string(log.file("key2.checkpoint")).unwrap();
    let newer = Checkpoint::open(&newer.parse().unwrap(), &[second]).unwrap();
    assert!(newer.size > newest.size);
    let forged = SignedNote::sign(newer.to_string(), &[&old]).unwrap();
    let report =
        log.tampered(&format!("UPDATE audit_checkpoints SET note = '{forged}' WHERE size = {}", newer.size)).await;
    assert_eq!(kinds(&report), [WrongKey], "{report:?}");
    assert!(report.findings[0].text.contains("another has replaced"), "{report:?}");

    // A statement that the old key has not signed vouches for nothing.
    let thief = Signer::from_seed("example.com/audit", [9; 32]).unwrap();
    let store = log.open().await;
    let query = PageQuery::new(Filter::new().event_type("audit.key_rotated"), 1);
    let mut forged = store.parts().reader.unwrap().query(&query).await.unwrap().remove(0);
    forged.event_id = tower_audit::EventId::from_u128(forged.event_id.as_u128() + 1);
    let statement = forged.details["statement"].as_str().unwrap().parse::<SignedNote>().unwrap();
    let text = statement.text().replace(
        &SealKey::load(log.file("key2")).unwrap().verifier_key().to_string(),
        &thief.verifier_key().to_string(),
    );
    forged.details.insert("statement".into(), SignedNote::sign(text, &[&thief]).unwrap().to_string().into());
    store.append(&[forged]).await.unwrap();
    assert_eq!(trusted_keys(&store, std::slice::from_ref(&log.key)).await.unwrap().len(), 2);
    store.close().await.unwrap();
}

/// Somebody who has the replaced key, and deletes the checkpoints of its successor.
#[tokio::test]
async fn a_kept_checkpoint_of_the_successor_ends_the_old_key() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    KeySuccession::of(log.file("key"), log.file("key2")).run(&*store).await.unwrap();
    go_on(&log, &store, "key2", 100..150).await;
    let note = |name: &str| -> SignedNote { std::fs::read_to_string(log.file(name)).unwrap().parse().unwrap() };
    let kept = note("key2.checkpoint");
    go_on(&log, &store, "key2", 150..160).await;
    store.close().await.unwrap();
    let newest = note("key2.checkpoint");
    let old: Signer = std::fs::read_to_string(log.file("key")).unwrap().trim().parse().unwrap();
    let forged = SignedNote::sign(newest.text(), &[&old]).unwrap();
    log.tamper(&format!(
        "DELETE FROM audit_checkpoints WHERE size IN (101, 151); UPDATE audit_checkpoints SET note = '{forged}' WHERE size = 161"
    ))
    .await;

    let store = log.open().await;
    let verifier = || Verifier::new(&store, vec![log.key.clone()]).sealer_wait(std::time::Duration::ZERO);
    let report = verifier().verify(|_| {}).await.unwrap();
    assert!(report.is_intact() && report.size == 161, "nothing else tells: {report:?}");
    let found = |report: Report| {
        assert!(report.findings.iter().all(|found| found.text.contains("another has replaced")), "{report:?}");
        kinds(&report)
    };
    let report = verifier().against_note(kept.clone()).verify(|_| {}).await.unwrap();
    assert_eq!(found(report), [WrongKey]);
    let checkpoint: Checkpoint = kept.text().parse().unwrap();
    let report = verifier().against_note(kept.clone()).since(checkpoint).verify(|_| {}).await.unwrap();
    assert_eq!((report.since, found(report)), (151, vec![WrongKey]));
    let leaf = store.parts().sealing.unwrap().leaves(10, 1).await.unwrap().remove(0);
    let report = verifier().against_note(kept).verify_event(leaf.event_id).await.unwrap().unwrap();
    assert_eq!(found(report), [WrongKey]);

    // A note of another log's key is none that was kept of this one.
    let thief = Signer::from_seed("example.com/audit", [9; 32]).unwrap();
    let foreign = SignedNote::sign(newest.text(), &[&thief]).unwrap();
    assert_eq!(kinds(&verifier().against_note(foreign).verify(|_| {}).await.unwrap()), [WrongKey]);
    store.close().await.unwrap();
}

/// A log is restored from a copy of 100 events, and the key has signed 200.
#[tokio::test]
async fn a_restored_log_is_sealed_on_under_another_origin() {
    let log = SealedLog::of(100).await;
    log.purge(20).await;
    std::fs::copy(log.file("audit.db"), log.file("backup.db")).unwrap();
    let store = log.open().await;
    go_on(&log, &store, "key", 100..200).await;
    store.close().await.unwrap();
    let kept = log.kept();
    std::fs::copy(log.file("backup.db"), log.file("audit.db")).unwrap();

    let store = log.open().await;
    let refused = log.sealer(&store).step().await.unwrap_err();
    assert!(matches!(refused, SealerError::Refused(Refusal::RolledBack { signed: 202, stored: 102 })), "{refused}");
    let rotation = KeySuccession::of(log.file("key"), log.file("key2"));
    let refused = rotation.run(&*store).await.unwrap_err();
    assert!(matches!(refused, SealerError::Refused(Refusal::RolledBack { .. })), "{refused}");
    assert!(!log.file("key2").exists(), "no key was made");
    let same = rotation.clone().restored("example.com/audit").run(&*store).await.unwrap_err();
    assert!(matches!(same, SealerError::Key(_)), "the lost tree had this origin: {same}");
    let second = rotation.restored("example.com/audit-2").run(&*store).await.unwrap();
    assert_eq!(second.name(), "example.com/audit-2");
    go_on(&log, &store, "key2", 300..350).await;

    let newest = PageQuery::new(Filter::new().event_type(EventType::AUDIT_RESTORED.as_str()), 1);
    let restored = store.parts().reader.unwrap().query(&newest).await.unwrap().remove(0);
    assert_eq!((&restored.details["leaves"], &restored.details["lost"]), (&102.into(), &100.into()));
    let report = verify(&store, &log, &log.key).await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.size, report.purged, report.origin.as_deref()), (153, 20, Some("example.com/audit-2")));
    // What was kept from the lost time tells so, and that the old key knows.
    let verifier = Verifier::new(&store, vec![log.key.clone()]).retention_key(log.retention.verifier_key());
    let report = verifier.against(kept).verify(|_| {}).await.unwrap();
    assert!(matches!(kinds(&report)[..], [Fork] | [TailCut]), "{report:?}");
    assert!(report.findings[0].text.contains("restored from a copy of 102 leaves"), "{report:?}");

    // Purges need a retention key of the new origin.
    let purge = Purge::before(event(30).created_at);
    let error = purge.clone().key(log.retention.clone()).run(&*store).await.unwrap_err();
    assert!(matches!(error, PurgeError::WrongKey { .. }), "{error}");
    let retention = RetentionKey::create(log.file("retention-2"), "example.com/audit-2").unwrap();
    let public = retention.verifier_key();
    assert_eq!(purge.key(retention).seal_key(log.key.clone()).run(&*store).await.unwrap().deleted, 10);
    seal(&mut Sealer::new(Arc::clone(&store), SealKey::load(log.file("key2")).unwrap())).await;
    let verifier = Verifier::new(&store, vec![log.key.clone()]).retention_key(log.retention.verifier_key());
    let report = verifier.retention_key(public).verify(|_| {}).await.unwrap();
    assert!(report.is_intact() && report.purged == 30, "{report:?}");

    // Nothing was lost of this one.
    let refused = KeySuccession::of(log.file("key2"), log.file("key3")).restored("example.com/audit-3");
    let refused = refused.run(&*store).await.unwrap_err();
    assert!(matches!(refused, SealerError::Refused(Refusal::NotBehind { .. })), "{refused}");
    store.close().await.unwrap();
}
