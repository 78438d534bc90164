//! PostgreSQL alone: late commits, sealers of two handles, and roles.

use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::{Report, SealKey, Sealer, Verifier};
use tower_audit::store::{self, AuditStore, OpenOptions};
use tower_audit::{AuditEvent, EventType};

use super::support::{event, seal};
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

    async fn tamper(&self, sql: &str) {
        let mut db = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.expect(sql);
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

/// What a role that seals needs, and that it can do nothing else.
#[tokio::test]
async fn a_role_that_may_only_insert_and_read_seals() {
    let log = Log::of(100).await;
    let role = unique("sealer");
    let schema = &log.schema;
    log.tamper(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON audit_events, audit_events_version, audit_events_started TO {role}; \
         GRANT SELECT, INSERT ON audit_events_leaves, audit_events_nodes, audit_events_checkpoints TO {role}"
    ))
    .await;
    let owner = log.open().await;
    owner.append(&[event(500)]).await.unwrap();
    let url =
        format!("{}?schema={schema}", Cluster::shared().url("postgres")).replace("postgres@", &format!("{role}@"));
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    let store = store::open(&url, options).await.unwrap();
    assert_eq!(seal(&mut log.sealer(&store)).await.size, 101);
    store.close().await.unwrap();
    owner.close().await.unwrap();
    assert!(log.verify().await.is_intact());
}
