//! Google's own client for gRPC, in Python (`grpc_client.py`), understands the same answers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{AuditLayer, AuditLog, AuditPolicy, EventType, Phase, Rule};

use crate::layer::grpc_service::{Vault, serve};
use crate::layer::support::{memory_log, of_phase};

fn policy(is_ahead: bool) -> AuditPolicy {
    let rule = Rule::new(EventType::new("vault.used").expect("a valid type")).paths(["/bank.Vault/{method}"]);
    AuditPolicy::builder().rule(rule.write_ahead(is_ahead)).build().expect("a valid policy")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_as_their_events_say() {
    for (method, asked, code, outcome, messages) in [
        ("Open", "", 0, 200, 1),
        ("Open", "denied", 7, 403, 0),
        ("Watch", "", 0, 200, 2),
        ("Watch", "denied", 7, 403, 2),
        ("Watch", "slow internal", 13, 500, 2),
    ] {
        let (log, store) = memory_log().await;
        let vault = Vault::new();
        vault.gate.add_permits(1);
        let address = serve(vault, AuditLayer::new(&log, policy(false))).await;
        let said = call(&[&address.to_string(), method, asked]);
        assert_eq!(said["code"], code, "{said}");
        assert_eq!(said["messages"].as_array().map(Vec::len), Some(messages), "{said}");
        let completed = of_phase(&store, Phase::Completed);
        assert_eq!(completed.len(), 1);
        assert_eq!((completed[0].outcome, &completed[0].details["grpc_status"]), (Some(outcome), &code.into()));
    }
}

/// A client that tries again by itself does so if nothing was done, and not if something may have been.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_tried_again_only_if_that_is_safe() {
    for (is_ahead, code, attempts) in [(true, 14, 2), (false, 2, 1)] {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
        let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("the store is well for now");
        faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
        let address = serve(Vault::new(), AuditLayer::new(&log, policy(is_ahead))).await;
        let before = faulty.appends();
        let said = call(&[&address.to_string(), "Open", "", "retry"]);
        assert_eq!(said["code"], code, "{said}");
        assert_eq!(said["trailing"]["audit-event-id"].as_str().map(str::len), Some(32), "{said}");
        assert_eq!(faulty.appends() - before, attempts, "{said}");
    }
}

/// Runs the client for one call and returns its report.
fn call(words: &[&str]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/layer/grpc_client.py");
    let done = tokio::task::block_in_place(|| {
        Command::new(python()).arg(script).args(words).stderr(Stdio::inherit()).output().expect("Python starts")
    });
    assert!(done.status.success(), "the client failed at {words:?}");
    serde_json::from_slice(&done.stdout).expect("JSON")
}

/// A Python that has grpcio, made once for each target folder.
fn python() -> PathBuf {
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _made = MADE.lock();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grpcio");
    let python = folder.join("bin/python");
    let has_it = || {
        let asked = Command::new(&python).args(["-c", "import grpc"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if has_it() {
        return python;
    }
    let run = |program: &Path, words: &[&str]| {
        let done = Command::new(program).args(words).output();
        let done = done.unwrap_or_else(|error| panic!("grpcio cannot be tried: {}: {error}", program.display()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "grpcio cannot be tried: {} {words:?}: {said}", program.display());
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", folder.to_str().expect("a path in UTF-8")]);
    run(&python, &["-m", "pip", "install", "-q", "--disable-pip-version-check", "grpcio>=1.60"]);
    assert!(has_it(), "grpcio was installed and is not there");
    python
}
