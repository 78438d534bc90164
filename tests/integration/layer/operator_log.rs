//! Messages of the writer in the operator's log, and its behaviour when that log cannot be written.

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, OpenError};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::layer::support::{answering, delete, let_others_run, post};

/// Lines of the operator's log on this thread.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn listen() -> (Self, DefaultGuard) {
        let said = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(said.clone()).with_ansi(false).without_time().finish();
        (said, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }

    fn of(&self, what: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(what)).collect()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Said {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn faulty_log() -> (AuditLog, FaultyStore) {
    let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("the store is well for now");
    (log, faulty)
}

#[tokio::test(start_paused = true)]
async fn each_id_that_a_client_was_given_is_said_and_not_in_a_line_of_its_own() {
    const REQUESTS: usize = 200;
    for fault in [
        Fault::FailsAppend(StoreErrorKind::Permanent),
        Fault::FailsAppend(StoreErrorKind::Transient),
        Fault::HangsAppend,
    ] {
        let (said, _listening) = Said::listen();
        let (log, faulty) = faulty_log().await;
        faulty.set_fault(Some(fault));
        let service = AuditLayer::new(&log, presets::ivre()).layer(answering(http::StatusCode::OK));
        let begun = Instant::now();
        let mut ids = Vec::new();
        // One after the other where that takes no time, so that there is a batch for each.
        for at in 0..REQUESTS / 20 {
            let requests = (0..20).map(|_| {
                let request = if at % 2 == 0 { post("/scans") } else { delete("/auth/admin/users/bob") };
                service.clone().oneshot(request)
            });
            for answer in futures_util::future::join_all(requests).await {
                let answer = answer.expect("infallible");
                ids.push(answer.headers()["audit-event-id"].to_str().expect("text").to_owned());
            }
        }
        // Lines are written by a thread of their own, for which closing waits.
        let _ = log.close().await;
        let seconds = begun.elapsed().as_secs() as usize + 1;
        let lines = said.of("audit events not written");
        for id in &ids {
            assert_eq!(lines.iter().filter(|line| line.contains(id.as_str())).count(), 1, "{fault:?}: {id}");
        }
        assert!(lines.len() <= seconds + 1 + REQUESTS / 32 + 1, "{fault:?}: {lines:#?}");
        let retries = said.of("trying again").len();
        assert!(retries <= seconds + 1, "{fault:?}: {retries} lines in {seconds} s");
        if matches!(fault, Fault::FailsAppend(_)) {
            assert!(!said.of("an injected fault").is_empty(), "{fault:?}: {:?}", said.lines());
        }
        assert!(said.lines().iter().all(|line| line.matches("an injected fault").count() <= 1), "{:?}", said.lines());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_opened_is_said_in_one_line_and_what_is_off_in_another() {
    let (said, _listening) = Said::listen();
    let _log = AuditLog::open("memory:").await.expect("it opens");
    let lines = said.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [" INFO ", "the audit log is open", "store=\"memory\"", "place=\"memory:", "durable=false"] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    let _off = AuditLog::disabled();
    let warning = &said.lines()[1];
    assert!(warning.contains(" WARN ") && warning.contains("auditing is off"), "{warning}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_error_that_is_printed_alone_says_why() {
    let error = AuditLog::open("sqlite:/nonexistent/folder/audit.db").await.expect_err("no such folder");
    let text = format!("{error:?}");
    assert!(text.starts_with("the audit log was not opened: sqlite store: "), "{text}");
    assert!(!text.contains("OpenError") && !text.contains("Some("), "{text}");
    let (log, faulty) = faulty_log().await;
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    let error = log.record(AuditEvent::new(EventType::UPLOAD)).await.expect_err("it fails");
    assert_eq!(error.to_string(), "the store did not keep the event: memory store: append failed");
    assert_eq!(
        format!("{error:?}"),
        "Store: the store did not keep the event: memory store: append failed: an injected fault"
    );
}

/// As `tracing_subscriber::fmt` does when stderr is a broken pipe.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_costs_nobody_an_answer() {
    let (log, faulty) = faulty_log().await;
    let panics = || -> io::Stderr { panic!("failed printing to stderr") };
    let _listening = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(panics).finish());
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(http::StatusCode::OK));
    for fault in [
        Fault::FailsAppend(StoreErrorKind::Permanent),
        Fault::FailsAppend(StoreErrorKind::Transient),
        Fault::FailsAppend(StoreErrorKind::Corrupt),
        Fault::Panics,
    ] {
        faulty.set_fault(Some(fault));
        let begun = Instant::now();
        assert_eq!(service.clone().oneshot(post("/scans")).await.expect("infallible").status(), 500, "{fault:?}");
        assert!(begun.elapsed() <= Duration::from_millis(5100), "{fault:?}: {:?}", begun.elapsed());
        faulty.set_fault(None);
        assert_eq!(service.clone().oneshot(post("/scans")).await.expect("infallible").status(), 200, "{fault:?}");
    }
    let_others_run().await;
    log.health().await.expect("it is well");
    log.close().await.expect("nothing is left");
    // Lines of the request itself: after a hundred of them, and of a callback that has failed.
    let log = AuditLog::open("memory:").await.expect("it opens");
    let service = AuditLayer::new(&log, presets::ivre()).details_from_response(|_| Err("no details".into()));
    let service = service.layer(answering(http::StatusCode::OK));
    for _ in 0..101 {
        assert_eq!(service.clone().oneshot(post("/scans")).await.expect("infallible").status(), 200);
    }
    assert_eq!(log.stats().written, 101);
}

/// A subscriber whose reader stalls, until the gate is opened.
#[derive(Clone, Default)]
struct Stalls {
    said: Said,
    is_open: Arc<(Mutex<bool>, Condvar)>,
}

impl Write for Stalls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (is_open, opened) = &*self.is_open;
        let guard = is_open.lock().expect("no panic");
        let (guard, wait) = opened.wait_timeout_while(guard, Duration::from_secs(20), |open| !*open).expect("no panic");
        drop(guard);
        assert!(!wait.timed_out(), "the test waits for this line");
        self.said.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stalls {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// In a process of its own, because the lines of other tests would wait, too.
#[tokio::test(start_paused = true)]
#[ignore = "run by a_subscriber_that_stalls_costs_nobody_an_answer"]
async fn the_subscriber_stalls() {
    let (log, faulty) = faulty_log().await;
    let stalls = Stalls::default();
    let subscriber = tracing_subscriber::fmt().with_writer(stalls.clone()).with_ansi(false).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let layer = AuditLayer::new(&log, presets::ivre()).details_from_response(|_| Err("no details".into()));
    let service = layer.layer(answering(http::StatusCode::OK));
    faulty.set_fault(Some(Fault::FailsFirst(2)));
    let begun = Instant::now();
    // The worker's line, and one of each request: more of them than are kept.
    for _ in 0..1200 {
        assert_eq!(service.clone().oneshot(post("/scans")).await.expect("infallible").status(), 200);
    }
    assert!(begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(stalls.said.lines().is_empty());
    let (is_open, opened) = &*stalls.is_open;
    *is_open.lock().expect("no panic") = true;
    opened.notify_all();
    log.close().await.expect("nothing is left");
    let count = |text| stalls.said.of(text).len();
    assert_eq!((count("trying again"), count("lines about the audit log were dropped")), (1, 1));
    assert!(count("details callback") > 1000, "those that were kept");
}

/// The store's own lines, in a process of its own: a file that is removed and one that is a directory for a moment.
#[tokio::test]
#[ignore = "run by a_subscriber_that_stalls_costs_nobody_an_answer"]
async fn the_subscriber_stalls_over_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.db");
    let log = AuditLog::open(&format!("sqlite:{}", file.display())).await.expect("it opens");
    let upload = || AuditEvent::new(EventType::UPLOAD);
    log.record(upload()).await.expect("it is kept");
    let stalls = Stalls::default();
    let subscriber = tracing_subscriber::fmt().with_writer(stalls.clone()).with_ansi(false).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.path().join(format!("audit.db{suffix}"))).expect("it is there");
    }
    let begun = std::time::Instant::now();
    log.record(upload()).await.expect("the store opens a new file");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(stalls.said.lines().is_empty());
    let (is_open, opened) = &*stalls.is_open;
    *is_open.lock().expect("no panic") = true;
    opened.notify_all();
    log.close().await.expect("nothing is left");
    assert_eq!(stalls.said.of("removed or replaced under the writer: the copy has its events").len(), 1);
}

#[test]
fn a_subscriber_that_stalls_costs_nobody_an_answer() {
    for test in ["the_subscriber_stalls", "the_subscriber_stalls_over_sqlite"] {
        let mut command = Command::new(std::env::current_exe().expect("the test knows where it is"));
        let name = format!("layer::operator_log::{test}");
        command.args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"]);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
    }
}

/// Opens what `AUDIT_URL` names, in a process of its own.
#[tokio::test]
#[ignore = "run by what_the_environment_says_is_taken_at_its_word"]
async fn opened_from_the_environment() {
    match AuditLog::from_env().await {
        Ok(log) if log.is_disabled() => println!("\nOFF"),
        Ok(_) => println!("\nON"),
        Err(error) => println!("\nERROR {error:?}"),
    }
}

#[cfg(unix)]
#[test]
fn what_the_environment_says_is_taken_at_its_word() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let opened = |value: Option<&[u8]>| {
        let mut command = Command::new(std::env::current_exe().expect("the test knows where it is"));
        command.args([
            "--exact",
            "layer::operator_log::opened_from_the_environment",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        command.env_remove("AUDIT_URL").envs(value.map(|value| ("AUDIT_URL", OsStr::from_bytes(value))));
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines =
            ["OFF", "ON", "ERROR"].map(|word| text.lines().find(|line| line.starts_with(word)).map(str::to_owned));
        lines.into_iter().flatten().next().unwrap_or_else(|| panic!("{output:?}"))
    };
    assert_eq!(opened(Some(b"memory:")), "ON");
    assert_eq!(opened(Some(b"off")), "OFF");
    assert_eq!(opened(Some(b"")), "OFF");
    let unset = opened(None);
    assert!(unset.starts_with("ERROR") && unset.contains("AUDIT_URL is not set") && unset.contains("`off`"), "{unset}");
    let no_text = opened(Some(b"sqlite:/srv/donn\xe9es.db"));
    assert!(no_text.starts_with("ERROR") && no_text.contains("AUDIT_URL is not UTF-8"), "{no_text}");
}

/// Only the type is of interest here: what `main` returns is printed by its `Debug`.
#[test]
fn an_error_can_be_returned_by_main() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<OpenError>();
}

/// Once, after a hundred of them: events that do not say who or from where, and events that all come from one proxy.
#[tokio::test(start_paused = true)]
async fn events_that_name_nobody_are_noticed() {
    for (named, with_addr, proxied, expected) in
        [(49, 250, 100, [1, 0, 1]), (50, 250, 99, [0, 0, 0]), (250, 49, 0, [0, 1, 0]), (250, 50, 0, [0, 0, 0])]
    {
        let log = AuditLog::open("memory:").await.expect("it opens");
        let (said, _guard) = Said::listen();
        let service = AuditLayer::new(&log, presets::ivre()).layer(answering(http::StatusCode::OK));
        for n in 0..250 {
            let mut request = post("/scans");
            let peer = tower_audit::PeerAddr("10.0.0.1:80".parse().expect("an address"));
            if n < with_addr {
                request.extensions_mut().insert(peer);
            }
            if n < named {
                request.extensions_mut().insert(tower_audit::Actor::user("alice"));
            }
            if n < proxied {
                request.headers_mut().insert("x-forwarded-for", http::HeaderValue::from_static("192.0.2.1"));
            }
            service.clone().oneshot(request).await.expect("infallible");
        }
        log.close().await.expect("nothing is left");
        let lines = ["name no actor", "no client address", "trusted_proxies"].map(|what| said.of(what).len());
        assert_eq!(lines, expected, "{:?}", said.lines());
    }
}

/// A layer names its rules at the start, and says once that none has matched: after a hundred requests that may change
/// something, none of which is one that a rule matches.
#[tokio::test(start_paused = true)]
async fn a_layer_whose_rules_match_nothing_is_noticed() {
    for (policy, requests, expected) in [
        (presets::ivre(), ["/orders"; 250].to_vec(), 1),
        (presets::ivre(), ["/orders"; 99].to_vec(), 0),
        (presets::ivre(), [vec!["/scans"], vec!["/orders"; 250]].concat(), 0),
        (AuditPolicy::builder().rule(presets::auth()).build().expect("valid"), ["/orders"; 250].to_vec(), 0),
        (AuditPolicy::mutations(), ["/orders"; 250].to_vec(), 0),
    ] {
        let log = AuditLog::open("memory:").await.expect("it opens");
        let (said, _guard) = Said::listen();
        let rules = policy.rules().len();
        let service = AuditLayer::new(&log, policy).layer(answering(http::StatusCode::OK));
        for path in requests {
            let mut read = post(path);
            *read.method_mut() = http::Method::GET;
            service.clone().oneshot(read).await.expect("infallible");
            service.clone().oneshot(post(path)).await.expect("infallible");
        }
        log.close().await.expect("nothing is left");
        let start = said.of("an audit layer is in place");
        assert_eq!(start.len(), 1, "{:?}", said.lines());
        assert!(start[0].contains("memory"), "{start:?}");
        if rules == 4 {
            let names = "rules=\"upload: POST /scans /view /flows /flows/cleanup; \
                            admin_action: unsafe methods /auth/admin/{*rest}, started first; auth: if declared\"";
            assert!(start[0].contains(names), "{start:?}");
        }
        assert_eq!(said.of("no rule matches").len(), expected, "{:?}", said.lines());
    }
}

/// A long read keeps SQLite from starting its log over: said once each time that the log grows large.
#[tokio::test]
async fn a_large_write_ahead_log_is_said_once() {
    let directory = tempfile::tempdir().expect("there is room for a temporary directory");
    let (said, _guard) = Said::listen();
    let path = directory.path().join("audit.db");
    let log = AuditLog::open(&format!("sqlite:{}", path.display())).await.expect("it opens");
    log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("it is written");
    let file = std::fs::File::options().write(true).open(directory.path().join("audit.db-wal")).expect("it is there");
    for megabytes in [300, 300, 1, 300] {
        // Without a byte on the disk: what is behind the last frame counts for nothing.
        file.set_len(megabytes * 1_000_000).expect("the file system has sparse files");
        log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("it is written");
    }
    log.close().await.expect("nothing is left");
    let lines = said.of("has grown large");
    assert_eq!(lines.len(), 2, "{:?}", said.lines());
    assert!(lines[0].contains("WARN") && lines[0].contains("bytes=300000000"), "{lines:?}");
}
