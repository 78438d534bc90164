//! DuckDB commits into a new write-ahead log, and the name of that log cannot be made durable.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tower_audit::store::{self, OpenOptions};
use tower_audit::{AuditEvent, EventType};

use crate::duckdb_library::url;
use crate::support::strace::Fault;
use crate::support::{alone, beside};

const TEST: &str = "store_fails::new_wal::an_append_whose_log_may_lose_its_name_is_not_acknowledged_by_its_retry";
/// The folder of the child process, which is this test.
const FOLDER: &str = "TOWER_AUDIT_FAULT_NEW_WAL";

#[test]
fn an_append_whose_log_may_lose_its_name_is_not_acknowledged_by_its_retry() {
    if let Some(folder) = env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        return runtime.block_on(append_twice(&Path::new(&folder).join("audit.duckdb")));
    }
    let _turn = alone();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let folder = folder.path().canonicalize().expect("it is there");
    let wal = beside(&folder.join("audit.duckdb"), ".wal");
    let mut child = Command::new(env::current_exe().expect("the test knows where it is"))
        .args([TEST, "--exact", "--nocapture"])
        .env(FOLDER, &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test starts");
    let mut orders = child.stdin.take().expect("it was piped");
    let mut said = BufReader::new(child.stdout.take().expect("it was piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.ends_with(READY)), "the log is open");
    // After the commit, before the sync of the folder.
    let fault = Fault::on_file(child.id(), &wal, "?chmod,fchmodat", "error=EIO");
    writeln!(orders).expect("it waits");
    assert!(said.any(|line| line.ends_with(REFUSED)), "the first append is refused");
    drop(fault);
    writeln!(orders).expect("it waits");
    let rest: Vec<String> = said.collect();
    assert!(child.wait().expect("it ends").success(), "{rest:?}");
}

async fn append_twice(path: &Path) {
    let store = store::open(&url(path), OpenOptions::default()).await.expect("it opens");
    store.append(&[AuditEvent::new(EventType::AUTH)]).await.expect("it is kept");
    let long_ago = "2001-01-01T00:00:00Z".parse().expect("a time");
    store.parts().admin.expect("it purges").purge(long_ago, 10).await.expect("a purge of nothing");
    let wal: PathBuf = beside(path, ".wal");
    assert!(!wal.exists(), "the checkpoint has deleted the write-ahead log");
    tell(READY);
    let event = [AuditEvent::new(EventType::UPLOAD)];
    store.append(&event).await.expect_err("nobody knows whether the new log has a name");
    assert!(fs::metadata(&wal).expect("the commit has made it").len() > 0);
    tell(REFUSED);
    store.append(&event).await.expect("it is kept");
    assert!(!wal.exists(), "the events are in the file before they are acknowledged");
    // Proven: no further checkpoint.
    store.append(&[AuditEvent::new(EventType::AUTH)]).await.expect("it is kept");
    store.append(&event).await.expect("it is kept");
    assert!(wal.exists());
}

/// Prints a line and waits for one.
fn tell(line: &str) {
    println!("{line}");
    std::io::stdin().read_line(&mut String::new()).expect("the parent answers");
}

const READY: &str = "the log is open";
const REFUSED: &str = "the append was refused";
