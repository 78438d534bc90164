//! A database with the tables of an app, and a log on the same server.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::AuditLog;
use tower_audit::store::OpenOptions;
use tower_audit::store::mysql::{MysqlStore, MysqlTable};
use tower_audit::writer::AuditLogBuilder;

use crate::mariadb::{Database, Server};

pub(crate) type Db = sqlx::MySql;
pub(crate) type Pool = sqlx::MySqlPool;

/// Takes the number of an effect.
pub(crate) const EFFECT: &str = "INSERT INTO effects VALUES (?)";

pub(crate) struct Backing {
    pub(crate) pool: Pool,
    pub(crate) database: Database<'static>,
}

impl Backing {
    /// On a server of its own, if a pool that was made before has the shared one: another server is another database.
    pub(crate) async fn new() -> Self {
        Self::on(Server::shared()).await
    }

    pub(crate) async fn on(server: &'static Server) -> Self {
        let database = server.database();
        database.sql("CREATE TABLE effects (n integer)");
        let pool = Pool::connect(&database.url()).await.expect("the server lets us in");
        Self { pool, database }
    }

    /// One whose transactions are those of another database.
    pub(crate) async fn elsewhere() -> Self {
        static OTHER: std::sync::OnceLock<Server> = std::sync::OnceLock::new();
        Self::on(OTHER.get_or_init(Server::start)).await
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
        let table = MysqlTable::default().name("audit `log`");
        let store = match MysqlStore::from_pool(&self.pool, &table, options).await {
            Ok(store) => store,
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        };
        AuditLog::builder().store(Arc::new(store))
    }

    pub(crate) async fn log(&self) -> AuditLog {
        self.builder().await.open().await.expect("the log opens")
    }

    pub(crate) async fn effects(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM effects").await
    }

    pub(crate) async fn open_started(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM `audit ``log``_started`").await
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a number")
    }
}
