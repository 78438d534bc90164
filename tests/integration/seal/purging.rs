//! Purges of a sealed log: signed, complete, and accounted for.

use std::time::Duration;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::retention::{Purge, PurgeError, RetentionPlan};
use tower_audit::seal::{SignedNote, Signer};
use tower_audit::sealing::{Damage, RetentionKey, Verifier};
use tower_audit::store::StoredSeed;
use tower_audit::{AuditEvent, EventType};

use super::support::{Database, SealedLog, event, kinds, seal};

#[tokio::test]
async fn a_purge_is_accounted_for_and_what_is_left_verifies() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(700).await;
        log.purge(300).await;
        let store = log.open().await;
        let rotated = Purge::new(RetentionPlan::watermarks(200, 150).unwrap()).key(log.retention.clone());
        assert_eq!(rotated.run(&*store).await.unwrap().deleted, 252, "{database:?}");
        seal(&mut log.sealer(&store)).await;
        let report = log.verify_against(Some(log.kept())).await;
        assert!(report.is_intact(), "{database:?}: {report:?}");
        assert_eq!(
            (report.purged, report.intact, report.size),
            (552, 152, 704),
            "each purge has two events of its own"
        );
        // The leaves stay. Bodies and seeds are gone, and nothing else.
        let leaves = store.parts().sealing.unwrap().leaves(0, 1000).await.unwrap();
        assert_eq!(leaves.iter().filter(|leaf| leaf.seed == StoredSeed::Gone).count(), 552);
        store.close().await.unwrap();

        let store = log.open().await;
        let unknown = Verifier::new(&store, vec![log.key.clone()]).verify(|_| {}).await.unwrap();
        assert_eq!(kinds(&unknown), [Damage::PurgeUnaccounted], "no retention key is given: {unknown:?}");
        assert!(unknown.findings[0].text.contains("no retention key was given"), "{unknown:?}");
        store.close().await.unwrap();
    }
}

/// As an import of the archive does it.
#[tokio::test]
async fn events_that_were_put_back_are_named_until_they_are_purged_again() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        let first_ten = PageQuery::new(Filter::new().until(event(10).created_at), 100);
        let archived = store.parts().reader.unwrap().query(&first_ten).await.unwrap();
        store.close().await.unwrap();
        log.purge(50).await;
        let store = log.open().await;
        store.append(&archived).await.unwrap();
        assert_eq!(seal(&mut log.sealer(&store)).await.size, 102, "they have their leaves");
        let report = log.verify().await;
        assert_eq!((kinds(&report), report.damaged), (vec![Damage::Reinserted], 10), "{database:?}: {report:?}");
        let checked = Purge::before(event(10).created_at).key(log.retention.clone()).seal_key(log.key.clone());
        let error = std::error::Error::source(&checked.run(&*store).await.unwrap_err()).unwrap().to_string();
        assert!(error.contains("is not the one that was sealed"), "{error}");
        seal(&mut log.sealer(&store)).await;
        store.close().await.unwrap();
        log.purge(10).await;
        let report = log.verify().await;
        assert!(report.is_intact() && report.purged == 50, "{database:?}: {report:?}");
    }
}

#[tokio::test]
async fn a_sealed_log_is_not_purged_without_its_key() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        let purge = Purge::before(event(50).created_at);
        let error = purge.run(&*store).await.unwrap_err();
        assert!(matches!(error, PurgeError::KeyRequired) && error.to_string().contains("--retention-key"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let other = RetentionKey::create(folder.path().join("key"), "example.com/other").unwrap();
        let error = purge.clone().key(other).run(&*store).await.unwrap_err();
        assert!(
            matches!(error, PurgeError::WrongKey { .. }) && error.to_string().contains("example.com/other"),
            "{error}"
        );
        assert_eq!(store.parts().reader.unwrap().count(&Filter::default()).await.unwrap(), 100, "nothing was deleted");
        store.close().await.unwrap();
        assert!(log.verify().await.is_intact());
    }
}

/// An account that may append and delete, and has no retention key.
#[tokio::test]
async fn a_claimed_purge_accounts_for_nothing() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(200).await;
        let store = log.open().await;
        let mut claimed = AuditEvent::new(EventType::AUDIT_PURGE);
        claimed.details.insert("plan".into(), "before".into());
        claimed.details.insert("cutoff".into(), event(50).created_at.to_string().into());
        claimed.details.insert("deleted".into(), 50.into());
        store.append(&[claimed]).await.unwrap();
        while store.parts().admin.unwrap().purge(event(50).created_at, 1000).await.unwrap().has_more {}
        seal(&mut log.sealer(&store)).await;
        let report = log.verify().await;
        assert_eq!(kinds(&report), [Damage::Missing, Damage::PurgeForged], "{database:?}: {report:?}");
        assert_eq!((report.damaged, report.purged), (51, 0));

        // Nor does a removal that another key has signed.
        let thief = Signer::from_seed("example.com/audit/retention", [9; 32]).unwrap();
        let purge = "0199a7b0000070008000000000000001";
        let ids = "A".repeat(43) + "=";
        let text = format!(
            "tower-audit/removal/v1\nexample.com/audit\nnumber 0\npurge {purge}\npart 1\nids {ids}\nleaves 0-49\n"
        );
        let note = SignedNote::sign(text, &[&thief]).unwrap();
        store.parts().sealing.unwrap().add_removal(0, &note.to_string()).await.unwrap();
        let report = log.verify().await;
        assert_eq!(report.purged, 0, "{report:?}");
        assert!(report.findings.iter().any(|found| found.text.starts_with("the signed removal 0 cannot be trusted")));
        store.close().await.unwrap();
    }
}

/// A part is signed before its events go: a purge that dies leaves a whole log.
#[tokio::test]
async fn a_purge_that_died_is_finished_by_the_next() {
    let log = SealedLog::of(500).await;
    let store = log.open().await;
    let purge = Purge::before(event(300).created_at).key(log.retention.clone());
    let preview = purge.preview(&*store).await.unwrap();
    {
        let mut done = 0;
        let run = purge.run_until(&*store, &preview, std::future::pending(), |deleted| done = deleted);
        // Dropped in the pause after the events of the part were deleted.
        assert!(tokio::time::timeout(Duration::ZERO, run).await.is_err());
        let _ = done;
    }
    seal(&mut log.sealer(&store)).await;
    let report = log.verify().await;
    assert!(report.is_intact(), "{report:?}");
    purge.run(&*store).await.unwrap();
    seal(&mut log.sealer(&store)).await;
    let report = log.verify().await;
    assert!(report.is_intact() && report.purged == 300, "{report:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn events_without_a_leaf_are_not_purged() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        store.append(&[event(7_000), event(7_001)]).await.unwrap();
        let purge = Purge::before(event(8_000).created_at).key(log.retention.clone());
        let done = purge.run(&*store).await.unwrap();
        assert_eq!((done.deleted, done.unsealed), (100, 2), "{database:?}");
        seal(&mut log.sealer(&store)).await;
        let newest = store.parts().reader.unwrap().query(&PageQuery::new(Filter::default(), 1)).await.unwrap();
        assert_eq!(newest[0].details["unsealed"], 2);
        assert!(log.verify().await.is_intact());
        assert_eq!(purge.run(&*store).await.unwrap().deleted, 2);
        seal(&mut log.sealer(&store)).await;
        let report = log.verify().await;
        assert!(report.is_intact() && report.purged == 102, "{report:?}");
        store.close().await.unwrap();
    }
}

/// A verification beside a purge sees no damage.
#[tokio::test]
async fn a_purge_beside_a_verification_is_no_damage() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(3000).await;
        let store = log.open().await;
        for first in (500..3000).step_by(500) {
            let purge = Purge::before(event(first).created_at).key(log.retention.clone());
            let (done, report) = tokio::join!(purge.run(&*store), log.verify());
            done.unwrap();
            assert!(report.is_intact(), "{database:?}: {report:?}");
        }
        store.close().await.unwrap();
    }
}

/// The bytes of a purged event and its seed are in no file of the log.
#[tokio::test]
async fn a_purged_seed_leaves_no_copy_in_the_file() {
    let log = SealedLog::of(300).await;
    let store = log.open().await;
    let leaf = store.parts().sealing.unwrap().leaves(7, 1).await.unwrap().remove(0);
    store.close().await.unwrap();
    let is_in_files = |bytes: &[u8]| {
        ["audit.db", "audit.db-wal"].iter().any(|name| {
            let file = std::fs::read(log.file(name)).unwrap_or_default();
            file.windows(bytes.len()).any(|window| window == bytes)
        })
    };
    assert!(is_in_files(leaf.seed.as_bytes()), "the seed is found where it is");
    log.purge(100).await;
    assert!(!is_in_files(leaf.seed.as_bytes()), "the seed");
    assert!(!is_in_files(b"\"number\":7}"), "the body");
}
