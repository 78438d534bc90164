//! The number of a log's sessions on its server, counted all the time.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::task::JoinHandle;

use crate::cluster::Database;

/// Those of the log: not ours, nor those of a test that does something to it.
const OF_THE_LOG: &str = "datname = current_database() AND backend_type = 'client backend' \
    AND application_name NOT IN ('psql', 'census')";

/// The most that a log may have.
pub(crate) const MOST_SESSIONS: i64 = 12;

pub(crate) struct SessionCount {
    most: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl SessionCount {
    pub(crate) async fn of(database: &Database<'_>) -> Self {
        let options: PgConnectOptions = database.url().parse().expect("a URL");
        let mut db = PgConnection::connect_with(&options.application_name("census")).await.expect("it lets us in");
        let most = Arc::new(AtomicI64::new(0));
        let seen = most.clone();
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE {OF_THE_LOG}");
        let task = tokio::spawn(async move {
            loop {
                let now: i64 =
                    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone())).fetch_one(&mut db).await.expect("a number");
                seen.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { most, task }
    }

    pub(crate) fn most(&self) -> i64 {
        assert!(!self.task.is_finished(), "nobody counts");
        self.most.load(Ordering::Relaxed)
    }

    #[track_caller]
    pub(crate) fn assert_bounded(&self) {
        let most = self.most();
        assert!(most > 0, "nobody was seen");
        assert!(most <= MOST_SESSIONS, "{most} sessions of one log");
    }
}

impl Drop for SessionCount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Processes of the server that are stopped until this is dropped.
pub(crate) struct Stopped(Vec<String>);

impl Stopped {
    /// The sessions of the log for which this holds.
    pub(crate) fn those(database: &Database<'_>, condition: &str) -> Self {
        let sql = format!("SELECT pid FROM pg_stat_activity WHERE {OF_THE_LOG} AND {condition}");
        let pids: Vec<String> = database.sql(&sql).lines().map(str::to_owned).collect();
        assert!(!pids.is_empty(), "no session: {condition}");
        Self::processes(pids)
    }

    /// Processes that are no sessions.
    pub(crate) fn processes(pids: Vec<String>) -> Self {
        signal("STOP", &pids);
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(name: &str, pids: &[String]) {
    // Some may have ended.
    Command::new("kill").arg(format!("-{name}")).args(pids).status().expect("there is a `kill`");
}
