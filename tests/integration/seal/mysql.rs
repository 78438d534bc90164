//! MariaDB: late commits, sealers of two handles, roles, and somebody who can write to the database.

use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use tower_audit::retention::{Erasure, Purge};
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::Damage::{Edited, Missing, Reordered, SealEdited, TailCut};
use tower_audit::sealing::{Report, RetentionKey, SealKey, Sealer, Verifier};
use tower_audit::store::{self, AuditStore, OpenOptions};
use tower_audit::{AuditEvent, EventId, EventType};

use super::support::{event, kinds, seal};
use crate::mariadb_server::{Database, Server, unique};

struct Log {
    folder: tempfile::TempDir,
    database: Database<'static>,
    key: VerifierKey,
    retention: RetentionKey,
}

impl Log {
    async fn of(events: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SealKey::create(folder.path().join("key"), "example.com/audit").expect("a key").verifier_key();
        let retention = RetentionKey::create(folder.path().join("retention"), "example.com/audit").expect("a key");
        let this = Self { folder, database: Server::shared().database(), key, retention };
        let store = this.open().await;
        let mut sealer = this.sealer(&store);
        for first in (0..events).step_by(50) {
            let batch: Vec<_> = (first..(first + 50).min(events)).map(event).collect();
            store.append(&batch).await.expect("an append");
            seal(&mut sealer).await;
        }
        store.close().await.expect("the store closes");
        this
    }

    async fn open(&self) -> Arc<dyn AuditStore> {
        open(&self.database.url(), true).await
    }

    async fn open_as(&self, role: &str) -> Arc<dyn AuditStore> {
        let account = unique("account");
        let sql = format!("CREATE USER {account}; GRANT {role} TO {account}; SET DEFAULT ROLE {role} FOR {account}");
        self.database.sql(&sql);
        open(&self.database.url_as(&account), false).await
    }

    fn sealer(&self, store: &Arc<dyn AuditStore>) -> Sealer {
        Sealer::new(Arc::clone(store), SealKey::load(self.folder.path().join("key")).expect("the key"))
    }

    async fn connect(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.database.url()).await.expect("it connects")
    }

    async fn verify(&self) -> Report {
        let store = open(&self.database.url(), false).await;
        let verifier = Verifier::new(&store, vec![self.key.clone()]).retention_key(self.retention.verifier_key());
        let verifier = verifier.sealer_wait(std::time::Duration::from_millis(50));
        let report = verifier.verify(|_| {}).await.expect("a report");
        store.close().await.expect("the store closes");
        report
    }
}

async fn open(url: &str, create_if_missing: bool) -> Arc<dyn AuditStore> {
    let mut options = OpenOptions::default();
    options.timeout = std::time::Duration::from_secs(60);
    options.create_if_missing = create_if_missing;
    store::open(url, options).await.expect("the store opens")
}

/// Inserts an event as an app would, in the transaction that the session is in.
async fn insert(db: &mut MySqlConnection, id: EventId) {
    let sql = "INSERT INTO audit_events (event_id, event_type, created_at) VALUES (?, 'auth', NOW(6))";
    sqlx::query(sql).bind(id.to_bytes().to_vec()).execute(db).await.expect("an event");
}

/// An app's own transaction may be open for long, and its event has an early id.
#[tokio::test]
async fn an_event_that_is_committed_late_is_sealed_late() {
    let log = Log::of(0).await;
    let store = log.open().await;
    let mut sealer = log.sealer(&store);
    let late = AuditEvent::new(EventType::AUTH);
    let mut db = log.connect().await;
    let mut transaction = db.begin().await.unwrap();
    insert(&mut transaction, late.event_id).await;
    for number in 0..20 {
        store.append(&[AuditEvent::new(EventType::UPLOAD), event(number)]).await.unwrap();
        seal(&mut sealer).await;
    }
    transaction.commit().await.unwrap();
    assert_eq!(seal(&mut sealer).await.size, 41);
    store.close().await.unwrap();
    let report = log.verify().await;
    assert!(report.is_intact() && report.intact == 41, "{report:?}");
}

/// The event of an open transaction is no event yet, and the position waits for it, however old it is.
#[tokio::test]
async fn no_position_moves_behind_an_open_transaction() {
    let log = Log::of(0).await;
    let store = log.open().await;
    let sealing = store.parts().sealing.expect("it is sealed");
    let mut sealer = log.sealer(&store);
    // An hour ago, long before the seconds in which an event is expected.
    let early = EventId::from_u128(AuditEvent::new(EventType::AUTH).event_id.as_u128() - (3_600_000_u128 << 80));
    let mut db = log.connect().await;
    let mut transaction = db.begin().await.unwrap();
    insert(&mut transaction, early).await;
    let between = |number: u128| EventId::from_u128(early.as_u128() + ((1000 + number) << 80));
    for number in 0..40 {
        let mut event = event(1000 + number);
        event.event_id = between(u128::from(number));
        store.append(&[event]).await.unwrap();
    }
    assert_eq!(seal(&mut sealer).await.size, 40);
    // As the next sealer would look, from every position that this one was at.
    let mut position = sealing.newest_checkpoint().await.unwrap().expect("a checkpoint").position;
    for _ in 0..5 {
        let found = sealing.unsealed(&position, 100).await.unwrap();
        assert!(found.events.is_empty(), "it is not committed");
        position = found.position;
        let id: EventId = position.parse().expect("a position behind the scan");
        assert!(id <= early, "the position is behind the event of an open transaction: {position}");
        tokio::task::yield_now().await;
    }
    transaction.rollback().await.unwrap();
    let moved = async {
        loop {
            let found = sealing.unsealed(&position, 100).await.unwrap();
            position = found.position;
            if position.parse::<EventId>().expect("a position") > between(39) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), moved).await.expect("a rollback frees the position");
    store.close().await.unwrap();
}

/// A checkpoint keeps the position of a look, and the server's clock may have been years ahead then.
#[tokio::test]
async fn a_position_of_the_future_makes_no_event_late() {
    let log = Log::of(10).await;
    let store = log.open().await;
    let sealing = store.parts().sealing.expect("it is sealed");
    let future = "01b00000000000000000000000000000";
    store.append(&[AuditEvent::new(EventType::UPLOAD), AuditEvent::new(EventType::UPLOAD)]).await.unwrap();
    let found = sealing.unsealed(future, 100).await.unwrap();
    assert_eq!((found.events.len(), found.has_more), (2, false));
    assert!(*found.position < *future, "{}", found.position);
    store.close().await.unwrap();
}

#[tokio::test]
async fn of_two_sealers_one_stores_its_batch() {
    let log = Log::of(0).await;
    let (one, other) = (log.open().await, log.open().await);
    let (mut first, mut second) = (log.sealer(&one), log.sealer(&other));
    for number in 0..20 {
        one.append(&[event(2 * number), event(2 * number + 1)]).await.unwrap();
        let (a, b) = tokio::join!(first.step(), second.step());
        let sealed = [a, b].map(|step| step.expect("a step").sealed);
        assert!(sealed.iter().sum::<u64>() <= 2, "{sealed:?}");
    }
    drop(first);
    assert_eq!(seal(&mut second).await.size, 40);
    assert!(log.verify().await.is_intact());
}

/// The roles of the examples for sealing, purging and erasing: each does its work, and nothing else.
#[tokio::test]
async fn the_sealer_seals_the_purger_purges_and_the_eraser_erases() {
    let log = Log::of(100).await;
    log.database.sql(include_str!("../../../examples/mysql_roles.sql"));
    let owner = log.open().await;
    let retention = log.retention.clone();
    let purge = |before: u64| Purge::before(event(before).created_at).key(retention.clone());

    // Without a right to the leaves, a purger does not take the log for one that was never sealed.
    let blind = log.open_as("audit_purger").await;
    let unsigned = Purge::before(event(10).created_at).run(&*blind).await.expect_err("the log is sealed");
    assert_eq!(log.database.sql("SELECT COUNT(*) FROM audit_events"), "100", "{unsigned}");
    blind.close().await.unwrap();

    log.database.sql(include_str!("../../../examples/mysql_seal_roles.sql"));
    let sealer = log.open_as("audit_sealer").await;
    assert!(sealer.append(&[event(200)]).await.is_err(), "a sealer may not append");
    owner.append(&[event(500)]).await.unwrap();
    assert_eq!(seal(&mut log.sealer(&sealer)).await.size, 101);
    assert!(purge(50).run(&*sealer).await.is_err(), "nor purge");

    let purger = log.open_as("audit_purger").await;
    assert!(purger.parts().sealing.unwrap().leaves(0, 1).await.is_err(), "a purger may not read a seed");
    let done = purge(50).run(&*purger).await.unwrap();
    assert_eq!(done.deleted, 50);
    assert!(log.sealer(&purger).step().await.is_err(), "nor seal");
    assert_eq!(seal(&mut log.sealer(&sealer)).await.size, 103);
    assert_eq!(log.database.sql("SELECT COUNT(*) FROM audit_events_leaves WHERE seed = ''"), "50");

    let eraser = log.open_as("audit_eraser").await;
    let erasure = Erasure::of("user3@example.org").unwrap().key(retention.clone());
    let done = erasure.run(&*eraser).await.unwrap();
    assert_eq!((done.events, done.unsealed, done.damaged), (8, 0, 0));
    assert!(purge(60).run(&*eraser).await.is_err(), "it removes none");
    assert!(log.sealer(&eraser).step().await.is_err(), "nor seals");
    seal(&mut log.sealer(&sealer)).await;

    let reader = log.open_as("audit_reader").await;
    let verifier = Verifier::new(&reader, vec![log.key.clone()]).retention_key(log.retention.verifier_key());
    let report = verifier.verify(|_| {}).await.unwrap();
    assert!(report.is_intact() && (report.purged, report.erased) == (50, 8), "a reader verifies: {report:?}");
    for store in [owner, sealer, purger, eraser, reader] {
        store.close().await.unwrap();
    }
}

/// The manipulations that `sql_tampering.rs` tries on other databases, as far as this one has its own statements.
#[tokio::test]
async fn manipulations_are_found_and_named() {
    let log = Log::of(200).await;
    assert!(log.verify().await.is_intact());
    let seventh = "event_id = (SELECT event_id FROM audit_events_leaves WHERE n = 7)";
    let tables = ["audit_events", "audit_events_leaves", "audit_events_nodes", "audit_events_checkpoints"];
    for (sql, expected, leaf) in [
        (format!("UPDATE audit_events SET outcome = 201 WHERE {seventh}"), &[Edited][..], Some(7)),
        (format!("DELETE FROM audit_events WHERE {seventh}"), &[Missing], Some(7)),
        ("UPDATE audit_events_leaves SET seed = REPEAT('x', 32) WHERE n = 7".to_owned(), &[Edited], Some(7)),
        ("UPDATE audit_events_leaves SET hash = REPEAT('x', 32) WHERE n = 7".to_owned(), &[SealEdited], Some(7)),
        ("DELETE FROM audit_events_leaves WHERE n >= 150".to_owned(), &[TailCut], Some(150)),
        (
            "UPDATE audit_events_leaves SET n = 1000 WHERE n = 3; UPDATE audit_events_leaves SET n = 3 WHERE n = 4; \
             UPDATE audit_events_leaves SET n = 4 WHERE n = 1000"
                .to_owned(),
            &[Reordered],
            Some(3),
        ),
        (
            "UPDATE audit_events_checkpoints SET note = CONCAT(note, 'x') WHERE size = 100".to_owned(),
            &[SealEdited],
            None,
        ),
        (
            "INSERT INTO audit_events_leaves VALUES (-1, REPEAT('i', 16), '', REPEAT('h', 32))".to_owned(),
            &[SealEdited],
            None,
        ),
    ] {
        let copies = tables.map(|table| format!("CREATE TABLE kept_{table} SELECT * FROM {table};"));
        log.database.sql(&(copies.concat() + &sql));
        let report = log.verify().await;
        let found = kinds(&report);
        assert!(expected.iter().all(|damage| found.contains(damage)), "{sql}: {report:?}");
        if leaf.is_some() {
            assert!(report.findings.iter().any(|finding| finding.index == leaf), "{sql}: {report:?}");
        }
        let back = tables.map(|table| {
            format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}; DROP TABLE kept_{table};")
        });
        log.database.sql(&back.concat());
    }
    assert!(log.verify().await.is_intact(), "everything was put back");
}

/// A log whose seal's tables were dropped is no log that was never sealed, to its sealer and to `doctor`.
#[tokio::test]
async fn dropped_tables_of_the_seal_are_noticed() {
    let log = Log::of(20).await;
    log.database.sql("DROP TABLE audit_events_leaves, audit_events_nodes, audit_events_checkpoints");
    let store = log.open().await;
    let found = store.diagnose().await.unwrap();
    let told = found.iter().find(|found| found.subject == "seal").expect("doctor names the tables");
    assert!(told.message.contains("audit_events_leaves"), "{}", told.message);
    let refused = log.sealer(&store).step().await.expect_err("its key remembers a tree");
    assert!(matches!(refused, tower_audit::sealing::SealerError::Refused(_)), "{refused}");
    store.close().await.unwrap();
}
