//! A sealed log in a database, and somebody who can write to that database.

use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "postgres")]
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::retention::{Erasure, ErasureReport, Purge};
use tower_audit::seal::{Checkpoint, SignedNote, VerifierKey};
use tower_audit::sealing::{Damage, Report, RetentionKey, SealKey, Sealer, Step, Verifier};
use tower_audit::store::{self, AuditStore, OpenOptions};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

#[cfg(feature = "postgres")]
use crate::postgres_server::Cluster;

/// Months ago: none of the events is young.
const FIRST: i64 = 1_780_000_000_000_000;

/// The databases that keep a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Database {
    pub(crate) const ALL: &[Self] = &[
        Self::Sqlite,
        #[cfg(feature = "postgres")]
        Self::Postgres,
    ];
}

pub(crate) struct SealedLog {
    folder: TempDir,
    /// The schema on PostgreSQL.
    schema: Option<String>,
    pub(crate) key: VerifierKey,
    pub(crate) retention: RetentionKey,
}

impl SealedLog {
    /// A log in a file, without an event, and its keys.
    pub(crate) fn new() -> Self {
        Self::on(Database::Sqlite)
    }

    pub(crate) fn on(database: Database) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SealKey::create(folder.path().join("key"), "example.com/audit").expect("a key");
        let key = key.verifier_key();
        let retention = RetentionKey::create(folder.path().join("retention"), "example.com/audit").expect("a key");
        let schema = match database {
            Database::Sqlite => None,
            #[cfg(feature = "postgres")]
            Database::Postgres => Some(crate::postgres_server::unique("seal")),
        };
        Self { folder, schema, key, retention }
    }

    /// A log of so many events in a file, which were sealed by the hundred and partly moved into a segment.
    pub(crate) async fn of(events: u64) -> Self {
        Self::new().with(events).await
    }

    pub(crate) async fn with(self, events: u64) -> Self {
        let store = self.open().await;
        let mut sealer = self.sealer(&store);
        for first in (0..events).step_by(100) {
            let batch: Vec<_> = (first..(first + 100).min(events)).map(event).collect();
            store.append(&batch).await.expect("an append");
            seal(&mut sealer).await;
            while first % 300 == 0 && store.maintain().await.expect("maintenance") {}
        }
        store.close().await.expect("the store closes");
        self
    }

    /// Purges the first events, and seals the events of the purge.
    pub(crate) async fn purge(&self, events: u64) {
        let store = self.open().await;
        let cutoff = event(events).created_at;
        let done = Purge::before(cutoff).key(self.retention.clone()).run(&*store).await.expect("a purge");
        assert_eq!((done.deleted, done.unsealed), (events, 0));
        seal(&mut self.sealer(&store)).await;
        store.close().await.expect("the store closes");
    }

    /// Erases a person, and seals the events of the erasure.
    pub(crate) async fn erase(&self, erasure: Erasure) -> ErasureReport {
        let store = self.open().await;
        let done = erasure.key(self.retention.clone()).run(&*store).await.expect("an erasure");
        seal(&mut self.sealer(&store)).await;
        store.close().await.expect("the store closes");
        done
    }

    /// Another log with the same files.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["audit.db", "key", "key.checkpoint", "retention"] {
            std::fs::copy(self.file(name), folder.path().join(name)).expect("a copy");
        }
        Self { folder, schema: None, key: self.key.clone(), retention: self.retention.clone() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        match &self.schema {
            None => format!("sqlite:{}", self.file("audit.db").display()),
            #[cfg(feature = "postgres")]
            Some(schema) => format!("{}?schema={schema}", Cluster::shared().url("postgres")),
            #[cfg(not(feature = "postgres"))]
            Some(_) => unreachable!("SQLite has no schema"),
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn AuditStore> {
        let mut options = OpenOptions::default();
        options.timeout = std::time::Duration::from_secs(60);
        store::open(&self.url(), options).await.expect("the store opens")
    }

    pub(crate) fn sealer(&self, store: &Arc<dyn AuditStore>) -> Sealer {
        Sealer::new(Arc::clone(store), SealKey::load(self.file("key")).expect("the key"))
    }

    /// The checkpoint that is kept beside the key.
    pub(crate) fn kept(&self) -> Checkpoint {
        let text = std::fs::read_to_string(self.file("key.checkpoint")).expect("the file beside the key");
        let note: SignedNote = text.parse().expect("a note");
        Checkpoint::open(&note, std::slice::from_ref(&self.key)).expect("a checkpoint of the key")
    }

    /// Runs statements, as somebody who can write to the database.
    pub(crate) async fn tamper(&self, sql: &str) {
        match &self.schema {
            None => {
                let mut db = self.connect().await;
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.expect(sql);
                db.close().await.expect("it closes");
            }
            #[cfg(feature = "postgres")]
            Some(schema) => {
                let mut db = PgConnection::connect(&Cluster::shared().url("postgres")).await.expect("it connects");
                let sql = format!("SET search_path = {schema}; {sql}");
                sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut db).await.expect(&sql);
                db.close().await.expect("it closes");
            }
            #[cfg(not(feature = "postgres"))]
            Some(_) => unreachable!("SQLite has no schema"),
        }
    }

    /// Keeps a copy of every table, for [`tampered`](Self::tampered) and for manipulations that put old rows back.
    pub(crate) async fn keep_copy(&self) {
        match self.schema {
            None => {
                let store = self.open().await;
                self.compact(&*store).await;
                store.close().await.expect("the store closes");
                std::fs::copy(self.file("audit.db"), self.file("kept.db")).expect("a copy");
            }
            Some(_) => {
                let copies = TABLES.map(|table| format!("CREATE TABLE kept_{table} AS TABLE {table};"));
                self.tamper(&copies.concat()).await;
            }
        }
    }

    /// Moves every event of a file into the segment.
    pub(crate) async fn compact(&self, store: &dyn AuditStore) {
        let parts = store.parts();
        let (reader, removal) = (parts.reader.expect("a reader"), parts.removal.expect("a removal"));
        let everything = PageQuery::new(Filter::default(), 10_000);
        let events = reader.query(&everything).await.expect("events");
        // No event has these positions; to find that out, the events are moved.
        let nowhere = |event: &AuditEvent| {
            let created_at = Timestamp::from_micros(event.created_at.as_micros() ^ 1).expect("in range");
            Cursor { created_at, event_id: event.event_id }
        };
        let positions: Vec<Cursor> = events.iter().map(nowhere).collect();
        for positions in positions.chunks(1000) {
            assert_eq!(removal.remove(positions).await.expect("a removal"), 0);
        }
    }

    /// Runs statements, verifies, and undoes them.
    pub(crate) async fn tampered(&self, sql: &str) -> Report {
        match self.schema {
            None => {
                let copy = self.copy();
                copy.tamper(&sql.replace("{kept}", &self.file("kept.db").display().to_string())).await;
                copy.verify().await
            }
            Some(_) => {
                // The latest state, whatever was kept before.
                let copies = TABLES.map(|table| format!("CREATE TABLE whole_{table} AS TABLE {table};"));
                self.tamper(&(copies.concat() + sql)).await;
                let report = self.verify().await;
                let back = TABLES.map(|table| {
                    format!(
                        "TRUNCATE {table}; INSERT INTO {table} SELECT * FROM whole_{table}; DROP TABLE whole_{table};"
                    )
                });
                self.tamper(&back.concat()).await;
                report
            }
        }
    }

    pub(crate) async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.file("audit.db")).connect().await.expect("the file opens")
    }

    pub(crate) async fn verify(&self) -> Report {
        self.verify_against(None).await
    }

    pub(crate) async fn verify_against(&self, kept: Option<Checkpoint>) -> Report {
        // To read alone: a hundred verifications need no sessions of writers.
        let options = OpenOptions::new().timeout(std::time::Duration::from_secs(60)).create_if_missing(false);
        let store = store::open(&self.url(), options).await.expect("the store opens");
        let verifier = Verifier::new(&store, vec![self.key.clone()]).retention_key(self.retention.verifier_key());
        let verifier = verifier.sealer_wait(std::time::Duration::from_millis(50));
        let report = kept.into_iter().fold(verifier, Verifier::against).verify(|_| {}).await.expect("a report");
        store.close().await.expect("the store closes");
        report
    }
}

const TABLES: [&str; 5] =
    ["audit_events", "audit_events_leaves", "audit_events_nodes", "audit_events_checkpoints", "audit_events_removals"];

/// Seals everything, and returns the last step.
pub(crate) async fn seal(sealer: &mut Sealer) -> Step {
    loop {
        let step = sealer.step().await.expect("a step");
        if !step.has_more && step.sealed == 0 {
            return step;
        }
    }
}

/// The event with this number.
pub(crate) fn event(number: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.created_at = Timestamp::from_micros(FIRST + number as i64 * 1_000_000).expect("a time");
    event.actor = Actor::user(format!("user{}@example.org", number % 7));
    event.resource.route = Some("/scans".into());
    event.resource.method = Some("POST".into());
    event.outcome = Some(200);
    event.details.insert("number".into(), number.into());
    event
}

pub(crate) fn kinds(report: &Report) -> Vec<Damage> {
    let mut kinds: Vec<Damage> = report.findings.iter().map(|finding| finding.damage).collect();
    kinds.dedup();
    kinds
}
