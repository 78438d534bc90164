//! A file with the tables of an app, and a log beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use tower_audit::store::OpenOptions;
use tower_audit::store::sqlite::SqliteStore;
use tower_audit::{AuditLog, writer::AuditLogBuilder};

pub(crate) type Db = sqlx::Sqlite;
pub(crate) type Pool = sqlx::SqlitePool;

/// Takes the number of an effect.
pub(crate) const EFFECT: &str = "INSERT INTO effects VALUES ($1)";

pub(crate) struct Backing {
    pub(crate) pool: Pool,
    folder: tempfile::TempDir,
}

impl Backing {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pool = pool(&folder.path().join("app.db")).await;
        sqlx::query("CREATE TABLE effects (n INTEGER)").execute(&pool).await.expect("a table");
        Self { pool, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    /// One whose transactions are those of another database.
    pub(crate) async fn elsewhere() -> Self {
        Self::new().await
    }

    pub(crate) async fn builder(&self) -> AuditLogBuilder {
        self.builder_of(OpenOptions::default()).await
    }

    /// A log whose store has this timeout.
    pub(crate) async fn builder_with_timeout(&self, timeout: Duration) -> AuditLogBuilder {
        let mut options = OpenOptions::default();
        options.timeout = timeout;
        self.builder_of(options).await
    }

    async fn builder_of(&self, options: OpenOptions) -> AuditLogBuilder {
        let store = SqliteStore::from_pool(&self.pool, options).await.expect("the store opens");
        AuditLog::builder().store(Arc::new(store))
    }

    pub(crate) async fn log(&self) -> AuditLog {
        self.builder().await.open().await.expect("the log opens")
    }

    pub(crate) async fn effects(&self) -> i64 {
        self.count("SELECT count(*) FROM effects").await
    }

    pub(crate) async fn open_started(&self) -> i64 {
        self.count("SELECT count(*) FROM audit_started").await
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a number")
    }
}

pub(crate) async fn pool(path: &Path) -> Pool {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    Pool::connect_with(options).await.expect("the file opens")
}
