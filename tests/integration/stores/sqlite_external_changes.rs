//! Changes of an open file by others. Health fails, or the store works; where it fails, the remedy
//! in the message helps.

use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::sqlite::SqliteStore;
use tower_audit::store::{AuditStore as _, OpenOptions, Reader as _, StoreAdmin as _, StoreError, StoreErrorKind};
use tower_audit::{AuditEvent, EventType, Phase};

/// A log that is open, with some events acknowledged.
struct Scene {
    folder: TempDir,
    store: SqliteStore,
    acknowledged: Vec<AuditEvent>,
    /// A lock held by another connection.
    held: Option<SqliteConnection>,
}

/// The expected state after the sabotage.
enum Then {
    /// Health is well, and the next events are in the file at PATH, beside all that were acknowledged.
    Works,
    /// As `Works`, without the events acknowledged before: they were destroyed, or are in a copy.
    WorksAnew,
    /// Health and appends fail with this kind and these words. After the deed the log works, with the events
    /// acknowledged before if they are still there.
    Refuses(StoreErrorKind, &'static str, Deed, HasAll),
}
use Then::{Refuses, Works, WorksAnew};

type HasAll = bool;
type Deed = for<'a> fn(&'a mut Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! deed {
    (|$scene:ident| $body:expr) => {
        |$scene: &mut Scene| Box::pin(async move { $body })
    };
}

fn cases() -> Vec<(&'static str, Deed, Then)> {
    use StoreErrorKind::{Corrupt, Permanent, Transient};
    vec![
        ("an emptied journal", deed!(|s| s.sql("DELETE FROM audit_journal").await), WorksAnew),
        (
            "the greatest number",
            deed!(|s| {
                s.sql("UPDATE audit_journal SET seq = 9223372036854775807 WHERE seq = (SELECT max(seq) FROM audit_journal)").await
            }),
            Works,
        ),
        (
            "an event that is no JSON",
            deed!(|s| s
                .sql("UPDATE audit_journal SET events = 'x' WHERE seq = (SELECT max(seq) FROM audit_journal)")
                .await),
            WorksAnew,
        ),
        (
            "a row with an id that is none",
            deed!(|s| {
                s.sql("INSERT INTO audit_journal SELECT max(seq) + 1, 1, 0, 0, x'00', x'ff', '[{\"event_id\":7}]' FROM audit_journal").await
            }),
            Works,
        ),
        (
            "an event that is bytes",
            deed!(|s| s
                .sql(
                    "INSERT INTO audit_journal SELECT max(seq) + 1, 1, 0, 0, x'', x'ff', x'5bff005d' FROM audit_journal"
                )
                .await),
            Works,
        ),
        ("a column more", deed!(|s| s.sql("ALTER TABLE audit_journal ADD COLUMN note TEXT").await), Works),
        (
            "a trigger that discards rows",
            deed!(|s| s.sql("CREATE TRIGGER t BEFORE INSERT ON audit_journal BEGIN SELECT RAISE(IGNORE); END").await),
            Refuses(Permanent, "trigger", deed!(|s| s.sql("DROP TRIGGER t").await), true),
        ),
        (
            "a trigger that refuses rows",
            deed!(|s| s
                .sql("CREATE TRIGGER t BEFORE INSERT ON audit_journal BEGIN SELECT RAISE(ABORT, 'no'); END")
                .await),
            Refuses(Permanent, "trigger", deed!(|s| s.sql("DROP TRIGGER t").await), true),
        ),
        (
            "a trigger on what has started",
            deed!(|s| s
                .sql("CREATE TRIGGER t BEFORE INSERT ON audit_started BEGIN SELECT RAISE(ABORT, 'no'); END")
                .await),
            Refuses(Permanent, "trigger", deed!(|s| s.sql("DROP TRIGGER t").await), true),
        ),
        (
            "a missing journal",
            deed!(|s| s.sql("DROP TABLE audit_journal").await),
            Refuses(Permanent, "migrate", deed!(|s| s.migrate().await), false),
        ),
        (
            "a missing list of what has started",
            deed!(|s| s.sql("DROP TABLE audit_started").await),
            Refuses(Permanent, "migrate", deed!(|s| s.migrate().await), true),
        ),
        (
            "a renamed column",
            deed!(|s| s.sql("ALTER TABLE audit_journal RENAME COLUMN events TO texts").await),
            Refuses(
                Permanent,
                "renamed",
                deed!(|s| s.sql("ALTER TABLE audit_journal RENAME COLUMN texts TO events").await),
                true,
            ),
        ),
        (
            "a lock that is held",
            deed!(|s| s.hold("BEGIN EXCLUSIVE").await),
            Refuses(Transient, "lock", deed!(|s| s.release().await), true),
        ),
        ("a read-only file", deed!(|s| s.mode(0o400)), Refuses(Transient, "read-only", deed!(|s| s.mode(0o600)), true)),
        ("a checkpoint that cuts the log", deed!(|s| s.sql("PRAGMA wal_checkpoint(TRUNCATE)").await), Works),
        (
            "a VACUUM",
            deed!(|s| {
                s.grow().await;
                s.sql("DELETE FROM audit_probe").await;
                s.sql("VACUUM").await;
                s.sql("PRAGMA wal_checkpoint(TRUNCATE)").await
            }),
            Works,
        ),
        ("a removed index", deed!(|s| s.remove("-shm")), Works),
        ("a removed log", deed!(|s| s.remove("-wal")), Works),
        (
            "a removed index and log",
            deed!(|s| {
                s.remove("-wal");
                s.remove("-shm")
            }),
            Works,
        ),
        ("a removed database", deed!(|s| s.remove("")), WorksAnew),
        ("a database that is moved away and back", deed!(|s| s.move_away_and_back().await), Works),
        ("a database in whose place another log is", deed!(|s| s.replace_by_another().await), WorksAnew),
        (
            "a database in whose place something else is",
            deed!(|s| {
                s.rename("", "-away");
                s.write("", &[b'x'; 9000])
            }),
            Refuses(
                Transient,
                "not an SQLite database",
                deed!(|s| {
                    s.remove("");
                    s.rename("-away", "")
                }),
                true,
            ),
        ),
        (
            "a directory in its place",
            deed!(|s| {
                s.rename("", "-away");
                fs::create_dir(s.path("")).expect("it is done")
            }),
            Refuses(
                Transient,
                "no regular file",
                deed!(|s| {
                    fs::remove_dir(s.path("")).expect("it is done");
                    s.rename("-away", "")
                }),
                true,
            ),
        ),
        (
            "a log that is cut in place",
            deed!(|s| s.cut("-wal", 0)),
            Refuses(Corrupt, "move all three away", deed!(|s| s.set_aside()), false),
        ),
        (
            "a log that is cut to half",
            deed!(|s| s.cut("-wal", s.len("-wal") / 2)),
            Refuses(Corrupt, "move all three away", deed!(|s| s.set_aside()), false),
        ),
        (
            "a database that is cut to half",
            deed!(|s| {
                s.back_up_grown().await;
                s.cut("", s.len("") / 2)
            }),
            Refuses(
                Corrupt,
                "whole one that takes their place",
                deed!(|s| {
                    s.set_aside();
                    s.rename("-copy", "")
                }),
                true,
            ),
        ),
        (
            "an older copy written over it",
            deed!(|s| s.overwrite_by_older().await),
            Refuses(
                Corrupt,
                "whole one that takes their place",
                deed!(|s| {
                    s.set_aside();
                    s.rename("-copy", "")
                }),
                true,
            ),
        ),
        (
            "a page written over it, which a read met",
            deed!(|s| s.damage_and_read().await),
            Refuses(
                Corrupt,
                "whole one that takes their place",
                deed!(|s| {
                    s.set_aside();
                    s.rename("-copy", "")
                }),
                true,
            ),
        ),
    ]
}

#[tokio::test]
async fn health_fails_or_the_store_works_and_the_remedy_helps() {
    let mut wrong = Vec::new();
    for (name, sabotage, then) in cases() {
        let mut scene = Scene::new().await;
        sabotage(&mut scene).await;
        let verdict = match then {
            Works => scene.works(true).await,
            WorksAnew => scene.works(false).await,
            Refuses(kind, words, remedy, has_all) => match scene.refuses(kind, words).await {
                Ok(()) => {
                    remedy(&mut scene).await;
                    scene.works(has_all).await.map_err(|why| format!("after the remedy: {why}"))
                }
                refused => refused,
            },
        };
        if let Err(why) = verdict {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The worker retries transient failures.
async fn at_last(mut attempt: impl AsyncFnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut done = attempt().await;
    for _ in 0..4 {
        match &done {
            Err(error) if error.is_transient() => done = attempt().await,
            _ => break,
        }
    }
    done
}

fn shown(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!("{error} ({})", cause.unwrap_or_default())
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("it is done");
        let store = open(&folder.path().join("audit.db")).await.expect("it is done");
        let mut scene = Self { folder, store, acknowledged: Vec::new(), held: None };
        for _ in 0..30 {
            scene.append().await.expect("it is done");
        }
        scene
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("audit.db{suffix}"))
    }

    fn len(&self, suffix: &str) -> u64 {
        fs::metadata(self.path(suffix)).expect("it is done").len()
    }

    /// Appends a request's two events.
    async fn append(&mut self) -> Result<(), StoreError> {
        let mut started = AuditEvent::new(EventType::ADMIN_ACTION);
        started.phase = Phase::Started;
        let mut completed = AuditEvent::new(EventType::ADMIN_ACTION);
        completed.request.started_event_id = Some(started.event_id);
        for event in [started, completed] {
            let batch = [event];
            at_last(async || self.store.append(&batch).await).await?;
            self.acknowledged.extend(batch);
        }
        Ok(())
    }

    /// Asserts that health and appends succeed, and that every reader sees each acknowledged event.
    async fn works(&mut self, has_all: bool) -> Result<(), String> {
        at_last(async || self.store.health().await).await.map_err(|error| format!("health: {}", shown(&error)))?;
        if !has_all {
            self.acknowledged.clear();
        }
        for _ in 0..3 {
            self.append().await.map_err(|error| format!("append: {}", shown(&error)))?;
        }
        self.store.health().await.map_err(|error| format!("health after an append: {}", shown(&error)))?;
        let other = open(&self.path("")).await.map_err(|error| format!("opened again: {}", shown(&error)))?;
        for store in [&self.store, &other] {
            let filter = Filter::default();
            let listed = store.query(&PageQuery::new(filter.clone(), 100_000)).await.map_err(|error| shown(&error))?;
            let counted = store.count(&filter).await.map_err(|error| shown(&error))?;
            if counted != listed.len() as u64 {
                return Err(format!("{counted} are counted and {} listed", listed.len()));
            }
            let missing = self.acknowledged.iter().filter(|event| !listed.contains(event)).count();
            if missing > 0 {
                return Err(format!("{missing} of {} events are missing", self.acknowledged.len()));
            }
        }
        Ok(())
    }

    /// Health and appends fail, each time.
    async fn refuses(&mut self, kind: StoreErrorKind, words: &str) -> Result<(), String> {
        for round in 0..2 {
            let health = self.store.health().await.err().ok_or("health is well")?;
            let append = self.append().await.err().ok_or("an append is acknowledged")?;
            // A permanent problem must be reported in the end, perhaps at the second attempt.
            for error in [health, append].iter().filter(|_| round > 0) {
                if error.kind() != kind || !shown(error).contains(words) {
                    return Err(format!("{:?} {}", error.kind(), shown(error)));
                }
            }
        }
        Ok(())
    }

    async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("")).busy_timeout(Duration::from_secs(2));
        SqliteConnection::connect_with(&options).await.expect("it is done")
    }

    async fn sql(&self, sql: &str) {
        let mut raw = self.raw().await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false).execute(&mut raw).await.expect("it is done");
        raw.close().await.expect("it is done");
    }

    async fn hold(&mut self, sql: &'static str) {
        let mut raw = self.raw().await;
        sqlx::query(sql).execute(&mut raw).await.expect("it is done");
        self.held = Some(raw);
    }

    async fn release(&mut self) {
        self.held.take().expect("it is done").close().await.expect("it is done");
    }

    async fn migrate(&self) {
        let other = open(&self.path("")).await.expect("it is done");
        other.migrate().await.expect("it is done");
        other.close().await.expect("it is done");
    }

    fn remove(&self, suffix: &str) {
        fs::remove_file(self.path(suffix)).expect("it is done");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("it is done");
    }

    fn write(&self, suffix: &str, bytes: &[u8]) {
        fs::write(self.path(suffix), bytes).expect("it is done");
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(self.path(""), Permissions::from_mode(mode)).expect("it is done");
    }

    /// Cuts a file where it is.
    fn cut(&self, suffix: &str, len: u64) {
        File::options().write(true).open(self.path(suffix)).expect("it is done").set_len(len).expect("it is done");
    }

    /// Moves the three files away, as the message says.
    fn set_aside(&self) {
        for suffix in ["", "-wal", "-shm"] {
            if self.path(suffix).exists() {
                self.rename(suffix, &format!("{suffix}-evidence"));
            }
        }
    }

    /// Makes the database a few hundred KB large.
    async fn grow(&mut self) {
        let mut events: Vec<_> = (0..600).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        self.store.append(&events).await.expect("it is done");
        while self.store.maintain().await.expect("it is done") {}
        self.acknowledged.append(&mut events);
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
        self.append().await.expect("it is done");
    }

    async fn back_up_grown(&mut self) {
        self.grow().await;
        self.store.backup(&self.path("-copy")).await.expect("it is done");
    }

    async fn overwrite_by_older(&mut self) {
        let older = fs::read(self.path("")).expect("it is done");
        self.back_up_grown().await;
        self.write("", &older);
    }

    async fn damage_and_read(&mut self) {
        self.back_up_grown().await;
        let mut file = File::options().write(true).open(self.path("")).expect("it is done");
        file.seek(std::io::SeekFrom::Start(4096)).expect("it is done");
        file.write_all(&vec![0xa5; usize::try_from(self.len("")).expect("it is done") - 4096]).expect("it is done");
        let error = open(&self.path("")).await.err();
        let _ = self.store.query(&PageQuery::new(Filter::default(), 100_000)).await;
        assert_eq!(error.expect("it is done").kind(), StoreErrorKind::Corrupt);
    }

    /// Absent long enough for the log to go on in a new file.
    async fn move_away_and_back(&mut self) {
        self.rename("", "-away");
        let before = self.acknowledged.len();
        for _ in 0..3 {
            self.append().await.expect("it is done");
        }
        let between = self.acknowledged.split_off(before);
        self.rename("-away", "");
        self.append().await.expect("it is done");
        // Events acknowledged in between are in a copy.
        let mut found = Vec::new();
        for copy in self.copies() {
            let copy = open(&copy).await.expect("it is done");
            found.extend(copy.query(&PageQuery::new(Filter::default(), 1000)).await.expect("it is done"));
        }
        assert!(between.iter().all(|event| found.contains(event)), "{} of {}", found.len(), between.len());
    }

    fn copies(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path()).expect("it is done").map(|file| file.expect("it is done").path());
        let is_copy = |path: &Path| {
            let name = path.file_name().expect("it is done").to_str().expect("it is done");
            name.contains("-replaced-") && name.len() == "audit.db-replaced-".len() + 16
        };
        files.filter(|path| is_copy(path)).collect()
    }

    async fn replace_by_another(&mut self) {
        let other = open(&self.path("-other")).await.expect("it is done");
        other.close().await.expect("it is done");
        self.rename("-other", "");
    }
}

async fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    let mut options = OpenOptions::default();
    options.timeout = Duration::from_millis(400);
    SqliteStore::open(&format!("sqlite:{}", path.display()), options).await
}
