//! Several layers around a request. Those of one log record it once, by the rules of the inner one; each run of a handler
//! has one end, and no response leaves that nobody has told.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{AuditLayer, AuditLog, AuditPolicy, EventType, Phase, RecordWhen, ResultCount, Rule};

use crate::layer::support::{Body, answering, delete, memory_log, of_phase, post, response};

fn own(name: &str) -> Rule {
    Rule::new(EventType::new(name).expect("a valid type")).when(RecordWhen::always())
}

/// The types and outcomes of the completed events, the oldest first.
fn told(store: &MemoryStore) -> Vec<(String, Option<u16>)> {
    let mut completed = of_phase(store, Phase::Completed);
    completed.reverse();
    completed.iter().map(|event| (event.event_type.as_str().to_owned(), event.outcome)).collect()
}

#[tokio::test(start_paused = true)]
async fn two_layers_record_once() {
    for request in [post("/scans"), delete("/auth/admin/users/bob")] {
        let (log, store) = memory_log().await;
        let layer = AuditLayer::new(&log, presets::ivre());
        let service = layer.layer(layer.clone().layer(answering(StatusCode::OK)));
        service.oneshot(request).await.expect("infallible");
        assert_eq!(of_phase(&store, Phase::Completed).len(), 1);
        assert!(of_phase(&store, Phase::Started).len() <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_rule_takes_the_place_of_the_outer_one() {
    for path in ["/scans", "/not/named/by/the/outer"] {
        let (log, store) = memory_log().await;
        let outer = AuditLayer::new(&log, presets::ivre());
        let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule");
        let service = outer.layer(inner.layer(answering(StatusCode::IM_A_TEAPOT)));
        service.oneshot(post(path)).await.expect("infallible");
        let events = store.events();
        assert_eq!(events.len(), 1, "{path}");
        assert_eq!(events[0].event_type.as_str(), "scan.imported");
        assert_eq!(events[0].outcome, Some(418));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_outer_layer_started_the_inner_one_ends() {
    let (log, store) = memory_log().await;
    let outer = AuditLayer::new(&log, presets::ivre());
    let inner = AuditLayer::for_route(&log, own("user.removed").write_ahead(true)).expect("a valid rule");
    let service = outer.layer(inner.layer(answering(StatusCode::OK)));
    service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    let started = of_phase(&store, Phase::Started);
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!((started.len(), completed.len()), (1, 1));
    assert_eq!(completed[0].request.started_event_id, Some(started[0].event_id));
    assert_eq!(completed[0].event_type.as_str(), "user.removed");
}

#[tokio::test(start_paused = true)]
async fn layers_on_different_tasks_record_once() {
    for path in ["/scans", "/elsewhere"] {
        let (log, store) = memory_log().await;
        let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule");
        let inner = inner.layer(answering(StatusCode::OK));
        // A buffer runs the inner service on a task of its own.
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(&log, presets::ivre()))
            .layer(tower::buffer::BufferLayer::new(4))
            .service(inner);
        service.oneshot(post(path)).await.expect("it answers");
        assert_eq!(store.events().len(), 1, "{path}");
        assert_eq!(store.events()[0].event_type.as_str(), "scan.imported");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_between_two_layers_and_the_handler_that_still_runs_are_both_told() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule").layer(handler);
    let between =
        tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let service = AuditLayer::new(&log, presets::ivre()).layer(between.layer(inner));
    let answer = service.oneshot(post("/scans")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    // Durable before the answer of the timeout leaves, by the rules of the inner layer.
    assert_eq!(told(&store), [("scan.imported".to_owned(), Some(504))]);
    log.close().await.expect("everything is written");
    // And the handler had an end of its own.
    assert_eq!(told(&store), [("scan.imported".to_owned(), Some(504)), ("scan.imported".to_owned(), Some(200))]);
    let events = store.events();
    assert_eq!(events[0].request.request_id, events[1].request.request_id, "they are of one request");
}

/// Nothing leads from one layer to the other but the response, and a response may be of any request.
#[tokio::test(start_paused = true)]
async fn a_request_made_anew_between_two_layers_is_another_one() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        let mut response = response(StatusCode::OK);
        response.extensions_mut().insert(ResultCount(5000));
        Ok::<_, Infallible>(response)
    });
    let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule").layer(handler);
    let policy = AuditPolicy::builder().preset_ivre().max_results(1000).build().expect("a valid policy");
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(&log, policy))
        .map_request(|request: Request<Body>| post(request.uri().path()))
        .service(inner);
    for (path, outer) in [("/scans", "upload"), ("/elsewhere", "oversize_query")] {
        let before = store.events().len();
        service.clone().oneshot(post(path)).await.expect("it answers");
        let types = told(&store)[before..].iter().map(|(event_type, _)| event_type.clone()).collect::<Vec<_>>();
        assert_eq!(types, ["scan.imported", outer], "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_between_two_layers_waits_for_the_event_that_the_inner_one_is_writing() {
    let store = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(store.clone()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("it opens");
    let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule");
    let between =
        tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let service = AuditLayer::new(&log, presets::ivre()).layer(between.layer(inner.layer(answering(StatusCode::OK))));
    faulty.pause_appends();
    let mut answer = tokio::spawn(service.oneshot(post("/scans")));
    faulty.until_paused(1).await;
    // The timeout fires while the event is on its way.
    let early = tokio::time::timeout(Duration::from_secs(2), &mut answer).await;
    assert!(early.is_err(), "the answer left before the event was durable");
    faulty.resume_appends();
    assert_eq!(answer.await.expect("no panic").expect("infallible").status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(store.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_inner_layer_is_not_taken_for_an_outcome() {
    let store = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(store.clone()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("it opens");
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    let inner = AuditLayer::for_route(&log, own("scan.imported").write_ahead(true)).expect("a valid rule");
    let service = AuditLayer::new(&log, presets::ivre()).layer(inner.layer(answering(StatusCode::OK)));
    for path in ["/scans", "/elsewhere"] {
        let answer = service.clone().oneshot(post(path)).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.headers().contains_key("retry-after"));
    }
}

fn counting(
    count: u64,
) -> impl tower::Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send {
    tower::service_fn(move |_request: Request<Body>| async move {
        let mut response = response(StatusCode::OK);
        response.extensions_mut().insert(ResultCount(count));
        Ok(response)
    })
}

/// A layer that has a limit of its own, and no rule that names a request, changes the limit of the one around it.
#[tokio::test(start_paused = true)]
async fn an_inner_limit_takes_the_place_of_the_outer_one() {
    let limited = |log: &AuditLog, max| {
        let policy = AuditPolicy::builder().preset_ivre().max_results(max).build().expect("a valid policy");
        AuditLayer::new(log, policy)
    };
    let oversize = |max| vec![("oversize_query".to_owned(), max)];
    for (path, count, outer, inner, expected) in [
        ("/list", 5000, None, 1000, oversize(1000)),
        ("/list", 5000, Some(10_000), 1000, oversize(1000)),
        ("/list", 5000, Some(1000), 10_000, vec![]),
        ("/list", 5000, Some(1000), 2000, oversize(2000)),
        // Nothing but the limit: what the outer rules are about stays theirs.
        ("/auth/admin/x", 500, Some(100), 1000, vec![("admin_action".to_owned(), 0)]),
    ] {
        let (log, store) = memory_log().await;
        let only = AuditPolicy::builder().rule(presets::oversize_query()).max_results(inner).build().expect("valid");
        let inner = AuditLayer::new(&log, only).layer(counting(count));
        let outer = outer.map_or_else(|| AuditLayer::new(&log, presets::ivre()), |max| limited(&log, max));
        outer.layer(inner).oneshot(delete(path)).await.expect("infallible");
        let told: Vec<_> = of_phase(&store, Phase::Completed)
            .iter()
            .map(|event| {
                let max = event.details.get("max_results").and_then(serde_json::Value::as_u64);
                (event.event_type.as_str().to_owned(), max.unwrap_or(0))
            })
            .collect();
        assert_eq!(told, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_rule_for_oversize_queries_has_no_limit_and_is_refused() {
    let (log, _store) = memory_log().await;
    let error = AuditLayer::for_route(&log, presets::oversize_query()).expect_err("it would never hold");
    assert_eq!(error.key(), Some("max_results"));
    assert!(error.to_string().contains("AuditLayer::new"), "{error}");
}

/// The `started` event of the outer layer takes four of the five seconds, the end that the inner one writes hangs.
#[tokio::test(start_paused = true)]
async fn layers_of_one_log_share_one_write_timeout() {
    let memory = MemoryStore::new();
    let store = FaultyStore::new(Arc::new(memory.clone()));
    let log = AuditLog::builder().store(Arc::new(store.clone())).open().await.expect("it opens");
    let outer = AuditLayer::new(&log, presets::ivre());
    let inner = AuditLayer::for_route(&log, own("user.removed")).expect("a valid rule");
    let hangs = store.clone();
    let handler = tower::service_fn(move |_request: Request<Body>| {
        hangs.pause_appends();
        async { Ok::<_, Infallible>(response(StatusCode::OK)) }
    });
    store.pause_appends();
    let begun = tokio::time::Instant::now();
    let answer = tokio::spawn(outer.layer(inner.layer(handler)).oneshot(delete("/auth/admin/users/bob")));
    store.until_paused(1).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    store.resume_appends();
    assert_eq!(answer.await.expect("no panic").expect("infallible").status(), 500);
    assert!(begun.elapsed() <= Duration::from_millis(5100), "{:?}", begun.elapsed());
    store.resume_appends();
}

/// The inner rule leaves a 200 out. The client gets something else, which the outer rule records.
#[tokio::test(start_paused = true)]
async fn an_end_made_of_one_that_the_inner_rule_leaves_out_is_told() {
    #[derive(Debug, Clone, Copy)]
    enum Between {
        PassesOn,
        ChangesStatus,
        Answers,
        Panics,
    }
    for (between, expected) in [
        (Between::PassesOn, vec![]),
        (Between::ChangesStatus, vec![("a.outer".to_owned(), Some(502))]),
        (Between::Answers, vec![("a.outer".to_owned(), Some(502))]),
        (Between::Panics, vec![("a.outer".to_owned(), Some(500))]),
    ] {
        // A layer around the inner one that has no say, or the same rule, changes nothing about it.
        for layers in 1..=2 {
            let (log, store) = memory_log().await;
            let rule = own("b.inner").when(RecordWhen::statuses(500..=599));
            let inner = AuditLayer::for_route(&log, rule).expect("a valid rule");
            let boxed = |answer: Response<tower_audit::AuditBody<Body>>| answer.map(axum::body::Body::new);
            let service = inner.layer(answering(StatusCode::OK)).map_response(boxed);
            let twice = inner
                .layer(inner.layer(answering(StatusCode::OK)))
                .map_response(|answer: Response<_>| answer.map(axum::body::Body::new));
            let inner = if layers == 1 { BoxCloneSyncService::new(service) } else { BoxCloneSyncService::new(twice) };
            let service = tower::service_fn(move |request: Request<Body>| {
                let answer = inner.clone().oneshot(request);
                async move {
                    let mut answer = answer.await.expect("infallible");
                    match between {
                        Between::PassesOn => {}
                        Between::ChangesStatus => *answer.status_mut() = StatusCode::BAD_GATEWAY,
                        Between::Answers => {
                            answer = Response::new(axum::body::Body::empty());
                            *answer.status_mut() = StatusCode::BAD_GATEWAY;
                        }
                        Between::Panics => panic!("on purpose"),
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            let policy = AuditPolicy::builder().rule(own("a.outer").paths(["/{*rest}"])).build().expect("valid");
            let service = AuditLayer::new(&log, policy).layer(service);
            drop(tokio::spawn(service.oneshot(post("/x"))).await);
            assert_eq!(told(&store), expected, "{between:?}, {layers} layers within");
        }
    }
}

/// A layer of a single route has no capture settings of its own: those of the layer around it apply.
#[tokio::test(start_paused = true)]
async fn a_layer_of_one_route_takes_the_settings_of_the_layer_around_it() {
    let proxy = || std::net::SocketAddr::from(([10, 0, 0, 1], 443));
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tower_audit::AuditContext::current().expect("a layer is around").detail("iban", "DE89");
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let (log, store) = memory_log().await;
    let outer = AuditPolicy::builder()
        .preset_ivre()
        .redact(["iban"])
        .trusted_proxies(["10.0.0.0/8".parse().expect("a network")], tower_audit::policy::ProxyHeader::XForwardedFor)
        .query_string(tower_audit::policy::QueryString::Redacted)
        .build()
        .expect("a valid policy");
    let inner = AuditLayer::for_route(&log, own("a.inner")).expect("a valid rule");
    let service = AuditLayer::new(&log, outer).layer(inner.layer(handler));
    for path in ["/scans", "/not/named"] {
        let mut request = post(&format!("{path}?page=2"));
        request.headers_mut().insert("x-forwarded-for", http::HeaderValue::from_static("192.0.2.7"));
        request.extensions_mut().insert(tower_audit::PeerAddr(proxy()));
        service.clone().oneshot(request).await.expect("infallible");
        let event = &store.events()[0];
        assert_eq!(event.event_type.as_str(), "a.inner");
        assert_eq!(event.details["iban"], "***", "{path}");
        assert_eq!(event.actor.remote_addr.as_deref(), Some("192.0.2.7"));
        assert_eq!(event.request.request_uri.as_deref(), Some(&*format!("{path}?page=2")));
    }
}
