//! The head of a request that is audited.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_audit::policy::{ProxyHeader, QueryString};
use tower_audit::store::{AuditStore as _, MemoryStore};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, PeerAddr, Phase, Rule};

use super::choices::Choices;

const SECRET: &str = "S3cr3t-0f-Al1ce";
const HEADERS: [&str; 6] =
    ["x-forwarded-for", "forwarded", "user-agent", "x-request-id", "traceparent", "authorization"];
const STRANGER: &str = "203.0.113.9";
const PROXY: &str = "10.0.0.1";

/// A request is answered and has one event, which fits, comes back from JSON as it is, has none of the credentials that
/// were sent, and believes nobody but a proxy that is trusted.
pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: Server = Server::new();
    }
    let mut choices = Choices(data);
    let header = *choices.pick(&[ProxyHeader::XForwardedFor, ProxyHeader::Forwarded]);
    let peer = *choices.pick(&[PROXY, STRANGER]);
    let Ok(method) = Method::from_bytes(choices.line()) else { return };
    let uri = choices.text();
    let with_secret = format!("{uri}{}to%6ben={SECRET}", if uri.contains('?') { "&" } else { "?" });
    let Ok(mut request) = Request::builder().method(method).uri(with_secret).body(()) else { return };
    request.extensions_mut().insert(PeerAddr(format!("{peer}:4711").parse().expect("an address")));
    while !choices.0.is_empty() {
        let name = *choices.pick(&HEADERS);
        if let Ok(value) = HeaderValue::from_bytes(choices.line()) {
            request.headers_mut().append(name, value);
        }
    }
    let is_sent_openly = format!("{request:?}").replace(&format!("to%6ben={SECRET}"), "").contains(SECRET);
    request.headers_mut().insert("x-api-key", HeaderValue::from_static(SECRET));
    let given_id = request.headers().get("x-request-id").cloned();

    let event = SERVER.with(|server| server.event_of(request, header));
    assert_eq!(event.phase, Phase::Completed);
    assert_eq!(event.outcome, Some(200));
    let mut fitting = event.clone();
    fitting.truncate_to_limits();
    assert_eq!(fitting, event);
    let json = serde_json::to_string(&event).expect("an event is JSON");
    assert_eq!(serde_json::from_str::<AuditEvent>(&json).expect("an event"), event);
    assert!(is_sent_openly || !json.contains(SECRET), "{json}");

    let addr = event.actor.remote_addr.expect("the peer is known");
    assert!(addr.parse::<IpAddr>().is_ok() && (peer == PROXY || addr == STRANGER), "{addr}");
    let id = event.request.request_id.expect("every request has one");
    let is_clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    assert!((1..=128).contains(&id.len()) && id.bytes().all(is_clean), "{id}");
    if let Some(given) = given_id.filter(|given| given.len() <= 128 && given.as_bytes().iter().all(|b| is_clean(*b))) {
        assert!(given.is_empty() || given == *id, "{id} for {given:?}");
    }
}

struct Server {
    runtime: Runtime,
    store: MemoryStore,
    log: AuditLog,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let store = MemoryStore::new();
        let log = runtime.block_on(AuditLog::builder().store(Arc::new(store.clone())).open()).expect("a log");
        Self { runtime, store, log }
    }

    /// Returns the events of this request.
    fn event_of(&self, request: Request<()>, header: ProxyHeader) -> AuditEvent {
        let own = |name| Rule::new(EventType::new(name).expect("a type"));
        let policy = AuditPolicy::builder()
            .rule(own("own.order").paths(["/o/{id}", "/o/{id}/{*rest}"]).target("o", "{id}"))
            .rule(own("own.rest").paths(["/r/{id}/{*rest}"]).target("r", "{id}/{rest}"))
            .rule(own("own.reset").paths(["/u/{id}/reset/{token}", "/u/{id}"]))
            .rule(own("any.request").paths(["/{*path}"]))
            .trusted_proxies(["10.0.0.0/8".parse().expect("a network")], header)
            .query_string(QueryString::Redacted)
            .redact(["own"])
            .build()
            .expect("a policy");
        let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(String::new())) });
        let service = AuditLayer::new(&self.log, policy).layer(service);
        self.runtime.block_on(async {
            let response = service.oneshot(request).await.expect("it does not fail");
            assert_eq!(response.status(), StatusCode::OK);
            let events = self.store.events();
            self.store.parts().admin.expect("memory can be emptied").recreate().await.expect("memory does not fail");
            assert_eq!(events.len(), 1, "{events:?}");
            events.into_iter().next().expect("one")
        })
    }
}
