//! gRPC: the status of a call decides what its event says, and a refusal is one that clients of gRPC understand.
//!
//! The server is tonic's, and so is the client, over a connection; a second client is Google's own for Python.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, FailMode, Phase, RecordWhen, Rule};

use crate::layer::grpc_service::{Client, Vault, serve};
use crate::layer::support::{memory_log, of_phase};

fn rule() -> Rule {
    Rule::new(EventType::new("vault.used").expect("a valid type")).paths(["/bank.Vault/{method}"])
}

fn policy(rules: impl IntoIterator<Item = Rule>) -> AuditPolicy {
    let builder = rules.into_iter().fold(AuditPolicy::builder(), |builder, rule| builder.rule(rule));
    builder.build().expect("a valid policy")
}

async fn faulty_log() -> (AuditLog, FaultyStore, MemoryStore) {
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("the store is well for now");
    (log, faulty, memory)
}

/// The one `completed` event, and how many `started` events it has.
fn told(store: &MemoryStore) -> (AuditEvent, usize) {
    let mut completed = of_phase(store, Phase::Completed);
    let started = of_phase(store, Phase::Started);
    assert_eq!(completed.len(), 1, "{completed:#?}");
    let completed = completed.remove(0);
    assert_eq!(completed.request.started_event_id, started.first().map(|started| started.event_id));
    for started in &started {
        assert!(started.event_id < completed.event_id, "the end has the later id");
        assert_eq!(started.request.request_id, completed.request.request_id);
        assert_eq!((started.outcome, started.details.len()), (None, 0));
    }
    (completed, started.len())
}

fn error(event: &AuditEvent) -> Option<&str> {
    event.classification.error.as_ref().map(|error| error.as_str())
}

/// Each call at once in hand: no event but the one that says how it ended.
#[tokio::test]
async fn the_status_of_a_call_is_its_outcome() {
    for (method, asked, code, outcome, error_code) in [
        ("Open", "", Code::Ok, 200, None),
        ("Open", "large", Code::Ok, 200, None),
        ("Open", "denied", Code::PermissionDenied, 403, Some("unauthorized")),
        ("Open", "own code", Code::Unauthenticated, 401, Some("unauthenticated")),
        ("Watch", "", Code::Ok, 200, None),
        ("Watch", "internal", Code::Internal, 500, Some("server-error")),
        ("Watch", "denied", Code::PermissionDenied, 403, Some("unauthorized")),
    ] {
        for is_ahead in [false, true] {
            let (log, store) = memory_log().await;
            let layer = AuditLayer::new(&log, policy([rule().write_ahead(is_ahead)]));
            let mut client = Client::connect(serve(Vault::new(), layer).await).await;
            let answered = match method {
                "Open" => client.open(asked).await.map(|_| 1),
                _ => collect(client.watch(asked).await).await,
            };
            assert_eq!(answered.as_ref().map_or_else(Status::code, |_| Code::Ok), code);
            assert!(
                answered.is_err() || answered.is_ok_and(|messages| messages == if method == "Open" { 1 } else { 2 })
            );
            let (completed, started) = told(&store);
            assert_eq!(started, usize::from(is_ahead), "{method} {asked}");
            assert_eq!(completed.outcome, Some(outcome), "{method} {asked}");
            assert_eq!(completed.details["grpc_status"], code as i32);
            assert_eq!(completed.details.len(), 1);
            assert_eq!(error(&completed), error_code);
            assert_eq!(completed.resource.route.as_deref(), Some("/bank.Vault/{method}"));
            assert_eq!(completed.actor.remote_addr.as_deref(), Some("127.0.0.1"), "tonic's TcpConnectInfo");
        }
    }
}

/// Counts the messages of a stream.
async fn collect(stream: Result<tonic::Streaming<Bytes>, Status>) -> Result<usize, Status> {
    let mut stream = stream?;
    let mut messages = 0;
    while stream.message().await?.is_some() {
        messages += 1;
    }
    Ok(messages)
}

#[tokio::test]
async fn the_answer_of_a_stream_waits_for_an_event_and_its_end_for_another() {
    for (asked, code, outcome) in
        [("slow", Code::Ok, 200), ("slow internal", Code::Internal, 500), ("slow denied", Code::PermissionDenied, 403)]
    {
        for is_ahead in [false, true] {
            let (log, store) = memory_log().await;
            let vault = Vault::new();
            let layer = AuditLayer::new(&log, policy([rule().write_ahead(is_ahead)]));
            let mut client = Client::connect(serve(vault.clone(), layer).await).await;
            let mut stream = client.watch(asked).await.expect("it begins well");
            assert_eq!(stream.message().await.expect("a message").expect("a message"), "one");
            let started = of_phase(&store, Phase::Started);
            assert_eq!((started.len(), store.events().len()), (1, 1), "an answer left: there is an event, and no end");
            vault.gate.add_permits(1);
            assert_eq!(stream.message().await.expect("a message").expect("a message"), "two");
            let end = stream.message().await;
            assert_eq!(
                end.map_or_else(
                    |status| status.code(),
                    |message| if message.is_none() { Code::Ok } else { Code::Unknown }
                ),
                code
            );
            let (completed, started) = told(&store);
            assert_eq!(started, 1);
            assert_eq!(completed.outcome, Some(outcome));
            assert_eq!(completed.details["grpc_status"], code as i32);
            assert_eq!(completed.details["body_end"], "complete");
            assert!(completed.request.duration_us.is_some());
        }
    }
}

#[tokio::test]
async fn a_client_that_cancels_is_told_of() {
    let (log, store) = memory_log().await;
    let mut client = Client::connect(serve(Vault::new(), AuditLayer::new(&log, policy([rule()]))).await).await;
    let mut stream = client.watch("slow").await.expect("it begins well");
    stream.message().await.expect("a message").expect("a message");
    drop(stream);
    log.close().await.expect("everything is written");
    let (completed, started) = told(&store);
    assert_eq!((completed.outcome, started), (Some(499), 1));
    assert_eq!(completed.details["body_end"], "dropped");
    assert!(!completed.details.contains_key("grpc_status"), "no status was sent");
}

/// The end of a stream may be an abnormal one: a rule for those is asked, too.
#[tokio::test]
async fn a_rule_for_abnormal_ends_sees_a_client_that_cancels() {
    let (log, store) = memory_log().await;
    let layer = AuditLayer::new(&log, policy([rule().when(RecordWhen::abnormal())]));
    let mut client = Client::connect(serve(Vault::new(), layer).await).await;
    client.open("denied").await.expect_err("it is denied");
    assert!(store.events().is_empty(), "a denial is a normal end");
    let mut stream = client.watch("slow").await.expect("it begins well");
    stream.message().await.expect("a message").expect("a message");
    drop(stream);
    log.close().await.expect("everything is written");
    assert_eq!(told(&store).0.outcome, Some(499));
}

/// The rules see the status that stands for the code, as late as it comes.
#[tokio::test]
async fn the_status_decides_by_which_rule_a_call_is_recorded() {
    let denied = Rule::new(EventType::new("vault.denied").expect("valid"))
        .paths(["/bank.Vault/{method}"])
        .when(RecordWhen::statuses([401, 403]));
    for (method, asked, expected) in [
        ("Open", "", &["completed vault.used"][..]),
        ("Open", "denied", &["completed vault.denied"]),
        ("Watch", "", &["completed vault.used"]),
        ("Watch", "denied", &["completed vault.denied"]),
        ("Watch", "internal", &[]),
        ("Watch", "slow", &["completed vault.used", "started vault.used"]),
        ("Watch", "slow denied", &["completed vault.denied", "started vault.used"]),
        // A `started` event gets an end, though no rule asks for one.
        ("Watch", "slow internal", &["completed vault.used", "started vault.used"]),
    ] {
        let (log, store) = memory_log().await;
        let vault = Vault::new();
        let layer = AuditLayer::new(&log, policy([denied.clone(), rule().when(RecordWhen::success())]));
        let mut client = Client::connect(serve(vault.clone(), layer).await).await;
        match method {
            "Open" => drop(client.open(asked).await),
            _ => {
                let stream = client.watch(asked).await;
                vault.gate.add_permits(1);
                drop(collect(stream).await);
            }
        }
        let events: Vec<String> =
            store.events().iter().map(|event| format!("{} {}", event.phase.as_str(), event.event_type)).collect();
        assert_eq!(events, expected, "{method} {asked}");
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_refused_so_that_clients_understand() {
    for (rule, method, code, has_run) in [
        (rule().write_ahead(true), "Open", Code::Unavailable, false),
        (rule(), "Open", Code::Unknown, true),
        (rule(), "Watch", Code::Unknown, true),
    ] {
        let (log, faulty, memory) = faulty_log().await;
        faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
        let mut client = Client::connect(serve(Vault::new(), AuditLayer::new(&log, policy([rule]))).await).await;
        let status = match method {
            "Open" => client.open("").await.expect_err("it is refused"),
            _ => client.watch("slow").await.expect_err("it is refused before its first message"),
        };
        assert_eq!(status.code(), code);
        assert_eq!(status.message().contains("possibly done"), has_run, "{status:?}");
        let metadata = status.metadata();
        assert_eq!(metadata.get("audit-event-id").expect("the id").len(), 32);
        assert_eq!(metadata.get("grpc-retry-pushback-ms").expect("it"), if has_run { "-1" } else { "1000" });
        assert!(!metadata.contains_key("retry-after"));
        assert!(memory.events().is_empty());
    }
}

#[tokio::test]
async fn a_closed_log_refuses_calls() {
    let (log, _store) = memory_log().await;
    let layer = AuditLayer::new(&log, policy([rule()]));
    let mut client = Client::connect(serve(Vault::new(), layer).await).await;
    log.close().await.expect("it is empty");
    assert_eq!(client.open("").await.expect_err("it is refused").code(), Code::Unavailable);
}

#[tokio::test]
async fn a_rule_that_fails_open_lets_calls_go_on() {
    let (log, faulty, _memory) = faulty_log().await;
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    let vault = Vault::new();
    vault.gate.add_permits(1);
    let layer = AuditLayer::new(&log, policy([rule().fail_mode(FailMode::Open)]));
    let mut client = Client::connect(serve(vault, layer).await).await;
    client.open("").await.expect("it goes on");
    assert_eq!(collect(client.watch("slow").await).await.expect("it goes on"), 2);
}

type Frames = Vec<Result<Frame<Bytes>, std::io::Error>>;

fn message() -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 0])))
}

fn trailers(status: &str) -> Result<Frame<Bytes>, std::io::Error> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_str(status).expect("a valid value"));
    Ok(Frame::trailers(trailers))
}

/// The event of a call to a service that answers with these frames.
async fn told_of(
    content_type: &'static str,
    frames: impl Fn() -> Frames + Clone + Send + 'static,
) -> (AuditEvent, Response<impl http_body::Body>) {
    let (log, store) = memory_log().await;
    let service = AuditLayer::new(&log, policy([rule()])).layer(tower::service_fn(move |_request: Request<Body>| {
        let body = StreamBody::new(futures_util::stream::iter(frames()));
        async move {
            Ok::<_, std::convert::Infallible>(
                Response::builder().header("content-type", content_type).body(body).expect("valid"),
            )
        }
    }));
    // The client's word does not count.
    let call = Request::post("/bank.Vault/Open").header("content-type", "text/plain").body(Body::empty());
    let answer = service.oneshot(call.expect("a valid request")).await.expect("infallible");
    (told(&store).0, answer)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_call_in_all_its_forms() {
    type Case = (&'static str, fn() -> Frames, u16, Option<u32>);
    let cases: [Case; 11] = [
        ("application/grpc", || vec![message(), trailers("5")], 404, Some(5)),
        ("application/grpc+proto", || vec![message(), trailers("0")], 200, Some(0)),
        ("Application/GRPC; charset=x", || vec![trailers("14")], 503, Some(14)),
        ("application/grpc", || vec![message(), trailers("17")], 500, Some(17)),
        ("application/grpc", || vec![message(), trailers("4294967296")], 500, Some(2)),
        ("application/grpc", || vec![message(), trailers("-1")], 500, Some(2)),
        ("application/grpc", || vec![message(), trailers("")], 500, Some(2)),
        ("application/grpc", || vec![message()], 500, None),
        ("application/grpc", || vec![message(), Err(std::io::Error::other("on purpose"))], 500, None),
        ("application/grpc-web+proto", || vec![message(), trailers("5")], 200, None),
        ("application/json", || vec![message(), trailers("5")], 200, None),
    ];
    for (content_type, frames, outcome, code) in cases {
        let (event, answer) = told_of(content_type, frames).await;
        assert_eq!(event.outcome, Some(outcome), "{content_type}");
        assert_eq!(event.details.get("grpc_status"), code.map(Into::into).as_ref(), "{content_type}");
        assert_eq!(event.classification.error.is_some(), outcome >= 400);
        assert_eq!(http_body::Body::size_hint(answer.body()).exact(), None, "no length is announced that was not");
        let mut body = std::pin::pin!(answer.into_body());
        let mut ends = Vec::new();
        while let Some(frame) = body.frame().await {
            ends.push(frame.map(|frame| frame.into_trailers().ok()).map_err(drop));
        }
        let expected: Vec<_> =
            frames().into_iter().map(|frame| frame.map(|frame| frame.into_trailers().ok()).map_err(drop)).collect();
        assert_eq!(ends, expected, "{content_type}: everything is passed on");
    }
}

#[tokio::test(start_paused = true)]
async fn the_table_of_the_docs_is_what_events_say() {
    let rows: Vec<Vec<&str>> = include_str!("../../../docs/grpc.md")
        .lines()
        .filter(|line| {
            line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        })
        .map(|line| line.split('|').map(|cell| cell.trim_matches([' ', '`', '–'])).collect())
        .collect();
    assert_eq!(rows.len(), 17);
    for (code, row) in rows.iter().enumerate() {
        let (event, _) = told_of("application/grpc", move || vec![trailers(&code.to_string())]).await;
        let names = Code::from(code as i32).to_string();
        assert_eq!(
            (row[1], row[3], row[4]),
            (code.to_string().as_str(), event.outcome.expect("one").to_string().as_str(), error(&event).unwrap_or("")),
            "{names}"
        );
    }
}

/// A status in the head, of a response that has nothing else; and one that some layer gave before the service was asked.
#[tokio::test(start_paused = true)]
async fn the_head_alone() {
    for (http, grpc, outcome) in [(200, Some("7"), 403), (503, Some("16"), 401), (403, None, 403), (200, None, 500)] {
        let (log, store) = memory_log().await;
        let service = AuditLayer::new(&log, policy([rule()])).layer(tower::service_fn(
            move |_request: Request<Body>| async move {
                let mut answer = Response::builder().status(http).header("content-type", "application/grpc");
                if let Some(grpc) = grpc {
                    answer = answer.header("grpc-status", grpc);
                }
                Ok::<_, std::convert::Infallible>(answer.body(Body::empty()).expect("valid"))
            },
        ));
        let call = Request::post("/bank.Vault/Open").body(Body::empty()).expect("a valid request");
        let answer = service.oneshot(call).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::from_u16(http).expect("a status"));
        assert!(http_body::Body::is_end_stream(answer.body()));
        assert_eq!(told(&store).0.outcome, Some(outcome), "{http} {grpc:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_answer_is_an_outcome() {
    let (log, store) = memory_log().await;
    let service = AuditLayer::new(&log, policy([rule()])).layer(tower::service_fn(|_request: Request<Body>| async {
        let body = StreamBody::new(futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> { panic!("on purpose") },
        ));
        Ok::<_, std::convert::Infallible>(
            Response::builder().header("content-type", "application/grpc").body(body).expect("valid"),
        )
    }));
    let call = Request::post("/bank.Vault/Open").body(Body::empty()).expect("a valid request");
    let panic = tokio::spawn(service.oneshot(call)).await.expect_err("the panic goes on").into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    let (event, _) = told(&store);
    assert_eq!((event.outcome, &event.details["panic"]), (Some(500), &true.into()));
}

/// A service of its own log within another's: each event is right.
#[tokio::test]
async fn layers_of_two_logs_each_see_the_end() {
    for asked in ["denied", "slow denied"] {
        let (inner_log, inner) = memory_log().await;
        let (outer_log, outer) = memory_log().await;
        let vault = Vault::new();
        vault.gate.add_permits(1);
        let service = AuditLayer::new(&inner_log, policy([rule()])).layer(tonic::service::Routes::new(vault).prepare());
        let service = AuditLayer::new(&outer_log, policy([rule()])).layer(service);
        let answer = service.oneshot(watching(asked)).await.expect("infallible");
        let collected = answer.into_body().collect().await.expect("it ends well");
        assert_eq!(collected.trailers().expect("trailers")["grpc-status"], "7");
        for store in [inner, outer] {
            assert_eq!(told(&store).0.outcome, Some(403), "{asked}");
        }
    }
}

/// A store that was only slow leaves no `started` event without its end, though the client has been refused.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_refused_too_early_is_ended_all_the_same() {
    let (log, faulty, memory) = faulty_log().await;
    let service = AuditLayer::new(&log, policy([rule()])).layer(tonic::service::Routes::new(Vault::new()).prepare());
    faulty.pause_appends();
    let answer = service.oneshot(watching("slow")).await.expect("infallible");
    assert_eq!(answer.headers()["grpc-status"], "2");
    assert!(http_body::Body::is_end_stream(answer.body()));
    faulty.resume_appends();
    log.close().await.expect("everything is written");
    let (completed, started) = told(&memory);
    assert_eq!((completed.outcome, started), (Some(500), 1));
    assert_eq!(completed.details["grpc_status"], 2);
    assert_eq!(answer.headers()["audit-event-id"], *of_phase(&memory, Phase::Started)[0].event_id.to_string());
}

#[tokio::test]
async fn a_stream_whose_end_cannot_be_recorded_does_not_end_well() {
    let (log, faulty, memory) = faulty_log().await;
    let vault = Vault::new();
    let mut client = Client::connect(serve(vault.clone(), AuditLayer::new(&log, policy([rule()]))).await).await;
    let mut stream = client.watch("slow").await.expect("it begins well");
    stream.message().await.expect("a message").expect("a message");
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    vault.gate.add_permits(1);
    assert_eq!(stream.message().await.expect("a message").expect("a message"), "two");
    stream.message().await.expect_err("the client must not take it for OK");
    assert_eq!(memory.events().len(), 1, "started");
}

fn watching(asked: &str) -> Request<Body> {
    let mut framed = vec![0, 0, 0, 0, asked.len() as u8];
    framed.extend(asked.bytes());
    let call = Request::post("/bank.Vault/Watch").header("content-type", "application/grpc");
    call.body(Body::new(http_body_util::Full::from(framed))).expect("a valid request")
}
