//! A sealed log in an SQLite file, and somebody who can write to that file.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tower_audit::seal::{Checkpoint, SignedNote, VerifierKey};
use tower_audit::sealing::{Damage, Report, SealKey, Sealer, Step, Verifier};
use tower_audit::store::{self, AuditStore, OpenOptions};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

/// Months ago: none of the events is young.
const FIRST: i64 = 1_780_000_000_000_000;

pub(crate) struct SealedLog {
    folder: TempDir,
    pub(crate) key: VerifierKey,
}

impl SealedLog {
    /// A log without an event, and a key.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SealKey::create(folder.path().join("key"), "example.com/audit").expect("a key");
        let key = key.verifier_key();
        Self { folder, key }
    }

    /// A log of so many events, which were sealed by the hundred and partly moved into a segment.
    pub(crate) async fn of(events: u64) -> Self {
        let this = Self::new();
        let store = this.open().await;
        let mut sealer = this.sealer(&store);
        for first in (0..events).step_by(100) {
            let batch: Vec<_> = (first..(first + 100).min(events)).map(event).collect();
            store.append(&batch).await.expect("an append");
            seal(&mut sealer).await;
            while first % 300 == 0 && store.maintain().await.expect("maintenance") {}
        }
        store.close().await.expect("the store closes");
        this
    }

    /// Another log with the same files.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["audit.db", "key", "key.checkpoint"] {
            std::fs::copy(self.file(name), folder.path().join(name)).expect("a copy");
        }
        Self { folder, key: self.key.clone() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.file("audit.db").display())
    }

    pub(crate) async fn open(&self) -> Arc<dyn AuditStore> {
        store::open(&self.url(), OpenOptions::default()).await.expect("the store opens")
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

    /// Runs statements in the file, as somebody who can write to it.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut db = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.expect(sql);
        db.close().await.expect("it closes");
    }

    pub(crate) async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.file("audit.db")).connect().await.expect("the file opens")
    }

    pub(crate) async fn verify(&self) -> Report {
        self.verify_against(None).await
    }

    pub(crate) async fn verify_against(&self, kept: Option<Checkpoint>) -> Report {
        let store = self.open().await;
        let verifier = Verifier::new(&store, vec![self.key.clone()]);
        let report = kept.into_iter().fold(verifier, Verifier::against).verify(|_| {}).await.expect("a report");
        store.close().await.expect("the store closes");
        report
    }
}

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
