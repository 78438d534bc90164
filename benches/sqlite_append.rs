//! Costs of an event in the SQLite store, against the two obvious ways to store one.
//!
//! `store` is a batch through the store, with the work that it leaves for idle moments done at once, so that nothing
//! is hidden; `rows` is one statement a row, and `multi_row` one a batch, both into one table with three indexes.
//! All three commit once a batch, durably.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::runtime::Runtime;

use tower_audit::store::{OpenOptions, open};
use tower_audit::{Actor, AuditEvent, EventType};

const BATCHES: [usize; 4] = [1, 64, 256, 1024];
const USERS: u64 = 100_000;
const INDEXED: &str =
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, event_id TEXT UNIQUE, created_at TEXT, event_type TEXT,
    user_email TEXT, event TEXT);
    CREATE INDEX by_time ON events(created_at); CREATE INDEX by_user ON events(user_email, created_at);";

fn event(n: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::ALL[n as usize % 4].clone());
    // A step through all users that is nowhere near their order.
    event.actor = Actor::user(format!("user{}@example.org", n.wrapping_mul(2_654_435_761) % USERS));
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.resource.route = Some("/flows/cleanup".into());
    event.resource.method = Some("POST".into());
    event.outcome = Some(200);
    event.request.request_id = Some(format!("{n:032x}").into());
    event.request.request_uri = Some("/flows/cleanup".into());
    event.request.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64)".into());
    event.details.insert("result_count".into(), n.into());
    event
}

fn batch(next: &mut u64, size: usize) -> Vec<AuditEvent> {
    (0..size)
        .map(|_| {
            *next += 1;
            event(*next)
        })
        .collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime starts")
}

fn store(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("store");
    for size in BATCHES {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let url = format!("sqlite:{}", folder.path().join("audit.db").display());
        let store = runtime.block_on(open(&url, OpenOptions::default())).expect("the store opens");
        let mut next = 0;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let events = batch(&mut next, size);
                    let begin = Instant::now();
                    runtime.block_on(async {
                        store.append(black_box(&events)).await.expect("it is kept");
                        while store.maintain().await.expect("it is maintained") {}
                    });
                    spent += begin.elapsed();
                }
                spent
            });
        });
    }
}

async fn indexed(folder: &tempfile::TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("indexed.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut db = SqliteConnection::connect_with(&options).await.expect("it opens");
    sqlx::query(INDEXED).persistent(false).execute(&mut db).await.expect("the table is made");
    db
}

/// One transaction whose statements have this many rows each.
async fn insert(db: &mut SqliteConnection, events: &[AuditEvent], rows: usize) -> Result<(), sqlx::Error> {
    let values = vec!["(?,?,?,?,?)"; rows].join(",");
    let sql =
        format!("INSERT OR IGNORE INTO events(event_id, created_at, event_type, user_email, event) VALUES {values}");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await?;
    for events in events.chunks(rows) {
        let mut query = sqlx::query(AssertSqlSafe(sql.as_str()));
        for event in events {
            query = query
                .bind(event.event_id.to_string())
                .bind(event.created_at.to_string())
                .bind(event.event_type.as_str())
                .bind(event.actor.user_email.as_deref())
                .bind(serde_json::to_string(event).unwrap_or_default());
        }
        query.execute(&mut *db).await?;
    }
    sqlx::query("COMMIT").execute(db).await?;
    Ok(())
}

fn obvious_ways(c: &mut Criterion) {
    let runtime = runtime();
    for (name, whole_batch) in [("rows", false), ("multi_row", true)] {
        let mut group = c.benchmark_group(name);
        for size in BATCHES {
            let folder = tempfile::tempdir().expect("a folder can be made");
            let mut db = runtime.block_on(indexed(&folder));
            let mut next = 0;
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter_custom(|times| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        let events = batch(&mut next, size);
                        let rows = if whole_batch { size } else { 1 };
                        let begin = Instant::now();
                        runtime.block_on(insert(&mut db, black_box(&events), rows)).expect("it is kept");
                        spent += begin.elapsed();
                    }
                    spent
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4));
    targets = store, obvious_ways
}
criterion_main!(benches);
