//! `duckdb:PATH` as a file: other processes, files that are gone, crashes, IVRE's reader.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{self, AuditStore, OpenOptions, StoreError, StoreErrorKind};
use tower_audit::{Actor, AuditEvent, EventId, EventType, Phase, Timestamp};

use crate::duckdb_library::{python, readers, url};

async fn try_open(url: &str) -> Result<Arc<dyn AuditStore>, StoreError> {
    store::open(url, OpenOptions::default()).await
}

async fn open(path: &Path) -> Arc<dyn AuditStore> {
    try_open(&url(path)).await.expect("the store opens")
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("audit.duckdb");
    (folder, path)
}

fn event(number: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user(format!("user{}@example.org", number % 3));
    event.details.insert("number".into(), number.into());
    event
}

async fn listed(store: &dyn AuditStore) -> Vec<EventId> {
    let query = PageQuery::new(Filter::new(), 1000);
    let page = store.parts().reader.expect("it reads").query(&query).await.expect("a page");
    let mut ids: Vec<EventId> = page.iter().map(|event| event.event_id).collect();
    ids.sort();
    ids
}

fn chain(error: &StoreError) -> String {
    format!("{error}: {}", std::error::Error::source(error).map(ToString::to_string).unwrap_or_default())
}

/// The files as a crash of the process would leave them. Not by this process: closing a file that it has locked unlocks it.
async fn after_a_crash(path: &Path) -> (tempfile::TempDir, Arc<dyn AuditStore>) {
    let (folder, copy) = place();
    let script = r#"cp "$0" "$1"; if [ -e "$0.wal" ]; then cp "$0.wal" "$1.wal"; fi"#;
    let done = Command::new("/bin/sh").args(["-c", script]).args([path, &copy]).status().expect("there is a shell");
    assert!(done.success(), "the files can be copied");
    let store = open(&copy).await;
    (folder, store)
}

#[tokio::test]
async fn what_is_acknowledged_is_in_the_files() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        let event = event(number);
        ids.push(event.event_id);
        store.append(&[event]).await.expect("it is kept");
        if number == 4 {
            // A checkpoint deletes the write-ahead log; the next append makes it anew.
            let admin = store.parts().admin.expect("it purges");
            let long_ago = "2001-01-01T00:00:00Z".parse().expect("a time");
            admin.purge(long_ago, 10).await.expect("a purge of nothing");
            assert!(!with_wal(&path).exists(), "the checkpoint has deleted the write-ahead log");
        }
        let (_copied, survivor) = after_a_crash(&path).await;
        assert_eq!(listed(&*survivor).await, ids, "after append {number}");
    }
}

/// The events are there again, whether the store was closed, dropped without it, or is still held by another part of the process.
#[tokio::test]
async fn a_store_that_is_opened_again_in_place_has_its_events() {
    let (_folder, path) = place();
    let mut ids = Vec::new();
    for number in 0..6 {
        let store = open(&path).await;
        assert_eq!(listed(&*store).await, ids, "opened for the {number}th time");
        let event = event(number);
        ids.push(event.event_id);
        store.append(&[event]).await.expect("it is kept");
        if number.is_multiple_of(2) {
            store.close().await.expect("it closes");
            store.append(&[AuditEvent::new(EventType::UPLOAD)]).await.expect_err("it is closed");
        }
        if number == 3 {
            // Two stores of one process have one database.
            let second = open(&path).await;
            assert_eq!(listed(&*second).await, ids);
            second.close().await.expect("it closes");
            store.health().await.expect("the other one is still open");
        }
        drop(store);
    }
    let store = open(&path).await;
    assert_eq!(listed(&*store).await, ids);
    // An id that a store before it has kept is known.
    let mut again = event(99);
    again.event_id = ids[0];
    store.append(&[again]).await.expect("it is there already");
    assert_eq!(listed(&*store).await, ids);
}

/// The process dies with a write-ahead log that no checkpoint has copied. It is opened in place, again and again.
#[test]
fn a_write_ahead_log_that_a_killed_process_left_is_replayed_in_place() {
    const CHILD: &str = "TOWER_AUDIT_DUCKDB_CHILD";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Some(path) = std::env::var_os(CHILD) {
        runtime.block_on(async {
            let store = open(Path::new(&path)).await;
            for number in 0..3 {
                let event = event(number);
                store.append(std::slice::from_ref(&event)).await.expect("it is kept");
                println!("\nkept: {}", event.event_id);
            }
            std::future::pending::<()>().await;
        });
    }
    let (_folder, path) = place();
    let mut ids = Vec::new();
    for life in 0..3 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "stores::duckdb_file::a_write_ahead_log_that_a_killed_process_left_is_replayed_in_place",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let kept = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("kept: ").map(str::to_owned));
        ids.extend(kept.take(3).map(|id| id.parse::<EventId>().expect("an id")));
        // The file is the child's while it lives.
        let held = runtime.block_on(try_open(&url(&path))).map(|_| ()).expect_err("another process has it");
        assert!(chain(&held).contains(&child.id().to_string()), "{}", chain(&held));
        child.kill().expect("it runs");
        child.wait().expect("it is a child");
        assert!(with_wal(&path).exists(), "life {life}: no checkpoint has copied it");
        assert_eq!(ids.len(), 3 * (life + 1));
    }
    runtime.block_on(async {
        let store = open(&path).await;
        assert_eq!(listed(&*store).await, ids);
        store.close().await.expect("it closes");
        assert_eq!(listed(&*open(&path).await).await, ids);
    });
}

fn with_wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".wal");
    name.into()
}

#[tokio::test]
async fn a_write_ahead_log_that_was_deleted_or_replaced_loses_no_later_event() {
    let (_folder, path) = place();
    let store = open(&path).await;
    store.append(&[event(0)]).await.expect("it is kept");
    std::fs::remove_file(with_wal(&path)).expect("there is a write-ahead log");
    store.append(&[event(1)]).await.expect("it is kept by a checkpoint");
    let (_first, survivor) = after_a_crash(&path).await;
    assert_eq!(listed(&*survivor).await.len(), 2, "after the log was deleted");
    store.append(&[event(2)]).await.expect("it is kept");
    let aside = with_wal(&path).with_extension("aside");
    std::fs::rename(with_wal(&path), &aside).expect("there is a write-ahead log");
    std::fs::copy(&aside, with_wal(&path)).expect("a copy in its place");
    store.append(&[event(3)]).await.expect("it is kept by a checkpoint");
    let (_second, survivor) = after_a_crash(&path).await;
    assert_eq!(listed(&*survivor).await.len(), 4, "after the log was replaced");
}

#[tokio::test]
async fn a_database_that_was_removed_or_replaced_takes_no_event() {
    let (_folder, path) = place();
    let store = open(&path).await;
    store.append(&[event(0)]).await.expect("it is kept");
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).expect("it can be renamed");
    let error = store.append(&[event(1)]).await.expect_err("the file is gone");
    assert!(error.to_string().contains("removed or replaced"), "{error}");
    assert!(store.health().await.is_err());
    std::fs::copy(&aside, &path).expect("a copy in its place");
    assert!(store.append(&[event(1)]).await.is_err(), "the file is another");
    std::fs::rename(&aside, &path).expect("it can be renamed");
    store.append(&[event(1)]).await.expect("it is back");
    store.health().await.expect("it is back");
}

#[tokio::test]
async fn another_process_with_the_file_is_named() {
    let (_folder, path) = place();
    let store = open(&path).await;
    store.append(&[event(0)]).await.expect("it is kept");
    let tried =
        "import sys, duckdb\ntry:\n    duckdb.connect(sys.argv[1])\nexcept duckdb.IOException as error: print(error)";
    assert!(python(&path, tried).contains("Could not set lock"), "another process opens the file under the writer");
    store.append(&[event(1)]).await.expect("it is kept");
    store.close().await.expect("it closes");

    let holding = "import sys, duckdb\nc = duckdb.connect(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()";
    let mut holder = Command::new(readers())
        .args(["-c", holding])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "open\n");
    let error = try_open(&url(&path)).await.expect_err("another process has the file");
    assert_eq!(error.kind(), StoreErrorKind::Transient);
    let told = chain(&error);
    assert!(told.contains("another process has the file open") && told.contains(&holder.id().to_string()), "{told}");
    holder.stdin.take().expect("a pipe").flush().expect("it closes");
    holder.wait().expect("it ends");
    assert_eq!(listed(&*open(&path).await).await.len(), 2);
}

#[tokio::test]
async fn what_is_not_the_logs_is_refused_by_name() {
    let (folder, path) = place();
    let error = try_open(&format!("duckdb:{}?library=/nowhere/libduckdb.so", path.display())).await;
    let error = error.expect_err("there is no library");
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("library=/nowhere/libduckdb.so"), "{error}");

    let missing = store::open(&url(&path), OpenOptions::default().create_if_missing(false)).await;
    assert!(missing.expect_err("there is no file").to_string().contains("no file at this path"));
    assert!(!path.exists(), "a reader made the file");

    let ivre = folder.path().join("ivre.duckdb");
    python(
        &ivre,
        "import sys, duckdb\nduckdb.connect(sys.argv[1]).execute('CREATE TABLE audit_events(id INTEGER, event_id UUID)')",
    );
    let error = try_open(&url(&ivre)).await.expect_err("the table is another program's");
    assert!(error.to_string().contains("event_type") && error.to_string().contains("import --from ivre"), "{error}");

    let later = folder.path().join("later.duckdb");
    open(&later).await.close().await.expect("it closes");
    python(
        &later,
        "import sys, duckdb\nduckdb.connect(sys.argv[1]).execute('UPDATE audit_events_version SET version = 7')",
    );
    let error = try_open(&url(&later)).await.expect_err("the tables are of a later version");
    assert!(error.to_string().contains("version 7"), "{error}");

    let second = folder.path().join("second.duckdb");
    std::fs::hard_link(&later, &second).expect("the file can be linked");
    let error = try_open(&url(&second)).await.expect_err("the file has two names");
    assert!(error.to_string().contains("second name"), "{error}");

    let text = folder.path().join("text.duckdb");
    std::fs::write(&text, "no database\n".repeat(1000)).expect("the folder can be written to");
    let error = try_open(&url(&text)).await.expect_err("the file is no database");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{}", chain(&error));
}

#[tokio::test]
async fn only_its_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = place();
    let store = open(&path).await;
    store.append(&[event(0)]).await.expect("it is kept");
    for path in [&path, &with_wal(&path)] {
        let mode = std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    let diagnostics = store.diagnose().await.expect("it answers");
    let library = diagnostics.iter().find(|diagnostic| diagnostic.subject == "library").expect("the library");
    assert!(library.message.contains("DuckDB v1."), "{library:?}");
}

/// IVRE's table and its reader's statements, by its engine, in a session of another zone.
const IVRE: &str = r#"
import sys, json, uuid, datetime
from sqlalchemy import *
engine = create_engine("duckdb:///" + sys.argv[1])
t = Table("audit_events", MetaData(), Column("id", Integer, primary_key=True), Column("event_id", Uuid), Column("event_type", String(32)),
    Column("created_at", DateTime), Column("actor_user_email", String(254)), Column("actor_api_key_hash", String(64)),
    Column("actor_remote_addr", String(45)), Column("resource_route", String(255)), Column("resource_method", String(8)),
    Column("details", JSON), Column("outcome", Integer))
def shown(row):
    row = dict(row._mapping)
    row.pop("id")
    return row | {"event_id": row["event_id"].hex, "created_at": row["created_at"].isoformat(timespec="microseconds")}
with engine.connect() as db:
    db.execute(text("SET TimeZone = 'Europe/Paris'"))
    listing = select(t).order_by(t.c.created_at.desc())
    every = [shown(row) for row in db.execute(listing)]
    middle = datetime.datetime.fromisoformat(every[4]["created_at"])
    print(json.dumps({
        "list": every,
        "page": [shown(row) for row in db.execute(listing.limit(3).offset(2))],
        "get": [shown(row) for row in db.execute(select(t).where(t.c.event_id == uuid.UUID(every[1]["event_id"])))],
        "user": [shown(row) for row in db.execute(listing.where(t.c.actor_user_email == "user1@example.org"))],
        "since": [shown(row) for row in db.execute(listing.where(t.c.created_at >= middle))],
        "until": db.execute(select(func.count()).select_from(t).where(t.c.created_at < middle)).scalar(),
        "count": db.execute(select(func.count()).select_from(t).where(t.c.event_type == "upload")).scalar(),
    }))
"#;

#[tokio::test]
async fn ivres_engine_lists_counts_gets_and_filters() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let mut events: Vec<AuditEvent> = (0..10).map(event).collect();
    for (n, event) in (0..).zip(&mut events) {
        // In the hour that a zone with summer time has twice.
        event.created_at = Timestamp::from_micros(1_792_888_200_000_000 + n * 600_000_001).expect("a time");
    }
    events[2].actor = Actor::default();
    events[2].outcome = Some(201);
    events[3].event_type = EventType::ADMIN_ACTION;
    events[3].phase = Phase::Started;
    events[3].resource.method = Some("PROPPATCH-AND-MORE".into());
    store.append(&events).await.expect("they are kept");
    let reader = store.parts().reader.expect("it reads");
    let filter = Filter::new().since(Some(events[5].created_at));
    assert_eq!(reader.count(&filter).await.expect("a count"), 5);
    store.close().await.expect("it closes");

    let shown = |event: &AuditEvent| {
        let whole = serde_json::to_value(event).expect("JSON");
        let text = event.created_at.to_string();
        json!({
            "event_id": event.event_id.to_string(), "event_type": whole["event_type"], "created_at": text.trim_end_matches('Z'),
            "actor_user_email": whole["actor"]["user_email"], "actor_api_key_hash": whole["actor"]["api_key_hash"],
            "actor_remote_addr": whole["actor"]["remote_addr"], "resource_route": whole["resource"]["route"],
            "resource_method": whole["resource"]["method"], "details": whole["details"], "outcome": whole["outcome"],
        })
    };
    let newest_first: Vec<Value> = events.iter().rev().map(shown).collect();
    let said: Value = serde_json::from_str(&python(&path, IVRE)).expect("JSON");
    assert_eq!(said["list"], json!(newest_first));
    assert_eq!(said["page"], json!(newest_first[2..5]));
    assert_eq!(said["get"], json!([newest_first[1]]));
    let of_user: Vec<&Value> =
        newest_first.iter().filter(|event| event["actor_user_email"] == "user1@example.org").collect();
    assert_eq!(said["user"], json!(of_user));
    assert_eq!(said["since"], json!(newest_first[..5]));
    assert_eq!((&said["until"], &said["count"]), (&json!(5), &json!(9)));
}
