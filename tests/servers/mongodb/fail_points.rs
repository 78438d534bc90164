//! Answers that are lost, wrong or refusals: an append is acknowledged only if all of its events are in, durably.

use tower_audit::AuditEvent;
use tower_audit::store::{AuditStore, StoreErrorKind};

use super::proxy::{Fault, Proxy};
use crate::mongodb_server::{MongodbServer, unique};
use crate::postgres::support::{all, append_at_last, event, ok, open, started};

/// Makes the server fail the next commands of this name.
fn fail_next(server: &MongodbServer, command: &str, fault: &str) {
    server.shell(
        &server.url("admin"),
        &format!(
            "db.command({{'configureFailPoint': 'failCommand', 'mode': {{'times': 1}}, \
             'data': {{'failCommands': ['{command}'], {fault}}}}})"
        ),
    );
}

async fn assert_all(store: &dyn AuditStore, expected: &[AuditEvent]) {
    let mut expected = expected.to_vec();
    expected.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    assert_eq!(all(store).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_server_is_no_acknowledgement() {
    let server = MongodbServer::start(&["--enable-test-commands"]);
    let store = open(&server.new_url()).await;
    let mut stored = vec![event(0)];
    ok(store.append(&stored).await);
    for (fault, is_transient) in [
        // The primary steps down, shuts down, or has no majority behind it.
        ("'errorCode': 10107", true),
        ("'errorCode': 11600", true),
        ("'errorCode': 189", true),
        ("'errorCode': 91", true),
        ("'closeConnection': True", true),
        ("'writeConcernError': {'code': 64, 'codeName': 'WriteConcernFailed', 'errmsg': 'waiting timed out'}", true),
        ("'writeConcernError': {'code': 100, 'codeName': 'UnsatisfiableWriteConcern', 'errmsg': 'few members'}", true),
        ("'errorCode': 121", false),
        ("'errorCode': 13", false),
    ] {
        fail_next(&server, "insert", fault);
        let batch = [event(1), event(2)];
        let error = store.append(&batch).await.expect_err("the server refused it");
        assert_eq!(error.is_transient(), is_transient, "{fault}: {error}");
        let shown = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(!shown.contains("user1") && !shown.contains("127.0.0.1"), "{shown}");
        append_at_last(&*store, &batch).await;
        stored.extend(batch);
        assert_all(&*store, &stored).await;
    }
    // A repeated event is acknowledged only if the write behind it is durable.
    for fault in ["'errorCode': 10107", "'writeConcernError': {'code': 64, 'codeName': 'x', 'errmsg': 'x'}"] {
        fail_next(&server, "update", fault);
        assert!(store.append(&stored[..1]).await.expect_err("its majority is missing").is_transient());
        ok(store.append(&stored[..1]).await);
    }
    // Of a started event, the list of open ones is a part.
    let open_one = started(3);
    fail_next(&server, "update", "'errorCode': 10107");
    assert!(store.append(std::slice::from_ref(&open_one)).await.is_err());
    assert_all(&*store, &stored).await;
    append_at_last(&*store, std::slice::from_ref(&open_one)).await;
    stored.push(open_one);
    assert_all(&*store, &stored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_answer_is_lost_is_kept_once() {
    let proxy = Proxy::to(MongodbServer::shared().port()).await;
    let store = open(&proxy.url(&unique("db"))).await;
    let mut stored = Vec::new();
    for _ in 0..3 {
        let batch = [event(1), event(2), started(3)];
        proxy.spoil("insert", Fault::Lost);
        let error = store.append(&batch).await.expect_err("the answer is lost");
        assert!(error.is_transient() && proxy.has_spoiled(), "{error}");
        assert_eq!(all(&*store).await.len(), stored.len() + 3, "they were stored all the same");
        append_at_last(&*store, &batch).await;
        stored.extend(batch);
        assert_all(&*store, &stored).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_is_no_acknowledgement() {
    let proxy = Proxy::to(MongodbServer::shared().port()).await;
    let store = open(&proxy.url(&unique("db"))).await;
    let batch = [event(1), event(2)];
    proxy.spoil("insert", Fault::OneLess);
    let error = store.append(&batch).await.expect_err("one of two is in");
    assert!(error.to_string().contains("1 are in") && error.kind() == StoreErrorKind::Permanent, "{error}");
    proxy.spoil("insert", Fault::Noise);
    store.append(&batch).await.expect_err("that is no answer");
    append_at_last(&*store, &batch).await;
    assert_all(&*store, &batch).await;
    ok(store.health().await);
}
