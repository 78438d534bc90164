//! Helpers that the tests share: events of several users, an app over them, and a spy store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_audit::api::{AuditApi, Caller, Gate, GateFuture};
use tower_audit::query::{Buckets, Field, Filter, PageQuery, ValueCount};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, MemoryStore, Parts, Reader, StoreError, StoreErrorKind, StoreFuture,
    StoredPage,
};
use tower_audit::{Actor, AuditEvent, EventId, EventType};

pub(crate) const ALICE: &str = "alice@example.org";
pub(crate) const BOB: &str = "bob@example.org";
pub(crate) const ROOT: &str = "root@example.org";

/// A gate that believes the header `x-caller`, and misbehaves on demand.
pub(crate) struct TestGate;

impl Gate for TestGate {
    fn caller<'a>(&'a self, head: &'a http::request::Parts) -> GateFuture<'a> {
        let named = head.headers.get("x-caller").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        if named.as_deref() == Some("panics at once") {
            panic!("a gate that is broken");
        }
        Box::pin(async move {
            match named.as_deref() {
                None => Ok(None),
                Some("nameless") => Ok(Some(Caller::user(""))),
                Some("nameless admin") => Ok(Some(Caller::admin(""))),
                Some("fails") => Err("the user database says: secret-cause".into()),
                Some("panics") => panic!("a gate that is broken"),
                Some("hangs") => std::future::pending().await,
                Some(ROOT) => Ok(Some(Caller::admin(ROOT))),
                Some(name) => Ok(Some(Caller::user(name))),
            }
        })
    }
}

/// An event of this user, the `n`th in time.
pub(crate) fn event(n: u64, user: Option<&str>, route: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.event_id = EventId::from_u128(u128::from(n));
    event.created_at = format!("2026-05-25T12:{:02}:{:02}Z", n / 60 % 60, n % 60).parse().expect("a time");
    event.actor = user.map_or_else(Actor::default, Actor::user);
    event.resource.route = Some(route.into());
    event.outcome = Some(200);
    event
}

/// Event 1 is Alice's, 2 is Bob's, 3 is nobody's; and again.
pub(crate) fn events(count: u64) -> Vec<AuditEvent> {
    (1..=count)
        .map(|n| event(n, [Some(ALICE), Some(BOB), None][usize::try_from((n - 1) % 3).expect("small")], "/scans"))
        .collect()
}

/// Each kind of store that tests run on, and what keeps its files.
pub(crate) async fn stores() -> Vec<(Arc<dyn AuditStore>, Option<tempfile::TempDir>)> {
    let mut stores: Vec<(Arc<dyn AuditStore>, _)> = vec![(Arc::new(MemoryStore::new()), None)];
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("audit.db").display());
        let store = tower_audit::store::open(&url, tower_audit::store::OpenOptions::default()).await;
        stores.push((store.expect("the store opens"), Some(folder)));
    }
    #[cfg(all(feature = "jsonl", unix))]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("jsonl:{}", folder.path().join("audit.jsonl").display());
        let store = tower_audit::store::open(&url, tower_audit::store::OpenOptions::default()).await;
        stores.push((store.expect("the store opens"), Some(folder)));
    }
    #[cfg(all(feature = "duckdb", unix))]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let url = crate::duckdb_library::url(&folder.path().join("audit.duckdb"));
        let store = tower_audit::store::open(&url, tower_audit::store::OpenOptions::default()).await;
        stores.push((store.expect("the store opens"), Some(folder)));
    }
    #[cfg(feature = "postgres")]
    {
        use crate::postgres_server::{Cluster, unique};
        let url = format!("{}?schema={}", Cluster::shared().url("postgres"), unique("log"));
        let store = tower_audit::store::open(&url, tower_audit::store::OpenOptions::default()).await;
        stores.push((store.expect("the store opens"), None));
    }
    #[cfg(feature = "mysql")]
    {
        use crate::mariadb_server::{Server, unique};
        let url = format!("{}?table={}", Server::shared().url_as("root", "audit"), unique("log"));
        let store = tower_audit::store::open(&url, tower_audit::store::OpenOptions::default()).await;
        stores.push((store.expect("the store opens"), None));
    }
    #[cfg(feature = "mongodb")]
    {
        let url = crate::mongodb_server::MongodbServer::shared().new_url();
        let store = tower_audit::store::open(&url, tower_audit::store::OpenOptions::default()).await;
        stores.push((store.expect("the store opens"), None));
    }
    stores
}

/// A store in memory with these events, watched.
pub(crate) async fn spy(events: &[AuditEvent]) -> Spy {
    let store = MemoryStore::new();
    store.append(events).await.expect("memory takes everything");
    Spy::around(Arc::new(store))
}

pub(crate) fn app(store: impl AuditStore) -> Router {
    AuditApi::from_store(Arc::new(store), TestGate).router("/audit")
}

pub(crate) fn app_over(store: Arc<dyn AuditStore>) -> Router {
    AuditApi::from_store(store, TestGate).router("/audit")
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn events(&self) -> Vec<AuditEvent> {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("visible ASCII"))
    }

    /// It is a problem document of this status that says only what problem documents say.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let document = self.json();
        assert_eq!(document["status"], status);
        let keys: Vec<_> = document.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["detail", "status", "title", "type"]);
        self.assert_guarded();
    }

    #[track_caller]
    pub(crate) fn assert_guarded(&self) {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
    }
}

/// Returns the app's answer to this caller.
pub(crate) async fn ask(app: &Router, caller: &str, uri: &str) -> Answer {
    ask_by(app, Method::GET, caller, uri).await
}

pub(crate) async fn ask_by(app: &Router, method: Method, caller: &str, uri: &str) -> Answer {
    let response = respond(app, method, caller, uri).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the body ends well").to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// The response, its body not yet read. A caller without a name is anonymous.
pub(crate) async fn respond(app: &Router, method: Method, caller: &str, uri: &str) -> http::Response<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    if !caller.is_empty() {
        request = request.header("x-caller", caller);
    }
    let request = request.body(Body::empty()).unwrap_or_else(|error| panic!("{uri}: {error}"));
    app.clone().oneshot(request).await.expect("a router does not fail")
}

/// A store whose reads are written down, and fail on demand.
#[derive(Debug, Clone)]
pub(crate) struct Spy {
    inner: Arc<dyn AuditStore>,
    reads: Arc<Mutex<Vec<String>>>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    reads_before_trouble: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    Fails(StoreErrorKind),
    Hangs,
    Panics,
}

impl Spy {
    pub(crate) fn around(inner: Arc<dyn AuditStore>) -> Self {
        Self { inner, reads: Arc::default(), trouble: Arc::default(), reads_before_trouble: Arc::default() }
    }

    /// After as many reads more.
    pub(crate) fn trouble_after(&self, reads: usize, trouble: Trouble) {
        self.reads_before_trouble.store(reads, Ordering::SeqCst);
        *self.trouble.lock().expect("no test panics under the lock") = Some(trouble);
    }

    /// Returns the reads since the last call.
    pub(crate) fn reads(&self) -> Vec<String> {
        std::mem::take(&mut *self.reads.lock().expect("no test panics under the lock"))
    }

    fn read<'a, T: Send + 'a>(&'a self, what: String, inner: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        self.reads.lock().expect("no test panics under the lock").push(what);
        let trouble = *self.trouble.lock().expect("no test panics under the lock");
        let Some(trouble) = trouble else { return inner };
        let left = self.reads_before_trouble.load(Ordering::SeqCst);
        self.reads_before_trouble.store(left.saturating_sub(1), Ordering::SeqCst);
        if left > 0 {
            return inner;
        }
        Box::pin(async move {
            match trouble {
                Trouble::Fails(kind) => Err(StoreError::new(kind, "secret-store", "secret-operation")
                    .with_hint("secret-remedy")
                    .with_source("secret-cause")),
                Trouble::Hangs => std::future::pending().await,
                Trouble::Panics => panic!("secret-panic"),
            }
        })
    }

    fn reader_inside(&self) -> &dyn Reader {
        self.inner.parts().reader.expect("a store that can be read")
    }
}

#[deny(clippy::missing_trait_methods)]
impl AuditStore for Spy {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        self.inner.append(events)
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.inner.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.inner.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.inner.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.inner.close()
    }

    fn parts(&self) -> Parts<'_> {
        Parts { reader: Some(self), ..Parts::NONE }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Reader for Spy {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        self.read(format!("query of {:?}", query.filter.user_email), self.reader_inside().query(query))
    }

    /// The store in memory keeps no JSON, so that a `query` follows, which is written down.
    fn query_stored<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Option<StoredPage>> {
        self.reader_inside().query_stored(query)
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        self.read(format!("count of {:?}", filter.user_email), self.reader_inside().count(filter))
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        self.read(
            format!("top_values of {:?}", filter.user_email),
            self.reader_inside().top_values(filter, by, at_most),
        )
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        self.read(format!("histogram of {:?}", filter.user_email), self.reader_inside().histogram(filter, buckets))
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        self.read("get".into(), self.reader_inside().get(id))
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        self.read(format!("get of {:?}", [user_email]), self.reader_inside().get_of(id, user_email))
    }

    /// As a store that has no index of request targets.
    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        if filter.uri.is_empty() { Vec::new() } else { vec!["uri"] }
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        // No read of an event, so that it is not written down.
        let trouble = *self.trouble.lock().expect("no test panics under the lock");
        let Some(Trouble::Fails(kind)) = trouble else { return self.reader_inside().check_access() };
        Box::pin(async move { Err(StoreError::new(kind, "secret-store", "secret-operation")) })
    }
}
