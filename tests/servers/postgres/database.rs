//! A database with the tables of an app, and a log beside them.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::AuditLog;
use tower_audit::store::OpenOptions;
use tower_audit::store::postgres::{PostgresStore, PostgresTable};
use tower_audit::writer::AuditLogBuilder;

use crate::cluster::{Cluster, Database};

pub(crate) type Db = sqlx::Postgres;
pub(crate) type Pool = sqlx::PgPool;

/// Takes the number of an effect.
pub(crate) const EFFECT: &str = "INSERT INTO effects VALUES ($1)";

pub(crate) struct Backing {
    pub(crate) pool: Pool,
    pub(crate) database: Database<'static>,
}

impl Backing {
    pub(crate) async fn new() -> Self {
        let database = Cluster::shared().database();
        database.sql("CREATE TABLE effects (n integer)");
        let pool = Pool::connect(&database.url()).await.expect("the server lets us in");
        Self { pool, database }
    }

    /// One whose transactions are those of another database.
    pub(crate) async fn elsewhere() -> Self {
        Self::new().await
    }

    pub(crate) async fn builder(&self) -> AuditLogBuilder {
        self.builder_of(OpenOptions::default()).await
    }

    /// A log whose store gives up after that long.
    pub(crate) async fn builder_with_timeout(&self, timeout: Duration) -> AuditLogBuilder {
        let mut options = OpenOptions::default();
        options.timeout = timeout;
        self.builder_of(options).await
    }

    async fn builder_of(&self, options: OpenOptions) -> AuditLogBuilder {
        let table = PostgresTable::default().schema("the app's").name("audit \"log\"");
        let store = PostgresStore::from_pool(&self.pool, &table, options).await.expect("the store opens");
        AuditLog::builder().store(Arc::new(store))
    }

    pub(crate) async fn log(&self) -> AuditLog {
        self.builder().await.open().await.expect("the log opens")
    }

    pub(crate) async fn effects(&self) -> i64 {
        self.count("SELECT count(*) FROM effects").await
    }

    pub(crate) async fn open_started(&self) -> i64 {
        self.count(r#"SELECT count(*) FROM "the app's"."audit ""log""_started""#).await
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a number")
    }
}
