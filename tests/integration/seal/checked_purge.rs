//! Purges that compare each event with what was sealed, before they sign for it.

use tower_audit::retention::{Purge, PurgeError};
use tower_audit::seal::{Cell, Leaf, Seed, SurvivingSalts};
use tower_audit::sealing::Damage;
use tower_audit::store::StoredSeed;

use super::support::{Database, SealedLog, event};

/// Purges everything older than the second event, and returns the error.
async fn refused(log: &SealedLog) -> String {
    let store = log.open().await;
    let purge = Purge::before(event(1).created_at).key(log.retention.clone()).seal_key(log.key.clone());
    let error = purge.run(&*store).await.expect_err("it is refused");
    store.close().await.expect("the store closes");
    let PurgeError::Failed { deleted: 0, source } = error else { panic!("{error:?}") };
    source.to_string()
}

#[tokio::test]
async fn a_purge_that_checks_deletes_what_is_old() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(300).await;
        let store = log.open().await;
        let purge = Purge::before(event(200).created_at).key(log.retention.clone()).seal_key(log.key.clone());
        assert_eq!(purge.run(&*store).await.unwrap().deleted, 200, "{database:?}");
        super::support::seal(&mut log.sealer(&store)).await;
        store.close().await.unwrap();
        let report = log.verify().await;
        assert!(report.is_intact() && report.purged == 200, "{database:?}: {report:?}");
    }
}

/// Somebody who dates an event back for the minute of a nightly purge.
#[tokio::test]
async fn an_event_that_was_dated_back_is_not_purged() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(200).await;
        log.keep_copy().await;
        let sql = "UPDATE {events} SET created_at = (SELECT o.created_at FROM {events} o WHERE o.event_id = (SELECT event_id FROM {leaves} WHERE n = 0)) \
             WHERE event_id = (SELECT event_id FROM {leaves} WHERE n = 150)";
        let (events, leaves) = match database {
            Database::Sqlite => ("audit_segment_1", "audit_leaves"),
            #[cfg(feature = "postgres")]
            Database::Postgres => ("audit_events", "audit_events_leaves"),
        };
        log.tamper(&sql.replace("{events}", events).replace("{leaves}", leaves)).await;
        let error = refused(&log).await;
        assert!(error.contains("is not the one that was sealed"), "{database:?}: {error}");
    }
}

/// Somebody who knows the format makes the leaf anew as well.
#[tokio::test]
async fn nor_is_one_whose_leaf_was_made_anew() {
    let log = SealedLog::of(200).await;
    log.keep_copy().await;
    let store = log.open().await;
    let sealing = store.parts().sealing.unwrap();
    let leaf = sealing.leaves(150, 1).await.unwrap().remove(0);
    let mut changed = sealing.events(&[leaf.event_id]).await.unwrap().remove(0);
    store.close().await.unwrap();
    changed.created_at = event(0).created_at;
    let StoredSeed::Whole(seed) = leaf.seed else { panic!("a seed") };
    let hash = Leaf::of(&changed, &Seed::from_bytes(seed)).hash();
    let hash: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    log.tamper(&format!(
        "UPDATE audit_segment_1 SET created_at = {}, event = '{}' WHERE event_id = x'{}'; UPDATE audit_leaves SET hash = x'{hash}' WHERE n = 150",
        changed.created_at.as_micros(),
        serde_json::to_string(&changed).unwrap(),
        leaf.event_id,
    ))
    .await;
    let error = refused(&log).await;
    assert!(error.contains("is not in the tree that was signed"), "{error}");
}

/// Somebody who exchanges the leaves of an old event and another.
#[tokio::test]
async fn nor_is_one_that_has_the_leaf_of_another() {
    let log = SealedLog::of(200).await;
    log.tamper(
        "CREATE TEMP TABLE two AS SELECT n, event_id FROM audit_leaves WHERE n IN (0, 150); \
         UPDATE audit_leaves SET event_id = x'00' WHERE n = 0; \
         UPDATE audit_leaves SET event_id = (SELECT event_id FROM two WHERE n = 0) WHERE n = 150; \
         UPDATE audit_leaves SET event_id = (SELECT event_id FROM two WHERE n = 150) WHERE n = 0",
    )
    .await;
    let error = refused(&log).await;
    assert!(error.contains("is not the one that was sealed"), "{error}");
}

/// Somebody who blanks the facts, as an erasure blanks a name, and then writes others.
#[tokio::test]
async fn nor_is_one_whose_facts_were_blanked() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(200).await;
        log.keep_copy().await;
        let store = log.open().await;
        let sealing = store.parts().sealing.unwrap();
        let leaf = sealing.leaves(150, 1).await.unwrap().remove(0);
        let sealed = sealing.events(&[leaf.event_id]).await.unwrap().remove(0);
        store.close().await.unwrap();
        let StoredSeed::Whole(seed) = leaf.seed else { panic!("a seed") };
        let mut salts = SurvivingSalts::of(&sealed, &Seed::from_bytes(seed));
        salts.erase(&sealed, |cell| cell == Cell::Facts).unwrap();
        let mut changed = sealed.clone();
        changed.created_at = event(0).created_at;
        assert_eq!(*Leaf::with_surviving(&changed, &salts).unwrap().hash().as_bytes(), leaf.hash, "it fits the leaf");
        let salts: String = salts.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let dated = "created_at = (SELECT o.created_at FROM {events} o WHERE o.event_id = (SELECT event_id FROM {leaves} WHERE n = 0))";
        let row = "WHERE event_id = (SELECT event_id FROM {leaves} WHERE n = 150)";
        let (from, to) = (sealed.created_at, changed.created_at);
        let sql = format!(
            "UPDATE {{events}} SET {dated}, event = replace(event, '{from}', '{to}') {row}; UPDATE {{leaves}} SET seed = {{bytes}} WHERE n = 150"
        );
        let (events, leaves, bytes) = match database {
            Database::Sqlite => ("audit_segment_1", "audit_leaves", format!("x'{salts}'")),
            #[cfg(feature = "postgres")]
            Database::Postgres => ("audit_events", "audit_events_leaves", format!("'\\x{salts}'::bytea")),
        };
        log.tamper(&sql.replace("{events}", events).replace("{leaves}", leaves).replace("{bytes}", &bytes)).await;
        let error = refused(&log).await;
        assert!(error.contains("is not the one that was sealed"), "{database:?}: {error}");
        let report = log.verify().await;
        let found: Vec<_> = report.findings.iter().map(|found| (found.damage, found.index)).collect();
        assert!(found.contains(&(Damage::Edited, Some(150))), "{database:?}: {found:?}");
    }
}
