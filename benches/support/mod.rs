//! Parts for the benches: a store without cost, services without work, requests as a browser sends them.
#![allow(dead_code, reason = "no bench uses all of it")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use tower::Service;
use tower_audit::policy::presets;
use tower_audit::store::{AuditStore, Capabilities, Diagnostic, StoreFuture};
use tower_audit::{Actor, AuditEvent, AuditLog, AuditPolicy, EventType, FailMode, PeerAddr};

/// Acknowledges everything at once and stores nothing: measurements over it show layer and writer alone.
#[derive(Debug)]
pub(crate) struct Acknowledging;

impl AuditStore for Acknowledging {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("acknowledging")
    }

    fn append<'a>(&'a self, _events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

/// A log over that store.
pub(crate) async fn log() -> AuditLog {
    AuditLog::builder().store(Acknowledging).open().await.expect("a store that accepts everything")
}

/// A log that builds an event and refuses it, and a policy that lets it go: what is left is the building.
pub(crate) async fn closed_log() -> AuditLog {
    let log = log().await;
    log.close().await.expect("nothing is open");
    log
}

/// The preset rule for uploads, which lets go of what cannot be written.
pub(crate) fn letting_go() -> AuditPolicy {
    AuditPolicy::builder().rule(presets::ivre::upload().fail_mode(FailMode::Open)).build().expect("a valid policy")
}

/// A rule for a path with a parameter, which is the target of its events or is not.
pub(crate) fn with_parameter(is_target: bool) -> AuditPolicy {
    let rule = presets::ivre::upload().paths(["/orders/{id}"]).fail_mode(FailMode::Open);
    let rule = if is_target { rule.target("order", "{id}") } else { rule.without_target() };
    AuditPolicy::builder().rule(rule).build().expect("a valid policy")
}

/// The presets, with the rule that looks at the responses of queries.
pub(crate) fn with_limit() -> AuditPolicy {
    AuditPolicy::builder().preset_ivre().max_results(1000).build().expect("a valid policy")
}

/// So many rules, each for a route of its own and two methods.
pub(crate) fn with_rules(rules: usize) -> AuditPolicy {
    let rule = |n: usize| presets::ivre::upload().methods(["POST", "PUT"]).paths([format!("/area/part-{n}/{{id}}")]);
    AuditPolicy::builder().rules((0..rules).map(rule)).build().expect("a valid policy")
}

pub(crate) type Answer = Response<Full<Bytes>>;

/// The inner service: it answers at once.
pub(crate) async fn answer<B>(_request: Request<B>) -> Result<Answer, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"done\n"))))
}

pub(crate) fn bare<B>()
-> impl Service<Request<B>, Response = Answer, Error = Infallible, Future = Ready<Result<Answer, Infallible>>> + Clone {
    tower::service_fn(|_request| ready(Ok(Response::new(Full::new(Bytes::from_static(b"done\n"))))))
}

/// A request as a server hands it on: its headers are slices of a buffer that is shared already.
pub(crate) fn request<B>(method: Method, uri: &'static str, body: B) -> Request<B> {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", HeaderValue::from_static("app.example.org"))
        .header("authorization", HeaderValue::from_static("Bearer alice-token"))
        .header("user-agent", HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"))
        .header("x-request-id", HeaderValue::from_static("3f2c9a8e51d04b7c"))
        .body(body)
        .expect("a valid request");
    request.extensions_mut().insert(PeerAddr(SocketAddr::from(([192, 0, 2, 7], 49152))));
    request.extensions_mut().insert(Actor::user("alice@example.org"));
    request
}

pub(crate) fn get() -> Request<()> {
    request(Method::GET, "/health", ())
}

pub(crate) fn post() -> Request<()> {
    request(Method::POST, "/scans", ())
}

/// An event as the layer makes them.
pub(crate) fn event() -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user("alice@example.org");
    event.actor.api_key_hash = Some("2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683".into());
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.resource.route = Some("/scans".into());
    event.resource.method = Some("POST".into());
    event.outcome = Some(200);
    event.request.request_id = Some("3f2c9a8e51d04b7c".into());
    event.request.request_uri = Some("/scans".into());
    event.request.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101".into());
    event.request.duration_us = Some(1234);
    event
}

/// Calls a service that answers at once, without a runtime.
pub(crate) fn call_now<S, B>(service: &mut S, request: Request<B>) -> S::Response
where
    S: Service<Request<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(request)).as_mut().poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("the service answers at once"),
    }
}

pub(crate) fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
