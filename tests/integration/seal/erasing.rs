//! Erasures in a sealed log: signed, accounted for, and the rest still proven.

use std::collections::HashMap;
use std::time::Duration;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::retention::{Erasure, ErasureError, Purge};
use tower_audit::seal::{Cell, Leaf, ProofError, RemovalKind, RemovalNote, Seed, SignedNote, Signer, SurvivingSalts};
use tower_audit::sealing::Damage::{self, Edited, ErasureForged, ErasureRolledBack, Missing, PurgeForged, SealEdited};
use tower_audit::sealing::{RetentionKey, Verifier, prove};
use tower_audit::store::{AuditStore, ErasedEvent, StoredSeed};
use tower_audit::{Actor, AuditEvent, EventId, EventType};

use super::support::{Database, SealedLog, event, kinds, seal};

fn user3() -> Erasure {
    Erasure::of("user3@example.org").expect("no error").actor(Actor::user("officer"))
}

async fn all(store: &dyn AuditStore) -> Vec<AuditEvent> {
    store.parts().reader.expect("a reader").query(&PageQuery::new(Filter::default(), 10_000)).await.expect("no error")
}

#[tokio::test]
async fn an_erasure_is_accounted_for_and_what_is_left_verifies() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(700).await;
        let store = log.open().await;
        let counted = user3().preview(&*store).await.unwrap();
        assert_eq!((counted.events, counted.cells["actor.user_email"]), (100, 100), "{database:?}");
        assert_eq!(all(&*store).await.len(), 700, "a dry run changes nothing");
        store.close().await.unwrap();
        let done = log.erase(user3().pseudonym("former-3").unwrap()).await;
        assert_eq!((done.events, done.unsealed, done.damaged), (100, 0, 0));
        let report = log.verify_against(Some(log.kept())).await;
        assert!(report.is_intact(), "{database:?}: {report:?}");
        assert_eq!((report.intact, report.erased, report.purged), (702, 100, 0));

        // The name is nowhere, and the events of the erasure do not say whose it was.
        let store = log.open().await;
        let events = all(&*store).await;
        assert_eq!(
            (events.len(), events.iter().filter(|event| event.actor.user_email.as_deref() == Some("former-3")).count()),
            (702, 100)
        );
        assert!(!serde_json::to_string(&events).unwrap().contains("user3"));
        let erase = events.iter().filter(|event| event.event_type == EventType::AUDIT_ERASE).collect::<Vec<_>>();
        assert_eq!(
            (erase.len(), &erase[0].details["erased"], &erase[1].details["events"]),
            (2, &100.into(), &100.into())
        );
        assert_eq!(erase[0].actor.user_email.as_deref(), Some("officer"));

        // A proof holds, and says what it does not prove.
        let erased = events.iter().find(|event| event.actor.user_email.as_deref() == Some("former-3")).unwrap();
        let proof = prove(&*store, erased.event_id).await.unwrap().unwrap();
        assert_eq!(proof.verify_partial(std::slice::from_ref(&log.key)).unwrap().size, 702);
        assert_eq!(proof.unproven_cells(), ["actor.user_email"]);
        let error = proof.verify(std::slice::from_ref(&log.key)).unwrap_err();
        assert!(matches!(&error, ProofError::Partial(cells) if *cells == proof.unproven_cells()), "{error}");
        let mut edited = proof.clone();
        edited.event.outcome = Some(403);
        assert!(matches!(edited.verify_partial(std::slice::from_ref(&log.key)), Err(ProofError::Tree(_))));
        let verifier = Verifier::new(&store, vec![log.key.clone()]);
        let report = verifier.verify_event(erased.event_id).await.unwrap().unwrap();
        assert_eq!(kinds(&report), [ErasureForged], "no retention key is given: {report:?}");
        let verifier = verifier.retention_key(log.retention.verifier_key());
        let report = verifier.verify_event(erased.event_id).await.unwrap().unwrap();
        assert!(report.is_intact() && report.erased == 1, "{report:?}");
        store.close().await.unwrap();

        // More of the same events may go: another person, then the events themselves.
        log.erase(Erasure::of("former-3").unwrap().detail("number")).await;
        log.purge(300).await;
        let report = log.verify().await;
        assert!(report.is_intact(), "{database:?}: {report:?}");
        // The record of the first erasure had the pseudonym.
        assert_eq!((report.purged, report.erased), (300, 57 + 2));
        let twice = log.erase(user3()).await;
        assert_eq!(twice.events, 0, "an erasure can be repeated");
    }
}

/// A pseudonym is erased as a name is, by a signed step of its own.
#[tokio::test]
async fn a_pseudonym_is_erased_and_does_not_come_back_unseen() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(70).await;
        let done = log.erase(user3().pseudonym("former-17").unwrap()).await;
        assert_eq!((done.events, done.damaged), (10, 0));
        log.keep_copy().await;
        let again = log.erase(Erasure::of("former-17").unwrap().pseudonym("x-4").unwrap()).await;
        assert_eq!((again.events, again.unsealed, again.damaged), (12, 0, 0), "and the record of the first erasure");
        let report = log.verify_against(Some(log.kept())).await;
        assert!(report.is_intact(), "{database:?}: {report:?}");
        assert_eq!((report.intact, report.erased), (74, 12));
        let store = log.open().await;
        let events = all(&*store).await;
        store.close().await.unwrap();
        assert_eq!(events.iter().filter(|event| event.actor.user_email.as_deref() == Some("x-4")).count(), 10);
        assert!(!serde_json::to_string(&events).unwrap().contains("former-17"));
        let (events, leaves, user) = match database {
            Database::Sqlite => ("audit_segment_1", "audit_leaves", "user_email"),
            #[cfg(feature = "postgres")]
            Database::Postgres => ("audit_events", "audit_events_leaves", "actor_user_email"),
        };
        let report = log
            .tampered(&format!(
                "UPDATE {events} SET {user} = 'former-17', event = replace(event, 'x-4', 'former-17') \
                 WHERE event_id = (SELECT event_id FROM {leaves} WHERE n = 10)"
            ))
            .await;
        assert_eq!(kinds(&report), [ErasureRolledBack], "{database:?}: {report:?}");
    }
}

/// A pseudonym belongs to a cell: who acted, and for whom, cannot be exchanged.
#[tokio::test]
async fn pseudonyms_that_were_exchanged_are_named() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(70).await;
        let store = log.open().await;
        let mut helped = event(7003);
        helped.actor.acting_for = Some("user4@example.org".into());
        store.append(std::slice::from_ref(&helped)).await.unwrap();
        seal(&mut log.sealer(&store)).await;
        store.close().await.unwrap();
        log.erase(user3().pseudonym("former-3").unwrap()).await;
        log.erase(Erasure::of("user4@example.org").unwrap().pseudonym("former-4").unwrap()).await;
        let store = log.open().await;
        log.compact(&*store).await;
        store.close().await.unwrap();
        assert!(log.verify().await.is_intact());
        let (events, id, columns) = match database {
            Database::Sqlite => ("audit_segment_1", format!("x'{}'", helped.event_id), "user_email = 'former-4'"),
            #[cfg(feature = "postgres")]
            Database::Postgres => (
                "audit_events",
                format!("'{}'", helped.event_id),
                "actor_user_email = 'former-4', actor_acting_for = 'former-3'",
            ),
        };
        let report = log
            .tampered(&format!(
                "UPDATE {events} SET {columns}, event = replace(replace(replace(event, 'former-3', 'x'), 'former-4', 'former-3'), \
                 '\"x\"', '\"former-4\"') WHERE event_id = {id}"
            ))
            .await;
        assert_eq!(kinds(&report), [ErasureForged], "{database:?}: {report:?}");
    }
}

/// Somebody who has the proof of a whole event, and shows it without one of the details.
#[tokio::test]
async fn a_proof_with_details_left_out_is_accepted_as_a_part_only() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    let leaf = store.parts().sealing.unwrap().leaves(17, 1).await.unwrap().remove(0);
    let whole = prove(&*store, leaf.event_id).await.unwrap().unwrap();
    let keys = std::slice::from_ref(&log.key);
    assert_eq!((whole.verify(keys).unwrap().size, whole.unproven_cells().len()), (100, 0));
    let StoredSeed::Whole(seed) = leaf.seed else { panic!("a seed") };
    let mut salts = SurvivingSalts::of(&whole.event, &Seed::from_bytes(seed));
    salts.erase(&whole.event, |cell| cell == Cell::Detail("number")).unwrap();
    let mut shown = whole.clone();
    shown.event.details.remove("number");
    shown.proof.extra = Some(salts.to_bytes());
    assert_eq!(shown.verify_partial(keys).unwrap().size, 100);
    let error = shown.verify(keys).unwrap_err();
    assert!(matches!(&error, ProofError::Partial(cells) if cells == &["details (1)"]), "{error}");
    store.close().await.unwrap();
}

/// The notes of a purge outlive the name of who ran it, and do not help to guess it.
#[tokio::test]
async fn the_digest_of_a_record_does_not_tell_an_erased_operator() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        let purge = Purge::before(event(10).created_at).actor(Actor::user("olga@example.org"));
        assert_eq!(purge.key(log.retention.clone()).run(&*store).await.unwrap().deleted, 10);
        seal(&mut log.sealer(&store)).await;
        let digests = async || {
            let removals = store.parts().sealing.unwrap().removals(0, 16).await.unwrap();
            let keys = [log.retention.verifier_key()];
            let notes =
                removals.iter().map(|removal| RemovalNote::open(&removal.note.parse().unwrap(), &keys).unwrap());
            notes.filter_map(|note| note.event).collect::<HashMap<_, _>>()
        };
        let records = async || {
            let events = all(&*store).await;
            events.into_iter().filter(|event| event.event_type == EventType::AUDIT_PURGE).collect::<Vec<_>>()
        };
        let (signed, before) = (digests().await, records().await);
        assert_eq!(before.len(), 2);
        assert!(before.iter().all(|event| signed[&event.event_id] == RemovalNote::digest_of(event)));

        let erasure = Erasure::of("olga@example.org").unwrap().key(log.retention.clone());
        assert_eq!(erasure.run(&*store).await.unwrap().events, 2);
        seal(&mut log.sealer(&store)).await;
        let signed = digests().await;
        for mut event in records().await {
            assert_eq!(event.erased_cells(), ["actor.user_email", "details"]);
            // All that is left, and the right guess of what is not.
            event.actor.user_email = Some("olga@example.org".into());
            event.extra.clear();
            assert_ne!(signed[&event.event_id], RemovalNote::digest_of(&event), "{database:?}: {event:?}");
        }
        store.close().await.unwrap();
        assert!(log.verify().await.is_intact());
    }
}

/// An event that cannot be decoded stays as it is: to store what is shown in its place would destroy it.
#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_counted_and_left() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    log.compact(&*store).await;
    log.tamper(
        "UPDATE audit_segment_1 SET event = '{\"no\":\"event\"}' WHERE event_id = (SELECT event_id FROM audit_leaves WHERE n = 10)",
    )
    .await;
    let done = user3().key(log.retention.clone()).run(&*store).await.unwrap();
    assert_eq!((done.events, done.unreadable, done.damaged), (13, 1, 0));
    store.close().await.unwrap();
    let mut db = log.connect().await;
    let sql = "SELECT count(*) FROM audit_segment_1 WHERE event = '{\"no\":\"event\"}'";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut db).await.unwrap(), 1);
}

#[tokio::test]
async fn a_sealed_log_is_not_erased_without_its_key() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(50).await;
        let store = log.open().await;
        let error = user3().run(&*store).await.unwrap_err();
        assert!(matches!(error, ErasureError::KeyRequired) && error.to_string().contains("--retention-key"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let other = RetentionKey::create(folder.path().join("key"), "example.com/other").unwrap();
        let error = user3().key(other).run(&*store).await.unwrap_err();
        assert!(matches!(error, ErasureError::WrongKey { .. }), "{error}");
        assert_eq!(all(&*store).await.len(), 50, "nothing was recorded");

        // An event that claims an erasure accounts for nothing.
        store.append(&[AuditEvent::new(EventType::AUDIT_ERASE)]).await.unwrap();
        seal(&mut log.sealer(&store)).await;
        assert_eq!(kinds(&log.verify().await), [ErasureForged]);
        store.close().await.unwrap();
    }
}

/// Somebody who can write to the database, and knows how an erasure is made, but has not the retention key.
#[tokio::test]
async fn a_forged_erasure_is_named() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        let leaf = store.parts().sealing.unwrap().leaves(17, 1).await.unwrap().remove(0);
        let erase = |event: &AuditEvent, seed: Option<&StoredSeed>| {
            let Some(StoredSeed::Whole(seed)) = seed else { return None };
            let mut salts = SurvivingSalts::of(event, &Seed::from_bytes(*seed));
            salts.erase(event, |cell| cell == Cell::UserEmail).unwrap();
            let mut event = event.clone();
            event.actor.user_email = None;
            event.extra.insert("erased".into(), serde_json::json!(["actor.user_email"]));
            assert_eq!(*Leaf::with_surviving(&event, &salts).unwrap().hash().as_bytes(), leaf.hash, "it fits the leaf");
            Some(ErasedEvent { event, seed: Some(salts.to_bytes()) })
        };
        assert_eq!(store.parts().erasure.unwrap().erase(&[leaf.event_id], &erase).await.unwrap(), 1);
        store.close().await.unwrap();
        let report = log.verify().await;
        assert_eq!(
            (kinds(&report), report.findings[0].index),
            (vec![ErasureForged], Some(17)),
            "{database:?}: {report:?}"
        );
    }
}

/// Facts, route and method are never erased, not even with a signature of the retention key.
#[tokio::test]
async fn an_event_whose_route_is_blank_is_edited() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(100).await;
        let store = log.open().await;
        let sealing = store.parts().sealing.unwrap();
        let leaf = sealing.leaves(17, 1).await.unwrap().remove(0);
        let mut note = RemovalNote::new("example.com/audit", RemovalKind::Erasure, EventId::new());
        note.part = Some(1);
        note.ids = Some(RemovalNote::digest_of_ids([leaf.event_id]));
        note.leaves = "17".parse().unwrap();
        note.cells = vec!["1 17".parse().unwrap()];
        let key: Signer = std::fs::read_to_string(log.file("retention")).unwrap().trim_end().parse().unwrap();
        let signed = SignedNote::sign(note.to_string(), &[&key]).unwrap().to_string();
        assert!(sealing.add_removal(0, &signed).await.unwrap());
        let erase = |event: &AuditEvent, seed: Option<&StoredSeed>| {
            let Some(StoredSeed::Whole(seed)) = seed else { return None };
            let mut salts = SurvivingSalts::of(event, &Seed::from_bytes(*seed));
            salts.erase(event, |cell| cell == Cell::Resource).unwrap();
            let mut event = event.clone();
            (event.resource.route, event.resource.method) = (None, None);
            event.extra.insert("erased".into(), serde_json::json!(["resource"]));
            assert_eq!(*Leaf::with_surviving(&event, &salts).unwrap().hash().as_bytes(), leaf.hash, "it fits the leaf");
            Some(ErasedEvent { event, seed: Some(salts.to_bytes()) })
        };
        assert_eq!(store.parts().erasure.unwrap().erase(&[leaf.event_id], &erase).await.unwrap(), 1);
        store.close().await.unwrap();
        let report = log.verify().await;
        assert_eq!(
            (kinds(&report), report.findings.first().and_then(|finding| finding.index)),
            (vec![Edited], Some(17)),
            "{database:?}: {report:?}"
        );
    }
}

/// A manipulation, and the kinds of damage that a verification finds. `{seed}` is the column of leaf 10, `{event}` a row of its event.
fn manipulations(database: Database) -> Vec<(&'static str, String, &'static [Damage])> {
    let is_sqlite = database == Database::Sqlite;
    let (events, leaves, removals, user, kept) = match is_sqlite {
        true => ("audit_segment_1", "audit_leaves", "audit_removals", "user_email", "kept."),
        false => ("audit_events", "audit_events_leaves", "audit_events_removals", "actor_user_email", "kept_"),
    };
    let row = format!("event_id = (SELECT event_id FROM {leaves} WHERE n = 10)");
    let set = |from: &str, to: &str| format!("event = replace(event, '{from}', '{to}')");
    let attach = if is_sqlite { "ATTACH '{kept}' AS kept; " } else { "" };
    let old = |table: &str| format!("{kept}{table}");
    let old_seed =
        format!("UPDATE {leaves} SET seed = (SELECT o.seed FROM {} o WHERE o.n = 10) WHERE n = 10;", old(leaves));
    let old_event = format!(
        "DELETE FROM {events} WHERE {row}; INSERT INTO {events} SELECT * FROM {} o WHERE o.{row};",
        old(events)
    );
    let removals_of_event = match is_sqlite {
        true => "DELETE FROM audit_journal WHERE events LIKE '%audit.erase%'".to_owned(),
        false => "DELETE FROM audit_events WHERE event_type = 'audit.erase'".to_owned(),
    };
    let flipped = match is_sqlite {
        true => "CAST(substr(seed, 1, 60) || x'ffff' || substr(seed, 63) AS BLOB)",
        false => "overlay(seed PLACING '\\xffff'::bytea FROM 61)",
    };
    let nothing = if is_sqlite { "x''" } else { "''::bytea" };
    vec![
        (
            "a name is put where there is none now",
            format!("UPDATE {events} SET {user} = 'mallory', {} WHERE {row}", set("former-3", "mallory")),
            &[ErasureForged][..],
        ),
        (
            "the pseudonym is gone",
            format!("UPDATE {events} SET {user} = NULL, {} WHERE {row}", set("\"former-3\"", "null")),
            &[ErasureForged],
        ),
        (
            "an erased address has a value",
            format!(
                "UPDATE {events} SET {}{} WHERE {row}",
                if is_sqlite { "remote_addr = '192.0.2.9', " } else { "actor_remote_addr = '192.0.2.9', " },
                set("\"remote_addr\":null", "\"remote_addr\":\"192.0.2.9\"")
            ),
            &[Edited],
        ),
        (
            "a kept value is edited",
            format!("UPDATE {events} SET outcome = 403, {} WHERE {row}", set("\"outcome\":200", "\"outcome\":403")),
            &[Edited],
        ),
        (
            "the mark is edited",
            format!("UPDATE {events} SET {} WHERE {row}", set("\"erased\":[\"actor.user_email\"]", "\"erased\":[]")),
            &[ErasureForged],
        ),
        (
            "the mark has an entry more",
            format!(
                "UPDATE {events} SET {} WHERE {row}",
                set("\"erased\":[\"actor.user_email\"]", "\"erased\":[\"actor.user_email\",\"details\"]")
            ),
            &[ErasureForged],
        ),
        (
            "the mark has a text that is no name of a cell",
            format!(
                "UPDATE {events} SET {} WHERE {row}",
                set("\"erased\":[\"actor.user_email\"]", "\"erased\":[\"actor.user_email\",\"details/theft\"]")
            ),
            &[ErasureForged],
        ),
        ("a salt is edited", format!("UPDATE {leaves} SET seed = {flipped} WHERE n = 10"), &[Edited]),
        ("the salts are gone", format!("UPDATE {leaves} SET seed = {nothing} WHERE n = 10"), &[Edited]),
        ("the old seed is back, without its event", format!("{attach}{old_seed}"), &[ErasureRolledBack, Edited]),
        ("the old event is back, without its seed", format!("{attach}{old_event}"), &[ErasureForged]),
        ("event and seed are back", format!("{attach}{old_event}{old_seed}"), &[ErasureRolledBack]),
        ("the events of the erasure are deleted", removals_of_event, &[Missing]),
        ("the signed part is deleted", format!("DELETE FROM {removals} WHERE n = 1"), &[ErasureForged, SealEdited]),
        ("every signed step is deleted", format!("DELETE FROM {removals}"), &[ErasureForged]),
        (
            "the signed cells are edited",
            format!("UPDATE {removals} SET note = replace(note, 'cells 2 ', 'cells 2,5 ')"),
            &[ErasureForged, PurgeForged],
        ),
    ]
}

#[tokio::test]
async fn each_manipulation_of_an_erasure_is_named() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(200).await;
        log.keep_copy().await;
        log.erase(user3().pseudonym("former-3").unwrap()).await;
        assert!(log.verify().await.is_intact());
        let mut wrong = Vec::new();
        for (what, sql, expected) in manipulations(*database) {
            let report = log.tampered(&sql).await;
            let mut found = kinds(&report);
            found.sort_by_key(|damage| damage.as_str());
            found.dedup();
            let mut expected = expected.to_vec();
            expected.sort_by_key(|damage| damage.as_str());
            if found != expected {
                wrong.push(format!("{what}: {found:?}, not {expected:?}: {:?}", report.findings.first()));
            }
        }
        assert!(wrong.is_empty(), "{database:?}:\n{}", wrong.join("\n"));
        assert!(log.verify().await.is_intact(), "the log itself was left as it was");
    }
}

/// A part is signed before its cells go: an erasure that dies leaves a whole log, wherever it dies.
#[tokio::test]
async fn an_erasure_that_died_is_finished_by_the_next() {
    let log = SealedLog::of(2500).await;
    let mut interrupted = 0;
    for limit in [1, 20, 40, 60, 80, 100, 120, 150, 200] {
        let store = log.open().await;
        let erasure = user3().key(log.retention.clone());
        let run = erasure.run(&*store);
        interrupted += usize::from(tokio::time::timeout(Duration::from_millis(limit), run).await.is_err());
        drop(store);
        let report = log.verify().await;
        assert_eq!(report.damaged, 0, "{limit} ms: {report:?}");
    }
    assert!(interrupted > 0);
    log.erase(user3()).await;
    let report = log.verify().await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.erased, 357);
    let store = log.open().await;
    assert!(!serde_json::to_string(&all(&*store).await).unwrap().contains("user3"));
    store.close().await.unwrap();
}

/// A verification beside an erasure sees no damage.
#[tokio::test]
async fn an_erasure_beside_a_verification_is_no_damage() {
    for database in Database::ALL {
        let log = SealedLog::on(*database).with(600).await;
        let store = log.open().await;
        for user in 0..3 {
            let erasure = Erasure::of(&format!("user{user}@example.org")).unwrap().key(log.retention.clone());
            let (done, report) = tokio::join!(erasure.run(&*store), log.verify());
            done.unwrap();
            assert!(report.is_intact(), "{database:?}: {report:?}");
        }
        store.close().await.unwrap();
    }
}

/// An event that was edited is not covered up by an erasure, and one without a leaf waits for the sealer.
#[tokio::test]
async fn an_edited_event_and_an_unsealed_one_stay_as_they_are() {
    let log = SealedLog::of(100).await;
    let store = log.open().await;
    log.compact(&*store).await;
    log.tamper("UPDATE audit_segment_1 SET outcome = 403, event = replace(event, '\"outcome\":200', '\"outcome\":403') WHERE event_id = (SELECT event_id FROM audit_leaves WHERE n = 10)").await;
    store.append(&[event(7003)]).await.unwrap();
    let done = user3().key(log.retention.clone()).run(&*store).await.unwrap();
    assert_eq!((done.events, done.damaged, done.unsealed), (13, 1, 1));
    seal(&mut log.sealer(&store)).await;
    store.close().await.unwrap();
    let report = log.verify().await;
    assert_eq!(
        report.findings.iter().map(|found| (found.damage, found.index)).collect::<Vec<_>>(),
        [(Edited, Some(10))]
    );
}
