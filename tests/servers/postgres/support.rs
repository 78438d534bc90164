//! Helpers of these tests.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{self, AuditStore, OpenOptions, StoreError};
use tower_audit::{Actor, AuditEvent, EventType, Phase, Timestamp};

pub(crate) async fn open(url: &str) -> Arc<dyn AuditStore> {
    ok(store::open(url, OpenOptions::default()).await)
}

/// The error of opening a store.
pub(crate) async fn refusal(url: &str) -> StoreError {
    match store::open(url, OpenOptions::default()).await {
        Ok(_) => panic!("the store is opened"),
        Err(error) => error,
    }
}

pub(crate) async fn open_with_timeout(url: &str, timeout: Duration) -> Arc<dyn AuditStore> {
    let mut options = OpenOptions::default();
    options.timeout = timeout;
    ok(store::open(url, options).await)
}

pub(crate) async fn open_to_read(url: &str) -> Result<Arc<dyn AuditStore>, StoreError> {
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    store::open(url, options).await
}

/// The success, or a panic with the cause.
pub(crate) fn ok<T>(result: Result<T, StoreError>) -> T {
    match result {
        Ok(done) => done,
        Err(error) => panic!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default()),
    }
}

pub(crate) fn event(n: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user(format!("user{n}@example.org"));
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.resource.route = Some("/scans/{id}".into());
    event.outcome = Some(200);
    event.details.insert("n".into(), n.into());
    event
}

pub(crate) fn started(n: u64) -> AuditEvent {
    of_phase(Phase::Started, event(n))
}

pub(crate) fn end_of(started: &AuditEvent) -> AuditEvent {
    let mut event = event(0);
    event.request.started_event_id = Some(started.event_id);
    event
}

/// The event that ends an orphan.
pub(crate) fn unknown(started: &AuditEvent) -> AuditEvent {
    of_phase(Phase::Unknown, end_of(started))
}

fn of_phase(phase: Phase, mut event: AuditEvent) -> AuditEvent {
    event.phase = phase;
    event.outcome = None;
    event
}

pub(crate) async fn close_orphans(store: &dyn AuditStore) -> u64 {
    ok(store.parts().recovery.expect("the store finds orphans").recover(&unknown).await)
}

/// Every event, the newest first.
pub(crate) async fn all(store: &dyn AuditStore) -> Vec<AuditEvent> {
    let reader = store.parts().reader.expect("the store is read");
    ok(reader.query(&PageQuery::new(Filter::default(), 1_000_000)).await)
}

/// Appends until it works, as the worker of a log does.
pub(crate) async fn append_at_last(store: &dyn AuditStore, events: &[AuditEvent]) {
    crate::cluster::eventually("an append succeeds", async || match store.append(events).await {
        Ok(()) => true,
        Err(error) if error.is_transient() => false,
        Err(error) => panic!("{error}"),
    })
    .await;
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}
