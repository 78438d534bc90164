//! The file of a log, opened by this process as any other program would.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::runtime::{Builder, Runtime};

/// A connection to a database, and its runtime.
pub(crate) struct Database {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Database {
    /// Opens it; makes it if it is missing.
    #[track_caller]
    pub(crate) fn open(path: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let connection = runtime.block_on(SqliteConnection::connect_with(&options)).expect("it can be opened");
        Self { runtime, connection }
    }

    #[track_caller]
    pub(crate) fn execute(&mut self, sql: &'static str) {
        self.runtime.block_on(sqlx::raw_sql(sql).execute(&mut self.connection)).expect("it can be done");
    }

    #[track_caller]
    pub(crate) fn close(self) {
        self.runtime.block_on(self.connection.close()).expect("it can be closed");
    }
}

/// Returns the result of SQLite's integrity check; `ok` if the file is whole.
#[track_caller]
pub(crate) fn integrity(path: &Path) -> String {
    let mut database = Database::open(path);
    let check = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut database.connection);
    let found: Vec<String> = database.runtime.block_on(check).expect("the log can be checked");
    database.close();
    found.join("\n")
}
