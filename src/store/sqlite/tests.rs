//! The SQLite store by its behaviour; the suite of all stores is elsewhere.

mod app_database;
mod appending;
mod changed_columns;
mod clock_ahead;
mod concurrent_maintenance;
mod damaged_bytes;
mod file;
mod files_changed;
mod files_removed_while_open;
mod index_bytes;
mod indexing;
mod orphan_recovery;
mod purging;
mod reading;
mod triggers;
mod view;

use std::path::PathBuf;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;

use super::{SqliteStore, purge};
use crate::event::{Actor, AuditEvent, EventId, EventType, Phase, Timestamp};
use crate::query::{Filter, PageQuery};
use crate::store::{AuditStore as _, OpenOptions, Reader as _, StoreError};

/// A folder with a log in it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.db")
    }

    async fn open(&self) -> SqliteStore {
        self.try_open(true).await.unwrap()
    }

    async fn try_open(&self, create: bool) -> Result<SqliteStore, StoreError> {
        let options = OpenOptions { create_if_missing: create, ..OpenOptions::default() };
        SqliteStore::open(&format!("sqlite:{}", self.path().display()), options).await
    }

    /// Looks into the file past the store.
    async fn raw(&self) -> SqliteConnection {
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(self.path())).await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.raw().await).await.unwrap();
        row.get(0)
    }

    async fn assert_whole(&self) {
        let verdict: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut self.raw().await).await.unwrap();
        assert_eq!(verdict, "ok");
    }
}

/// The `n`th of a row of events, a second apart.
fn event(n: u64) -> AuditEvent {
    let mut event = AuditEvent::new([EventType::UPLOAD, EventType::AUTH][n as usize % 2].clone());
    event.created_at = at(n);
    event.event_id = EventId::from_u128((0x0199_0000_0000_7000_u128 << 64) + (u128::from(n) << 8));
    event.actor = Actor::user(format!("user{}", n % 7));
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.resource.route = Some("/scans \"{id}\"\n".into());
    event.outcome = Some(200 + (n % 3) as u16);
    event.details.insert("n".into(), n.into());
    event.details.insert("exact".into(), serde_json::from_str("[1.0, 1e300, -0.5, 18446744073709551615]").unwrap());
    event
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_micros(1_780_000_000_000_000 + n as i64 * 1_000_000).unwrap()
}

fn events(range: std::ops::Range<u64>) -> Vec<AuditEvent> {
    range.map(event).collect()
}

fn started(n: u64) -> AuditEvent {
    AuditEvent { phase: Phase::Started, outcome: None, ..event(n) }
}

fn ending(n: u64, ended: &AuditEvent) -> AuditEvent {
    let mut event = event(n);
    event.request.started_event_id = Some(ended.event_id);
    event
}

async fn all(store: &SqliteStore) -> Vec<AuditEvent> {
    store.query(&PageQuery::new(Filter::default(), 1_000_000)).await.unwrap()
}

/// Returns these events in the order of a listing.
fn newest_first(mut events: Vec<AuditEvent>) -> Vec<AuditEvent> {
    events.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    events
}

async fn maintain_all(store: &SqliteStore) {
    while store.maintain().await.unwrap() {}
}

/// Moves every event into segments: a purge of nothing but the journal's place.
async fn settle(store: &SqliteStore) {
    try_settle(store).await.unwrap();
}

async fn try_settle(store: &SqliteStore) -> Result<(), StoreError> {
    let end = Timestamp::MAX.as_micros();
    loop {
        let mut lease = store.lease("test").await?;
        let done = purge::compact_old(&mut lease.state, end, usize::MAX).await;
        if !lease.finish(done).await? {
            return Ok(());
        }
    }
}
