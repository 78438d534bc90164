//! Helpers that the tests share.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower_audit::store::MemoryStore;
use tower_audit::{AuditEvent, AuditLog, Phase};

pub(crate) type Body = Full<Bytes>;

/// A log over a store in memory that the test can look into.
pub(crate) async fn memory_log() -> (AuditLog, MemoryStore) {
    let store = MemoryStore::new();
    let log = AuditLog::builder().store(Arc::new(store.clone())).open().await.expect("a store in memory opens");
    (log, store)
}

pub(crate) fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::default()).expect("a valid request")
}

pub(crate) fn post(path: &str) -> Request<Body> {
    request(Method::POST, path)
}

pub(crate) fn delete(path: &str) -> Request<Body> {
    request(Method::DELETE, path)
}

pub(crate) fn response(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).header("x-handler", "1").body(Body::from("from the handler")).expect("valid")
}

/// A handler that answers with this status.
pub(crate) fn answering(
    status: StatusCode,
) -> impl tower::Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send {
    tower::service_fn(move |_request: Request<Body>| async move { Ok(response(status)) })
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.expect("the body ends well").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The events of this phase, newest first.
pub(crate) fn of_phase(store: &MemoryStore, phase: Phase) -> Vec<AuditEvent> {
    store.events().into_iter().filter(|event| event.phase == phase).collect()
}

/// Lets every other task of a single-threaded runtime run until it waits.
pub(crate) async fn let_others_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
