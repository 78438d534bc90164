//! PostgreSQL alone: late commits, sealers of two handles, and roles.

use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tower_audit::retention::{Erasure, Purge};
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::{Report, SealKey, Sealer, Verifier};
use tower_audit::store::postgres::create_roles;
use tower_audit::store::{self, AuditStore, OpenOptions};
use tower_audit::{AuditEvent, EventType};

use super::support::{Database, SealedLog, event, seal};
use crate::postgres_server::{Cluster, unique};

struct Log {
    folder: tempfile::TempDir,
    schema: String,
    key: VerifierKey,
}

impl Log {
    async fn of(events: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SealKey::create(folder.path().join("key"), "example.com/audit").expect("a key").verifier_key();
        let this = Self { folder, schema: unique("seal"), key };
        let store = this.open().await;
        let mut sealer = this.sealer(&store);
        for first in (0..events).step_by(100) {
            let batch: Vec<_> = (first..(first + 100).min(events)).map(event).collect();
            store.append(&batch).await.expect("an append");
            seal(&mut sealer).await;
        }
        store.close().await.expect("the store closes");
        this
    }

    async fn open(&self) -> Arc<dyn AuditStore> {
        let url = format!("{}?schema={}", Cluster::shared().url("postgres"), self.schema);
        let mut options = OpenOptions::default();
        options.timeout = std::time::Duration::from_secs(60);
        store::open(&url, options).await.expect("the store opens")
    }

    fn sealer(&self, store: &Arc<dyn AuditStore>) -> Sealer {
        Sealer::new(Arc::clone(store), SealKey::load(self.folder.path().join("key")).expect("the key"))
    }

    async fn connect(&self) -> PgConnection {
        let mut db = PgConnection::connect(&Cluster::shared().url("postgres")).await.expect("it connects");
        let sql = format!("SET search_path = {}", self.schema);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.expect("the schema");
        db
    }

    async fn verify(&self) -> Report {
        let store = self.open().await;
        let report = Verifier::new(&store, vec![self.key.clone()]).verify(|_| {}).await.expect("a report");
        store.close().await.expect("the store closes");
        report
    }
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
    sqlx::query("INSERT INTO audit_events(event_id, event_type, created_at) VALUES ($1, 'auth', now())")
        .bind(sqlx::types::Uuid::from(late.event_id))
        .execute(&mut *transaction)
        .await
        .unwrap();
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

/// A checkpoint keeps the position of a look, and the server's clock may have been years ahead then.
#[tokio::test]
async fn a_position_of_the_future_makes_no_event_late() {
    let log = Log::of(10).await;
    let store = log.open().await;
    let sealing = store.parts().sealing.expect("it is sealed");
    let future = "01b00000-0000-0000-0000-000000000000";
    store.append(&[AuditEvent::new(EventType::UPLOAD), AuditEvent::new(EventType::UPLOAD)]).await.unwrap();
    let found = sealing.unsealed(future, 100).await.unwrap();
    assert_eq!((found.events.len(), found.has_more), (2, false));
    assert!(*found.position < *future, "{}", found.position);
}

#[tokio::test]
async fn of_two_sealers_one_stores_its_batch() {
    let log = Log::of(0).await;
    let (one, other) = (log.open().await, log.open().await);
    let (mut first, mut second) = (log.sealer(&one), log.sealer(&other));
    for number in 0..20 {
        one.append(&[event(2 * number), event(2 * number + 1)]).await.unwrap();
        let (a, b) = tokio::join!(first.step(), second.step());
        let sealed = [a, b].map(|step| step.map_or(0, |step| step.sealed));
        assert!(sealed.iter().sum::<u64>() <= 2, "{sealed:?}");
    }
    drop(first);
    assert_eq!(seal(&mut second).await.size, 40);
    assert!(log.verify().await.is_intact());
}

/// The log's roles for sealing and purging: each does its work, and nothing else.
#[tokio::test]
async fn the_sealer_seals_the_purger_purges_and_the_eraser_erases() {
    let log = SealedLog::on(Database::Postgres);
    let owner = log.open().await;
    // Before the tables of the seal are made: they are granted with them.
    let roles = create_roles(&log.url()).await.unwrap();
    owner.append(&(0..100).map(event).collect::<Vec<_>>()).await.unwrap();
    seal(&mut log.sealer(&owner)).await;
    assert_eq!(create_roles(&log.url()).await.unwrap(), roles, "as often as one likes");
    let open_as = async |role: &str| {
        let account = unique("account");
        log.tamper(&format!("CREATE ROLE {account} LOGIN; GRANT {role} TO {account}")).await;
        let mut options = OpenOptions::default();
        options.create_if_missing = false;
        store::open(&log.url().replace("postgres@", &format!("{account}@")), options).await.unwrap()
    };
    let sealer = open_as(&roles[3]).await;
    assert!(sealer.append(&[event(200)]).await.is_err(), "a sealer may not append");
    owner.append(&[event(500)]).await.unwrap();
    assert_eq!(seal(&mut log.sealer(&sealer)).await.size, 101);
    let key = log.retention.clone();
    assert!(Purge::before(event(50).created_at).key(key.clone()).run(&*sealer).await.is_err(), "nor purge");

    let purger = open_as(&roles[2]).await;
    assert!(purger.parts().sealing.unwrap().leaves(0, 1).await.is_err(), "a purger may not read a seed");
    let done = Purge::before(event(50).created_at).key(key).run(&*purger).await.unwrap();
    assert_eq!(done.deleted, 50);
    assert!(log.sealer(&purger).step().await.is_err(), "nor seal");
    assert_eq!(seal(&mut log.sealer(&sealer)).await.size, 103);

    let eraser = open_as(&roles[4]).await;
    let erasure = Erasure::of("user3@example.org").unwrap().key(log.retention.clone());
    let done = erasure.run(&*eraser).await.unwrap();
    assert_eq!((done.events, done.unsealed, done.damaged), (8, 0, 0));
    assert!(
        Purge::before(event(60).created_at).key(log.retention.clone()).run(&*eraser).await.is_err(),
        "it removes none"
    );
    assert!(log.sealer(&eraser).step().await.is_err(), "nor seals");
    seal(&mut log.sealer(&sealer)).await;

    let reader = open_as(&roles[1]).await;
    let verifier = Verifier::new(&reader, vec![log.key.clone()]).retention_key(log.retention.verifier_key());
    let report = verifier.verify(|_| {}).await.unwrap();
    assert!(report.is_intact() && (report.purged, report.erased) == (50, 8), "a reader verifies: {report:?}");
    for store in [owner, sealer, purger, eraser, reader] {
        store.close().await.unwrap();
    }
}
