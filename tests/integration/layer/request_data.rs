//! Headers, parameters of the query and bodies that a rule asks for: no more than that, without credentials, and the handler
//! reads what it would have read.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_audit::middleware::{CaptureBodyLayer, CapturedBody};
use tower_audit::policy::{BodyCapture, MAX_BODY_BYTES};
use tower_audit::store::MemoryStore;
use tower_audit::{AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, Rule};

use crate::layer::support::{Body, answering, memory_log, post};

fn rule() -> Rule {
    Rule::new(EventType::new("order.create").expect("a type")).methods(["POST"]).paths(["/orders"])
}

fn policy(rule: Rule) -> AuditPolicy {
    AuditPolicy::builder().rule(rule).redact(["iban"]).build().expect("a policy")
}

async fn event_of(rule: Rule, request: Request<Body>) -> AuditEvent {
    let (log, store) = memory_log().await;
    let service = AuditLayer::new(&log, policy(rule)).layer(answering(StatusCode::OK));
    service.oneshot(request).await.expect("infallible");
    store.events().swap_remove(0)
}

#[tokio::test(start_paused = true)]
async fn listed_headers_and_parameters_are_recorded_and_no_others() {
    let request = || {
        let mut request = post("/orders?page=2&page=3&q=caf%C3%A9+au+lait&token=S3cr3t&by=Bearer%20c2VjcmV0&iban=DE02");
        for (name, value) in [
            ("x-tenant", "acme"),
            ("x-tenant", "4111 1111 1111 1111"),
            ("x-other", "hidden"),
            ("authorization", "Bearer S3cr3t"),
            ("x-iban", "a"),
        ] {
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        request
    };
    let asked = rule().capture_headers(["X-Tenant", "x-absent"]).capture_query(["page", "q", "by", "iban", "absent"]);
    let event = event_of(asked, request()).await;
    let expected = json!({
        "headers": {"x-tenant": ["acme", "***"]},
        "query": {"page": ["2", "3"], "q": "café au lait", "by": "Bearer ***", "iban": "***"},
    });
    assert_eq!(Value::Object(event.details.clone()), expected);
    assert_eq!(event.request.request_uri.as_deref(), Some("/orders"), "the query string itself is off");
    assert!(event_of(rule(), request()).await.details.is_empty(), "a rule that asks for nothing gets nothing");

    // Long values and many of them are cut.
    let mut many = post(&format!("/orders?{}", "n=1&".repeat(100)));
    many.headers_mut().insert("x-tenant", "t".repeat(5000).parse().expect("a value"));
    let event = event_of(rule().capture_headers(["x-tenant"]).capture_query(["n"]), many).await;
    assert!(event.details["headers"]["x-tenant"].as_str().expect("text").len() <= 256);
    assert_eq!(event.details["query"]["n"], json!(["1", "1", "1", "1", "…", "1"]));
    // An app that reads one value may read the last.
    let hidden = post("/orders?n=a&n=a&n=a&n=a&n=b&n=admin");
    let event = event_of(rule().capture_query(["n"]), hidden).await;
    assert_eq!(event.details["query"]["n"], json!(["a", "a", "a", "a", "…", "admin"]));
    // A secret is known by its whole, so it is hidden before it is cut.
    let jwt = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "bWFpbA".repeat(100), "c2ln".repeat(20));
    let mut signed = post(&format!("/orders?n={jwt}"));
    signed.headers_mut().insert("x-tenant", jwt.parse().expect("a value"));
    let event = event_of(rule().capture_headers(["x-tenant"]).capture_query(["n"]), signed).await;
    assert_eq!(Value::Object(event.details), json!({"headers": {"x-tenant": "***"}, "query": {"n": "***"}}));
}

/// What two rules ask for was sent once.
#[tokio::test(start_paused = true)]
async fn a_header_that_two_rules_ask_for_is_recorded_once() {
    let (log, store) = memory_log().await;
    let asked = |rule: Rule| rule.capture_headers(["x-tenant", "X-Tenant"]).capture_query(["page", "page"]);
    let any = Rule::new(EventType::new("any.change").expect("a type")).paths(["/{*path}"]);
    let policy = AuditPolicy::builder().rules([asked(rule()), asked(any)]).build().expect("a policy");
    let mut request = post("/orders?page=2");
    request.headers_mut().insert("x-tenant", "acme".parse().expect("a value"));
    AuditLayer::new(&log, policy).layer(answering(StatusCode::OK)).oneshot(request).await.expect("infallible");
    let expected = json!({"headers": {"x-tenant": "acme"}, "query": {"page": "2"}});
    assert_eq!(Value::Object(store.events().swap_remove(0).details), expected);
}

/// The event has the digest of the key that the app reads, whichever line that is, or says that there are more.
#[tokio::test(start_paused = true)]
async fn no_number_of_lines_hides_a_key() {
    let keys = async |lines: Vec<(&'static str, String)>| {
        let mut request = post("/orders");
        for (name, value) in lines {
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        event_of(rule(), request).await.actor.api_key_hash.expect("a digest").to_string()
    };
    let of = |key: &str| sha256(key.as_bytes());
    let repeated = |name: &'static str, value: &str| vec![(name, value.to_owned()); 40];
    let with = |mut lines: Vec<(&'static str, String)>, name: &'static str, value: &str| {
        lines.push((name, value.to_owned()));
        lines
    };
    let both = format!("{} {}", of("junk"), of("real"));
    assert_eq!(keys(with(repeated("x-api-key", "junk"), "x-api-key", "real")).await, both);
    assert_eq!(keys(with(repeated("x-api-key", ""), "x-api-key", "real")).await, of("real"));
    let basic = with(repeated("authorization", "Basic eDp5"), "x-api-key", "junk");
    assert_eq!(keys(with(basic, "x-api-key", "real")).await, both);
    assert_eq!(keys(with(repeated("authorization", "Basic eDp5"), "authorization", "Bearer real")).await, of("real"));
    let jwts = repeated("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.");
    assert_eq!(keys(with(jwts, "authorization", "Bearer real")).await, of("real"));
    let different = (0..40).map(|n| ("x-api-key", n.to_string())).collect();
    assert!(keys(different).await.ends_with(" …"));
}

#[test]
fn a_list_with_a_credential_is_refused() {
    let problem = |rule| AuditPolicy::builder().rule(rule).build().expect_err("a fault").to_string();
    for name in ["authorization", "X-Api-Key", "cookie", "x-auth-token"] {
        let problem = problem(rule().capture_headers([name]));
        assert!(problem.contains("key `headers`") && problem.contains("the name of a credential"), "{problem}");
    }
    assert!(problem(rule().capture_query(["access_token"])).contains("key `query`"));
    assert!(problem(rule().capture_headers(["no header"])).contains("is no name of a header"));
    assert!(problem(rule().capture_headers(vec!["a"; 17])).contains("17 names: expected 16 at most"));
    let toml = "[[rules]]\ntype = \"a.b\"\npaths = [\"/\"]\nheaders = [\"x-tenant\"]\nquery = [\"page\"]\nbody = ";
    AuditPolicy::from_toml(&format!("{toml}\"redacted\"")).expect("a policy");
    let error = AuditPolicy::from_toml(&format!("{toml}\"all\"")).expect_err("a fault").to_string();
    assert!(error.contains("\"digest\" or \"redacted\""), "{error}");
}

/// The event of a request with these headers, whose members are asked for, and the frames of the body.
async fn with_headers(headers: &[(&str, &str)], body: &'static [u8]) -> (AuditEvent, Vec<Bytes>) {
    send_body(Some(BodyCapture::Redacted), headers, &[body], usize::MAX).await
}

/// The event of a request whose handler reads so many frames of the body, and the frames that it read.
async fn with_body(
    capture: Option<BodyCapture>,
    content_type: &str,
    frames: &[&'static [u8]],
    reads: usize,
) -> (AuditEvent, Vec<Bytes>) {
    send_body(capture, &[("content-type", content_type)], frames, reads).await
}

async fn send_body(
    capture: Option<BodyCapture>,
    headers: &[(&str, &str)],
    frames: &[&'static [u8]],
    reads: usize,
) -> (AuditEvent, Vec<Bytes>) {
    let (log, store) = memory_log().await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let rule = match capture {
        Some(capture) => rule().capture_body(capture),
        None => rule(),
    };
    let handler = service_fn(move |request: Request<CapturedBody<_>>| {
        let sender = sender.clone();
        async move {
            let mut body = request.into_body();
            for _ in 0..reads {
                let Some(frame) = body.frame().await else { break };
                let frame: http_body::Frame<Bytes> = frame.unwrap_or_else(|error: Infallible| match error {});
                sender.send(frame.into_data().expect("data")).expect("the test reads it");
            }
            Ok::<_, Infallible>(http::Response::new(Body::default()))
        }
    });
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(&log, policy(rule)))
        .layer(CaptureBodyLayer::new())
        .service(handler);
    let frames: Vec<_> = frames.iter().map(|data| Ok(http_body::Frame::data(Bytes::from_static(data)))).collect();
    let request = Request::post("/orders");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(StreamBody::new(stream::iter(frames))).expect("a request");
    service.oneshot(request).await.expect("infallible");
    let mut read = Vec::new();
    while let Ok(data) = receiver.try_recv() {
        read.push(data);
    }
    (store.events().swap_remove(0), read)
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_body_streams_past_and_its_digest_is_recorded() {
    let frames: [&[u8]; 3] = [b"one, ", b"", b"two"];
    let (event, read) = with_body(Some(BodyCapture::Digest), "text/plain", &frames, usize::MAX).await;
    assert_eq!(read, frames, "the handler reads the same frames");
    assert_eq!(event.details["request_body"], json!({"bytes": 8, "sha256": sha256(b"one, two")}));
    // Left unread, or broken off.
    for (reads, bytes) in [(0, 0), (1, 5), (3, 8)] {
        let (event, _) = with_body(Some(BodyCapture::Digest), "text/plain", &frames, reads).await;
        assert_eq!(event.details["request_body"], json!({"bytes": bytes, "complete": false}), "{reads}");
    }
    let (event, read) = with_body(Some(BodyCapture::Digest), "text/plain", &[], usize::MAX).await;
    assert!(read.is_empty());
    assert_eq!(event.details["request_body"], json!({"bytes": 0, "sha256": sha256(b"")}));
    let (event, read) = with_body(None, "text/plain", &frames, usize::MAX).await;
    assert_eq!((read.len(), event.details.len()), (3, 0), "a rule that asks for nothing gets nothing");
}

#[tokio::test(start_paused = true)]
async fn members_of_a_small_body_are_recorded_without_credentials() {
    const JSON: &[u8] = br#"{"item": "a book", "password": "hunter2", "user": {"api_key": "k", "name": "bob"},
        "card": 4111111111111111, "n": 41, "notes": ["Bearer c2VjcmV0", null, true], "IBAN": "DE02"}"#;
    let redacted = json!({
        "item": "a book", "password": "***", "user": {"api_key": "***", "name": "bob"},
        "card": "***", "n": 41, "notes": ["Bearer ***", null, true], "IBAN": "***",
    });
    let (first, second) = JSON.split_at(70);
    let content = async |content_type: &str, frames: &[&'static [u8]]| {
        let (event, _) = with_body(Some(BodyCapture::Redacted), content_type, frames, usize::MAX).await;
        assert_eq!(event.details["request_body"]["sha256"], sha256(&frames.concat()));
        event.details["request_body"].get("content").cloned()
    };
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        assert_eq!(content(content_type, &[first, second]).await, Some(redacted.clone()), "{content_type}");
    }
    const FORM: &[u8] = b"item=a+book&item=b&password=hunter2&token=t&note=eyJhbGciOiJub25lIn0.e30.x";
    assert_eq!(
        content("application/x-www-form-urlencoded", &[FORM]).await,
        Some(json!({"item": ["a book", "b"], "password": "***", "token": "***", "note": "***"}))
    );
    // What the request says of its encoding, and an app does not read, hides nothing.
    for encoding in ["identity", "", "x", "gzip"] {
        let (event, _) =
            with_headers(&[("content-encoding", encoding), ("content-type", "application/json")], JSON).await;
        assert_eq!(event.details["request_body"]["content"], redacted, "{encoding}");
    }
    const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03K\xb4\x05\0";
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        let (event, _) = with_headers(&[("content-encoding", "gzip"), ("content-type", content_type)], GZIP).await;
        assert_eq!(event.details["request_body"].get("content"), None, "{content_type}");
    }
    // No JSON, another format, or too large: the digest alone.
    assert_eq!(content("application/json", &[b"{\"a\": "]).await, None);
    assert_eq!(content("text/plain", &[JSON]).await, None);
    let half = vec![b' '; MAX_BODY_BYTES / 2].leak();
    assert_eq!(content("application/json", &[half, half, b"{}"]).await, None);
    let (event, _) = with_body(Some(BodyCapture::Digest), "application/json", &[JSON], usize::MAX).await;
    assert_eq!(event.details["request_body"].get("content"), None, "it was not asked for");
}

#[tokio::test(start_paused = true)]
async fn an_app_of_axum_reads_its_body_as_before() {
    let (log, store): (AuditLog, MemoryStore) = memory_log().await;
    let app: Router = Router::new()
        .route("/orders", routing::post(|body: String| async move { body.to_uppercase() }))
        .layer(CaptureBodyLayer::new())
        .layer(AuditLayer::new(&log, policy(rule().capture_body(BodyCapture::Redacted))));
    let request =
        Request::post("/orders").header("content-type", "application/json").body(AxumBody::from(r#"{"a":1}"#));
    let answer = app.oneshot(request.expect("a request")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), r#"{"A":1}"#);
    let body = &store.events()[0].details["request_body"];
    assert_eq!((&body["bytes"], &body["content"]), (&json!(7), &json!({"a": 1})));
    // Size and end are those of the inner body.
    let handler = service_fn(|request: Request<CapturedBody<Body>>| async move {
        let body = request.into_body();
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
        Ok::<_, Infallible>(http::Response::new(Body::default()))
    });
    CaptureBodyLayer::new().layer(handler).oneshot(post("/orders")).await.expect("infallible");
}
