//! Additions of a handler, and data of the request: nothing a client sends suppresses or bloats an event, no secrets.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Path};
use axum::{Router, routing};
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::policy::{ApiKeySource, ProxyHeader, QueryString, RequestPath};
use tower_audit::{Actor, AuditContext, AuditEvent, AuditLayer, AuditPolicy, ErrorCode, EventType, Rule};

use crate::layer::support::{Body, answering, memory_log, post, response};

async fn event_of(policy: AuditPolicy, request: Request<Body>) -> AuditEvent {
    let (log, store) = memory_log().await;
    let service = AuditLayer::new(&log, policy).layer(answering(StatusCode::OK));
    service.oneshot(request).await.expect("infallible");
    let events = store.events();
    assert_eq!(events.len(), 1);
    events[0].clone()
}

fn with_header(mut request: Request<Body>, name: &'static str, value: &[u8]) -> Request<Body> {
    request.headers_mut().append(name, HeaderValue::from_bytes(value).expect("a valid value"));
    request
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_axum_fills_in_its_event() {
    let (log, store) = memory_log().await;
    async fn put(audit: AuditContext, Path(id): Path<u32>) -> StatusCode {
        audit.actor(Actor::user("alice")).detail("id", id).classify("security.user", "update");
        audit.error(ErrorCode::BAD_SESSION);
        StatusCode::CONFLICT
    }
    let app: Router = Router::new()
        .nest("/auth/admin", Router::new().route("/users/{id}", routing::put(put)))
        .layer(AuditLayer::new(&log, AuditPolicy::builder().preset_ivre().build().expect("valid")));
    let mut request = Request::put("/auth/admin/users/7").body(axum::body::Body::empty()).expect("valid");
    let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    app.clone().oneshot(request).await.expect("infallible");
    let events = store.events();
    assert_eq!(events.len(), 2);
    let event = &events[0];
    assert_eq!(event.resource.route.as_deref(), Some("/auth/admin/users/{id}"));
    assert_eq!(event.actor.user_email.as_deref(), Some("alice"));
    assert_eq!(event.actor.remote_addr.as_deref(), Some("192.0.2.7"));
    assert_eq!(event.details["id"], 7);
    assert_eq!(event.classification.error, Some(ErrorCode::BAD_SESSION));
    assert_eq!(event.request.request_uri.as_deref(), Some("/auth/admin/users/7"));
    // No route matched: no template, never the raw path.
    let request = Request::delete("/auth/admin/no/such/route").body(axum::body::Body::empty()).expect("valid");
    app.oneshot(request).await.expect("infallible");
    assert_eq!(store.events()[0].resource.route, None);
    assert_eq!(store.events()[0].outcome, Some(404));
}

#[tokio::test(start_paused = true)]
async fn a_handler_declares_an_event_on_any_route() {
    let (log, store) = memory_log().await;
    async fn login(audit: AuditContext) -> StatusCode {
        audit.event_type(EventType::AUTH).actor(Actor::user("mallory"));
        StatusCode::UNAUTHORIZED
    }
    let app: Router = Router::new().route("/login", routing::post(login)).layer(AuditLayer::new(&log, presets::ivre()));
    let mut request = Request::post("/login").body(axum::body::Body::empty()).expect("valid");
    request.headers_mut().insert("user-agent", HeaderValue::from_static("probe"));
    app.oneshot(request).await.expect("infallible");
    let events = store.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_type, EventType::AUTH);
    assert_eq!(events[0].classification.error, Some(ErrorCode::UNAUTHENTICATED));
    assert_eq!(events[0].request.user_agent.as_deref(), Some("probe"));
    assert_eq!(events[0].resource.route.as_deref(), Some("/login"));
}

#[tokio::test(start_paused = true)]
async fn an_outer_layer_names_the_actor() {
    let mut request = post("/scans");
    request.extensions_mut().insert(std::sync::Arc::new(Actor::user("shared")));
    let event = event_of(presets::ivre(), request).await;
    assert_eq!(event.actor.user_email.as_deref(), Some("shared"));
    let mut request = post("/scans");
    request.extensions_mut().insert(Actor::user("bob"));
    let request = with_header(request, "authorization", b"Bearer key");
    let event = event_of(presets::ivre(), request).await;
    assert_eq!(event.actor.user_email.as_deref(), Some("bob"));
    assert_eq!(
        event.actor.api_key_hash.as_deref(),
        Some("2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683")
    );
    assert!(!serde_json::to_string(&event).expect("serialises").contains("Bearer"));
}

#[tokio::test(start_paused = true)]
async fn proxies_are_believed_only_when_named() {
    let request = || {
        let mut request = with_header(post("/scans"), "x-forwarded-for", b"198.51.100.9");
        request.extensions_mut().insert(tower_audit::PeerAddr("10.0.0.1:80".parse().expect("an address")));
        request
    };
    let event = event_of(presets::ivre(), request()).await;
    assert_eq!(event.actor.remote_addr.as_deref(), Some("10.0.0.1"));
    assert_eq!(event.request.forwarded.as_deref(), Some("198.51.100.9"));
    let policy = AuditPolicy::builder()
        .preset_ivre()
        .trusted_proxies(["10.0.0.0/8".parse().expect("a network")], ProxyHeader::XForwardedFor)
        .build()
        .expect("valid");
    assert_eq!(event_of(policy, request()).await.actor.remote_addr.as_deref(), Some("198.51.100.9"));
}

#[tokio::test(start_paused = true)]
async fn query_strings_are_off_and_redacted_when_on() {
    let event = event_of(presets::ivre(), post("/scans?token=abc&page=2")).await;
    assert_eq!(event.request.request_uri.as_deref(), Some("/scans"));
    let policy = AuditPolicy::builder()
        .preset_ivre()
        .query_string(QueryString::Redacted)
        .redact(["page"])
        .build()
        .expect("valid");
    let event = event_of(policy, post("/scans?%74oken=abc&page=2&n=1")).await;
    assert_eq!(event.request.request_uri.as_deref(), Some("/scans?%74oken=***&page=***&n=1"));
}

/// A policy that records everything.
fn everything() -> tower_audit::policy::PolicyBuilder {
    AuditPolicy::builder().rule(Rule::new("any.request".parse().expect("a type")).paths(["/{*path}"]))
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_a_path_is_hidden_where_a_router_names_it() {
    for (path, redacted, template) in [
        ("/reset/S3cr3t", Some("/reset/***"), Some("/reset/***")),
        ("/api/v1/invite/S3cr3t/", None, None),
        ("/api/v1/invite/S3cr3t", Some("/api/v1/invite/***"), Some("/api/v1/invite/***")),
        ("/users/7/tokens/8?a=1", Some("/users/7/tokens/8"), Some("/users/***/tokens/***")),
    ] {
        for (part, expected) in [
            (RequestPath::Redacted, redacted),
            (RequestPath::Template, template),
            (RequestPath::AsSent, Some(path.split('?').next().expect("a path"))),
        ] {
            let (log, store) = memory_log().await;
            let answer = || routing::post(|| async { "done" });
            let nested = Router::new().route("/invite/{code}", answer());
            let app: Router = Router::new()
                .route("/reset/{token}", answer())
                .route("/users/{id}/tokens/{token_id}", answer())
                .nest("/api/v1", nested)
                .layer(AuditLayer::new(&log, everything().request_path(part).build().expect("valid")));
            let request = Request::post(path).body(axum::body::Body::empty()).expect("valid");
            app.oneshot(request).await.expect("infallible");
            let uri = store.events()[0].request.request_uri.clone();
            // A path that matches no route has no parameters.
            let expected = expected.or((part == RequestPath::Redacted).then_some(path));
            assert_eq!(uri.as_deref(), expected, "{part:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_a_path_is_hidden_where_a_rule_or_the_app_names_it() {
    let rule = || presets::ivre::upload().paths(["/{*all}", "/reset/{token}", "/files/{*secret}", "/clinic/{patient}"]);
    let policy = || AuditPolicy::builder().rule(rule()).base_path("/cgi").redact(["Patient"]).build().expect("valid");
    for (path, expected) in [
        ("/reset/S3cr3t", "/reset/***"),
        ("/cgi/reset/S3cr3t", "/cgi/reset/***"),
        ("/files/S3cr3t/S3cr3t", "/files/***"),
        ("/clinic/S3cr3t", "/clinic/***"),
        ("//%72eset//S3cr3t", "//%72eset//***"),
        // The rule sees through it, and where the parameter stands in it is not certain.
        ("/x/../reset/S3cr3t", "/reset/{token}"),
        ("/reset%2fS3cr3t", "/reset/{token}"),
        ("/reset/./S3cr3t", "/reset/{token}"),
        ("/scans/7", "/scans/7"),
    ] {
        let event = event_of(policy(), post(path)).await;
        assert_eq!(event.request.request_uri.as_deref(), Some(expected), "{path}");
        assert!(!serde_json::to_string(&event).expect("JSON").contains("S3cr3t"), "{path}");
    }
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        AuditContext::current().expect("a layer is around").route("/any/{secret}");
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let policy = everything().request_path(RequestPath::Redacted).build().expect("valid");
    AuditLayer::new(&log, policy).layer(handler).oneshot(post("/any/S3cr3t")).await.expect("infallible");
    assert_eq!(store.events()[0].request.request_uri.as_deref(), Some("/any/***"));
    assert_eq!(store.events()[0].resource.route.as_deref(), Some("/any/{secret}"));
}

#[tokio::test(start_paused = true)]
async fn details_are_hidden_by_the_names_of_the_app() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        let context = AuditContext::current().expect("a layer is around");
        context.detail("iban", "DE02").detail("payments", json!([{ "IBAN": "DE02", "cents": 5 }])).detail("token", "t");
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let policy = everything().redact(["iban"]).build().expect("valid");
    AuditLayer::new(&log, policy).layer(handler).oneshot(post("/pay")).await.expect("infallible");
    let details = serde_json::Value::Object(store.events()[0].details.clone());
    assert_eq!(details, json!({ "iban": "***", "payments": [{ "IBAN": "***", "cents": 5 }], "token": "t" }));
}

#[tokio::test(start_paused = true)]
async fn the_target_of_connect_is_recorded_without_its_user() {
    let request = crate::layer::support::request(Method::CONNECT, "alice:hunter2@example.org:443");
    let event = event_of(everything().build().expect("valid"), request).await;
    assert_eq!(event.request.request_uri.as_deref(), Some("example.org:443"));
}

#[tokio::test(start_paused = true)]
async fn several_keys_are_told_and_a_session_token_is_none() {
    let hash = async |source: ApiKeySource, headers: &[(&'static str, &str)]| {
        let request =
            headers.iter().fold(post("/scans"), |request, (name, value)| with_header(request, name, value.as_bytes()));
        event_of(AuditPolicy::builder().preset_ivre().api_key(source).build().expect("valid"), request)
            .await
            .actor
            .api_key_hash
    };
    let both = ApiKeySource::Both;
    let one = hash(both, &[("x-api-key", "a")]).await.expect("a digest");
    let other = hash(both, &[("x-api-key", "b"), ("authorization", "Bearer c")]).await.expect("a digest");
    let keys = [("x-api-key", "a"), ("x-api-key", ""), ("x-api-key", "b"), ("x-api-key", "a")];
    assert_eq!(hash(both, &keys).await.as_deref(), Some(format!("{one} {other}").as_str()));
    assert_eq!(hash(ApiKeySource::Bearer, &keys).await, None);
    assert_eq!(hash(ApiKeySource::Bearer, &[("authorization", "Bearer a")]).await.as_deref(), Some(one.as_str()));
    let jwt = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
    assert_eq!(hash(both, &[("authorization", jwt)]).await, None);
    assert_eq!(hash(ApiKeySource::Off, &[("x-api-key", "a")]).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_request_id_is_taken_over_or_replaced() {
    let event = event_of(presets::ivre(), with_header(post("/scans"), "x-request-id", b"r-1.2:3")).await;
    assert_eq!(event.request.request_id.as_deref(), Some("r-1.2:3"));
    for bad in [&b"with blank"[..], b"", b"\xff", &[b'x'; 129]] {
        let event = event_of(presets::ivre(), with_header(post("/scans"), "x-request-id", bad)).await;
        assert_eq!(event.request.request_id.expect("one was made").len(), 32);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_client_sends_suppresses_or_bloats_its_event() {
    let method = Method::from_bytes(&[b'X'; 40]).expect("a valid method");
    let mut request = crate::layer::support::request(method, &format!("/auth/admin/{}", "a".repeat(60_000)));
    for name in ["user-agent", "x-forwarded-for", "forwarded", "x-request-id", "traceparent", "x-api-key"] {
        request = with_header(request, name, &[0xfe; 1 << 20]);
    }
    let (log, store) = memory_log().await;
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    service.oneshot(request).await.expect("infallible");
    let events = store.events();
    assert_eq!(events.len(), 2);
    for event in events {
        let json = serde_json::to_string(&event).expect("serialises");
        assert!(json.len() < 8192, "{}", json.len());
        assert_eq!(event.resource.method.as_deref(), Some("X".repeat(40).as_str()));
        assert!(event.request.user_agent.expect("it is there").contains("[cut: 1048576 bytes, sha256 "));
    }
}

#[tokio::test(start_paused = true)]
async fn a_details_callback_adds_and_never_costs_the_event() {
    for fate in ["adds", "fails", "panics"] {
        let (log, store) = memory_log().await;
        let layer = AuditLayer::new(&log, presets::ivre()).details_from_response(move |parts| match fate {
            "adds" => {
                let seen = parts.headers.contains_key("x-handler");
                Ok(json!({ "seen": seen }).as_object().cloned().unwrap_or_default())
            }
            "fails" => Err("on purpose".into()),
            _ => panic!("on purpose"),
        });
        layer.layer(answering(StatusCode::OK)).oneshot(post("/scans")).await.expect("infallible");
        assert_eq!(store.events().len(), 1, "{fate}");
        assert_eq!(store.events()[0].details.get("seen"), (fate == "adds").then_some(&json!(true)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_off_passes_everything_through() {
    let log = tower_audit::AuditLog::disabled();
    let handler = tower::service_fn(|_request: Request<Body>| async {
        assert!(AuditContext::current().is_none());
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    assert_eq!(service.oneshot(post("/scans")).await.expect("infallible").status(), 200);
    log.close().await.expect("nothing to close");
}

/// Without axum's extractor: found through the thread alone.
#[tokio::test(start_paused = true)]
async fn a_declared_event_says_who_asked_for_what() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        AuditContext::current().expect("a layer is around").event_type(EventType::AUTH);
        Ok::<_, Infallible>(response(StatusCode::UNAUTHORIZED))
    });
    let mut request = with_header(post("/login"), "user-agent", b"probe");
    request.extensions_mut().insert(tower_audit::PeerAddr("192.0.2.7:80".parse().expect("an address")));
    AuditLayer::new(&log, presets::ivre()).layer(handler).oneshot(request).await.expect("infallible");
    let event = &store.events()[0];
    assert_eq!((event.event_type.as_str(), event.outcome), ("auth", Some(401)));
    assert_eq!(event.resource.method.as_deref(), Some("POST"));
    assert_eq!(event.request.request_uri.as_deref(), Some("/login"));
    assert_eq!(event.request.user_agent.as_deref(), Some("probe"));
    assert_eq!(event.actor.remote_addr.as_deref(), Some("192.0.2.7"));
    // A second, or nothing: but not the time from the handler's end.
    assert_eq!(event.request.duration_us, None);
}

#[tokio::test(start_paused = true)]
async fn the_uri_is_the_one_that_was_sent() {
    async fn login(audit: AuditContext) {
        audit.event_type(EventType::AUTH);
    }
    async fn scan() {}
    for outside in [true, false] {
        let (log, store) = memory_log().await;
        let layer = AuditLayer::new(&log, presets::ivre());
        let nested = Router::new().route("/login", routing::post(login)).route("/scans", routing::post(scan));
        let nested = if outside { nested } else { nested.layer(layer.clone()) };
        let app: Router = Router::new().nest("/api", Router::new().nest("/v1", nested));
        let app = if outside { app.layer(layer) } else { app };
        for path in ["/api/v1/login", "/api/v1/scans"] {
            let request = Request::post(path).body(axum::body::Body::empty()).expect("valid");
            app.clone().oneshot(request).await.expect("infallible");
            let events = store.events();
            // Outside of the nested router, the rule for uploads does not name the path.
            if !(outside && path.ends_with("scans")) {
                assert_eq!(events[0].request.request_uri.as_deref(), Some(path), "outside: {outside}");
                assert_eq!(events[0].resource.route.as_deref(), Some(path), "outside: {outside}");
            }
        }
    }
}

/// A nested router gets the same request; each layer has its own view of the path.
#[tokio::test(start_paused = true)]
async fn a_nested_router_is_no_other_request() {
    for path in ["/api/scans", "/api", "/api/"] {
        let (log, store) = memory_log().await;
        let rule = |path| tower_audit::Rule::new(EventType::new("a.b").expect("a type")).paths([path]);
        let outer = AuditPolicy::builder().rule(rule("/{*all}")).build().expect("valid");
        let inner = AuditLayer::for_route(&log, rule("/{*all}")).expect("valid");
        let nested = Router::new().route("/scans", routing::post(|| async {})).route("/", routing::post(|| async {}));
        let app: Router = Router::new().nest("/api", nested.layer(inner));
        let service = AuditLayer::new(&log, outer).layer(app);
        let request = Request::post(path).body(axum::body::Body::empty()).expect("valid");
        service.oneshot(request).await.expect("infallible");
        assert_eq!(store.events().len(), 1, "{path}");
        assert_eq!(store.events()[0].request.request_uri.as_deref(), Some(path));
    }
}

#[tokio::test(start_paused = true)]
async fn the_target_of_connect_is_its_authority() {
    let policy = AuditPolicy::builder()
        .rule(tower_audit::Rule::new(EventType::new("a.b").expect("a type")).paths(["/{*all}"]))
        .build()
        .expect("valid");
    let mut request = crate::layer::support::request(Method::CONNECT, "/");
    *request.uri_mut() = "example.org:443".parse().expect("an authority");
    assert_eq!(event_of(policy, request).await.request.request_uri.as_deref(), Some("example.org:443"));
}

/// The conversions of an app may use the context: they run before its lock is taken.
#[test]
fn a_conversion_may_use_the_context() {
    struct Late(AuditContext);
    impl From<Late> for serde_json::Value {
        fn from(late: Late) -> Self {
            late.0.request_id().into()
        }
    }
    impl From<Late> for tower_audit::CompactText {
        fn from(late: Late) -> Self {
            late.0.request_id().as_str().into()
        }
    }
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let event = runtime.block_on(async {
            let (log, store) = memory_log().await;
            let handler = tower::service_fn(|_request: Request<Body>| async {
                let context = AuditContext::current().expect("a layer is around");
                let late = || Late(context.clone());
                context.detail("id", late()).classify(late(), late()).route(late());
                Ok::<_, Infallible>(response(StatusCode::OK))
            });
            let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
            service.oneshot(post("/scans")).await.expect("infallible");
            store.events().remove(0)
        });
        done.send(event).expect("the test waits");
    });
    let event = is_done.recv_timeout(std::time::Duration::from_secs(10)).expect("nobody waits for a lock of its own");
    let id = event.request.request_id.as_deref().expect("an id");
    assert_eq!(event.details["id"], id);
    assert_eq!(event.resource.route.as_deref(), Some(id));
}

/// The actor that a middleware within the layer sets reaches the event, from the request's or the response's
/// extensions.
#[tokio::test(start_paused = true)]
async fn an_actor_from_within_is_found() {
    async fn plain() {}
    async fn extracting(_audit: AuditContext) {}
    async fn in_request(mut request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
        request.extensions_mut().insert(Actor::user("alice"));
        next.run(request).await
    }
    async fn in_response(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
        let mut response = next.run(request).await;
        response.extensions_mut().insert(std::sync::Arc::new(Actor::user("alice")));
        response
    }
    let (log, store) = memory_log().await;
    let layer = || AuditLayer::new(&log, presets::ivre());
    let apps: [Router; 3] = [
        Router::new().route("/scans", routing::post(plain)).layer(axum::middleware::from_fn(in_response)),
        Router::new().route("/scans", routing::post(extracting)).layer(axum::middleware::from_fn(in_request)),
        Router::new().route("/scans", routing::post(plain).layer(layer())).layer(axum::middleware::from_fn(in_request)),
    ];
    for (n, app) in apps.into_iter().enumerate() {
        let request = |with: Option<&str>| {
            let mut request = Request::post("/scans").body(axum::body::Body::empty()).expect("valid");
            if let Some(user) = with {
                request.extensions_mut().insert(Actor::user(user));
            }
            request
        };
        let app = app.layer(layer());
        app.clone().oneshot(request(None)).await.expect("infallible");
        assert_eq!(store.events()[0].actor.user_email.as_deref(), Some("alice"), "app {n}");
        if n != 2 {
            // The one that came with the request is not replaced by one that nobody said.
            app.oneshot(request(Some("bob"))).await.expect("infallible");
            assert_eq!(store.events()[0].actor.user_email.as_deref(), Some("bob"), "app {n}");
        }
    }
}
