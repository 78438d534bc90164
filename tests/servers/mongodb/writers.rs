//! Writers that live are left alone, whatever the server does; those that died are closed, once.

use std::time::{Duration, Instant};

use tower_audit::Phase;

use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, append_at_last, close_orphans, end_of, ok, open, started};

/// The time for which a writer must be silent.
const GRACE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_dropped_is_dead_after_the_grace() {
    let url = MongodbServer::shared().new_url();
    let (store, other) = (open(&url).await, open(&url).await);
    let orphan = started(1);
    ok(store.append(std::slice::from_ref(&orphan)).await);
    assert_eq!(close_orphans(&*other).await, 0, "it lives");
    drop(store);
    let begin = Instant::now();
    assert_eq!(close_orphans(&*other).await, 1);
    assert!(begin.elapsed() >= GRACE - Duration::from_millis(300), "{:?}", begin.elapsed());
    let shown = all(&*other).await;
    let end = shown.iter().find(|event| event.phase == Phase::Unknown).expect("it was closed");
    assert_eq!(end.request.started_event_id, Some(orphan.event_id));
    assert_eq!(shown.len(), 2);
}

/// The server answers nobody, so that the writer cannot count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_buries_nobody() {
    let server = MongodbServer::start(&[]);
    let url = server.new_url();
    let (store, other) = (open(&url).await, open(&url).await);
    let open_one = started(1);
    ok(store.append(std::slice::from_ref(&open_one)).await);
    let looking = tokio::spawn(async move { (close_orphans(&*other).await, other) });
    server.hang();
    // The silence of the server has a length, and no event ends it: its process does not know our paused time.
    tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    server.wake();
    let (closed, other) = looking.await.expect("it looks");
    assert_eq!(closed, 0, "the writer lives");
    ok(store.append(&[end_of(&open_one)]).await);
    assert_eq!(close_orphans(&*other).await, 0);
    assert_eq!(all(&*other).await.len(), 2);
}

/// As after a long pause of the process: it finds itself marked as dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_taken_for_dead_registers_again_and_keeps_what_is_open() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    let (store, other) = (open(&url).await, open(&url).await);
    let running = started(1);
    ok(store.append(std::slice::from_ref(&running)).await);
    server.shell(&url, "db.audit_events_writers.update_many({'is_dead': False}, {'$set': {'is_dead': True}})");
    let next = started(2);
    append_at_last(&*store, std::slice::from_ref(&next)).await;
    assert_eq!(close_orphans(&*other).await, 0, "it lives under another id, and so do its requests");
    ok(store.append(&[end_of(&running), end_of(&next)]).await);
    assert_eq!(close_orphans(&*other).await, 0);
    assert_eq!(all(&*other).await.len(), 4);
    let left = server.shell(&url, "out(db.audit_events_started.count_documents({}))");
    assert_eq!(left, "0");
}

/// A crash between the steps of an append, and of a recovery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_a_crash_has_left_out_are_made_up() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    let store = open(&url).await;
    let (ended, orphan, lost) = (started(1), started(2), started(3));
    ok(store.append(&[ended.clone(), orphan.clone(), lost.clone()]).await);
    // The first has ended, and the list does not say so; the last is in the list and was never stored.
    let kept = server.shell(
        &url,
        &format!("out(db.audit_events_started.find_one({{'_id': '{}'}}, {{'writer': 0}}))", ended.event_id),
    );
    ok(store.append(&[end_of(&ended)]).await);
    server.shell(
        &url,
        &format!(
            "writer = db.audit_events_writers.find_one({{'is_dead': False}})['_id']\n\
             db.audit_events_started.insert_one({{**json.loads('''{}'''), 'writer': writer}})\n\
             db.audit_events.delete_one({{'event_id': '{}'}})",
            kept.replace('\\', "\\\\"),
            lost.event_id
        ),
    );
    ok(store.close().await);
    let other = open(&url).await;
    assert_eq!(close_orphans(&*other).await, 1);
    let shown = all(&*other).await;
    let unknown: Vec<_> = shown.iter().filter(|event| event.phase == Phase::Unknown).collect();
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].request.started_event_id, Some(orphan.event_id));
    let left = server.shell(&url, "out([document['_id'] for document in db.audit_events_started.find()])");
    assert_eq!(left, format!("[\"{}\"]", lost.event_id), "one that may still be stored is forgotten after a day");
}

/// Two recoveries at the same moment, and one that dies half way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_is_closed_by_the_event_that_was_kept_first() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    let store = open(&url).await;
    let orphan = started(1);
    ok(store.append(std::slice::from_ref(&orphan)).await);
    ok(store.close().await);
    let mut kept = end_of(&orphan);
    kept.phase = Phase::Unknown;
    let text = serde_json::to_string(&kept).expect("JSON").replace('\\', "\\\\");
    server.shell(&url, &format!("db.audit_events_started.update_one({{}}, {{'$set': {{'closing': '''{text}'''}}}})"));
    let (one, other) = (open(&url).await, open(&url).await);
    let closed = tokio::join!(close_orphans(&*one), close_orphans(&*other));
    assert_eq!(closed.0 + closed.1, 1);
    assert_eq!(all(&*one).await, [kept, orphan]);
}
