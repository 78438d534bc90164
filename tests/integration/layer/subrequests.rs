//! Requests that a handler sends into an audited service of its own process: each is one of its own, with events of its
//! own: no effect without a trace, exactly one event.

use std::convert::Infallible;

use axum::{Router, routing};
use futures_util::future::join_all;
use http::{Extensions, HeaderValue, Method, Request, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::MemoryStore;
use tower_audit::{
    Actor, AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, Phase, RecordWhen, ResultCount, Rule,
};

use crate::layer::support::{Body, answering, delete, memory_log, of_phase, post, request, response};

type Service = BoxCloneSyncService<Request<Body>, http::Response<tower_audit::AuditBody<Body>>, Infallible>;

fn own(name: &str) -> Rule {
    Rule::new(EventType::new(name).expect("a valid type")).when(RecordWhen::always())
}

fn admin(log: &AuditLog) -> Service {
    BoxCloneSyncService::new(AuditLayer::new(log, presets::ivre()).layer(answering(StatusCode::OK)))
}

/// The URIs of the completed events, the oldest first. Each of an admin action has a `started` event of its own.
fn told(store: &MemoryStore) -> Vec<(String, Option<u16>)> {
    let events = store.events();
    let mut told: Vec<_> = events
        .iter()
        .filter(|event| event.phase == Phase::Completed)
        .map(|end| {
            let uri = uri(end);
            let started = events.iter().find(|event| Some(event.event_id) == end.request.started_event_id);
            assert_eq!(started.is_some(), uri.starts_with("/auth/admin"), "{uri}");
            if let Some(started) = started {
                assert_eq!(
                    (uri.as_str(), &started.request.request_id),
                    (&*self::uri(started), &end.request.request_id)
                );
            }
            (uri, end.outcome)
        })
        .collect();
    assert_eq!(of_phase(store, Phase::Started).len(), told.iter().filter(|(uri, _)| uri.starts_with("/auth")).count());
    told.reverse();
    told
}

fn uri(event: &AuditEvent) -> String {
    event.request.request_uri.as_deref().expect("a URI").to_owned()
}

/// The concurrency of the requests that a batch handler sends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sends {
    OneAfterTheOther,
    AtOnce,
    OnTasksOfTheirOwn,
}

/// A handler of batches, whose parts are removals of users.
fn batch(log: &AuditLog, sends: Sends, copies_extensions: bool) -> Service {
    let inner = admin(log);
    let handler = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            let extensions = if copies_extensions { request.extensions().clone() } else { Extensions::new() };
            let parts = ["a", "b", "c"].map(|user| {
                let mut part = delete(&format!("/auth/admin/users/{user}"));
                *part.extensions_mut() = extensions.clone();
                inner.clone().oneshot(part)
            });
            match sends {
                Sends::OneAfterTheOther => {
                    for part in parts {
                        part.await.expect("infallible");
                    }
                }
                Sends::AtOnce => {
                    join_all(parts).await;
                }
                Sends::OnTasksOfTheirOwn => {
                    for part in parts.map(tokio::spawn) {
                        part.await.expect("no panic").expect("infallible");
                    }
                }
            }
            Ok::<_, Infallible>(response(StatusCode::MULTI_STATUS))
        }
    });
    let policy = AuditPolicy::builder().preset_ivre().rule(own("batch.run").paths(["/batch"])).build().expect("valid");
    BoxCloneSyncService::new(AuditLayer::new(log, policy).layer(handler))
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_batch_has_its_own_events() {
    let sends = [Sends::OneAfterTheOther, Sends::AtOnce, Sends::OnTasksOfTheirOwn];
    for (sends, copies_extensions) in sends.into_iter().flat_map(|sends| [(sends, false), (sends, true)]) {
        for path in ["/unnamed", "/batch", "/auth/admin/batch"] {
            let (log, store) = memory_log().await;
            batch(&log, sends, copies_extensions).oneshot(request(Method::DELETE, path)).await.expect("infallible");
            let mut expected: Vec<_> =
                ["a", "b", "c"].map(|user| (format!("/auth/admin/users/{user}"), Some(200))).to_vec();
            if path != "/unnamed" {
                expected.push((path.to_owned(), Some(207)));
            }
            let mut told = told(&store);
            if sends != Sends::OneAfterTheOther {
                told[..3].sort();
            }
            assert_eq!(told, expected, "{path}, {sends:?}, extensions copied: {copies_extensions}");
        }
    }
}

/// A part that is like the request around it in everything but that it is another one.
#[tokio::test(start_paused = true)]
async fn parts_of_the_same_method_and_target_are_told_beside_the_whole() {
    let (log, store) = memory_log().await;
    let layer =
        AuditLayer::new(&log, AuditPolicy::builder().rule(own("rpc.call").paths(["/rpc"])).build().expect("valid"));
    let inner = layer.layer(answering(StatusCode::NO_CONTENT));
    let handler = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            for _ in 0..3 {
                inner.clone().oneshot(request.clone()).await.expect("infallible");
            }
            Ok::<_, Infallible>(response(StatusCode::MULTI_STATUS))
        }
    });
    layer.layer(handler).oneshot(post("/rpc")).await.expect("infallible");
    let outcomes: Vec<_> = told(&store).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [Some(204), Some(204), Some(204), Some(207)]);
}

#[tokio::test(start_paused = true)]
async fn a_router_may_send_requests_to_itself() {
    let (log, store) = memory_log().await;
    async fn batch(router: Router) -> StatusCode {
        for user in ["a", "b"] {
            let part = Request::delete(format!("/auth/admin/users/{user}")).body(axum::body::Body::empty());
            router.clone().oneshot(part.expect("valid")).await.expect("infallible");
        }
        StatusCode::MULTI_STATUS
    }
    let layer = AuditLayer::new(&log, presets::ivre());
    let users: Router = Router::new()
        .route(
            "/auth/admin/users/{user}",
            routing::delete(|audit: AuditContext| async move {
                audit.detail("by", "the part");
            }),
        )
        .layer(layer.clone());
    let app: Router = Router::new().route("/auth/admin/batch", routing::delete(move || batch(users))).layer(layer);
    let whole = Request::delete("/auth/admin/batch").body(axum::body::Body::empty()).expect("valid");
    assert_eq!(app.oneshot(whole).await.expect("infallible").status(), StatusCode::MULTI_STATUS);
    let completed = of_phase(&store, Phase::Completed);
    let said: Vec<_> = completed
        .iter()
        .map(|event| (event.resource.route.as_deref().expect("a route"), event.outcome, event.details.len()))
        .collect();
    let part = ("/auth/admin/users/{user}", Some(200), 1);
    assert_eq!(said, [("/auth/admin/batch", Some(207), 0), part, part]);
    assert_eq!(uri(&completed[1]), "/auth/admin/users/b");
    assert_eq!(told(&store).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_part_is_not_said_of_the_whole() {
    let (log, store) = memory_log().await;
    let login = tower::service_fn(|request: Request<Body>| async move {
        let context = AuditContext::current().or_else(|| request.extensions().get().cloned());
        context.expect("a layer is around").event_type(EventType::AUTH).actor(Actor::user("mallory"));
        Ok::<_, Infallible>(response(StatusCode::UNAUTHORIZED))
    });
    let login = AuditLayer::new(&log, presets::ivre()).layer(login);
    let handler = tower::service_fn(move |request: Request<Body>| {
        let mut part = post("/login");
        *part.extensions_mut() = request.extensions().clone();
        let login = login.clone();
        async move {
            login.oneshot(part).await.expect("infallible");
            Ok::<_, Infallible>(response(StatusCode::OK))
        }
    });
    AuditLayer::new(&log, presets::ivre()).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    let [whole, part] = &store.events()[..] else { panic!("{:?}", store.events()) };
    assert_eq!((uri(whole).as_str(), &whole.event_type, whole.outcome), ("/scans", &EventType::UPLOAD, Some(200)));
    assert_eq!(whole.actor.user_email, None);
    assert_eq!((uri(part).as_str(), &part.event_type, part.outcome), ("/login", &EventType::AUTH, Some(401)));
    assert_eq!(part.actor.user_email.as_deref(), Some("mallory"));
}

/// The answer to another request, on the same task or from another one, by an audited service: it is passed on as it is.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_passed_on_suppresses_nothing() {
    for from_elsewhere in [false, true] {
        let (log, store) = memory_log().await;
        let inner = admin(&log);
        let handler = tower::service_fn(move |_request: Request<Body>| {
            let answer = inner.clone().oneshot(delete("/auth/admin/users/eve"));
            async move {
                let answer = if from_elsewhere { tokio::spawn(answer).await.expect("no panic") } else { answer.await };
                let mut answer = answer.expect("infallible");
                answer.extensions_mut().insert(ResultCount(5000));
                Ok::<_, Infallible>(answer)
            }
        });
        let policy = AuditPolicy::builder().preset_ivre().max_results(1000).build().expect("valid");
        let service = AuditLayer::new(&log, policy).layer(handler);
        service.clone().oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
        assert_eq!(
            told(&store),
            ["eve", "bob"].map(|user| (format!("/auth/admin/users/{user}"), Some(200))),
            "from elsewhere: {from_elsewhere}"
        );
        // Nor does it hide what it says of the request that it now answers.
        service.oneshot(request(Method::GET, "/list")).await.expect("infallible");
        assert_eq!(store.events()[0].event_type, EventType::OVERSIZE_QUERY);
        assert_eq!(uri(&store.events()[0]), "/list");
    }
}

/// Names the type of the event of the request around it.
fn declare(name: &str) {
    let context = AuditContext::current().expect("a layer is around");
    context.event_type(EventType::new(name).expect("a valid type"));
}

/// The types and outcomes of the events, the oldest first.
fn types(store: &MemoryStore) -> Vec<(String, Option<u16>)> {
    let events = store.events().into_iter().rev();
    events.map(|event| (event.event_type.as_str().to_owned(), event.outcome)).collect()
}

/// The handlers say what they do, no rule does. The parts have the method, the target and the headers of the whole.
#[tokio::test(start_paused = true)]
async fn parts_that_only_their_handlers_name_are_told_beside_the_whole() {
    let part = tower::service_fn(|_request: Request<Body>| async {
        tokio::task::yield_now().await;
        declare("rpc.call");
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    for (path, declares, parts, is_bare) in [("/rpc", false), ("/rpc", true), ("/", false), ("/", true)]
        .iter()
        .flat_map(|(p, d)| [(*p, *d, 1), (*p, *d, 3)])
        // A server may put nothing at all into the extensions of a request.
        .flat_map(|(p, d, n)| [(p, d, n, false), (p, d, n, d)])
    {
        let (log, store) = memory_log().await;
        let inner = AuditLayer::new(&log, presets::ivre()).layer(part);
        let handler = tower::service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            async move {
                if declares {
                    declare("rpc.batch");
                }
                join_all((0..parts).map(|_| {
                    let mut part = post("/");
                    *part.uri_mut() = request.uri().clone();
                    *part.headers_mut() = request.headers().clone();
                    inner.clone().oneshot(part)
                }))
                .await;
                Ok::<_, Infallible>(response(StatusCode::MULTI_STATUS))
            }
        });
        let mut whole = post(path);
        whole.headers_mut().insert("host", HeaderValue::from_static("example.org"));
        if !is_bare {
            whole.extensions_mut().insert("of the server's");
        }
        AuditLayer::new(&log, presets::ivre()).layer(handler).oneshot(whole).await.expect("infallible");
        let mut expected = vec![("rpc.call".to_owned(), Some(200)); parts];
        expected.extend(declares.then(|| ("rpc.batch".to_owned(), Some(207))));
        assert_eq!(types(&store), expected, "{path}, the whole is declared: {declares}, bare: {is_bare}");
    }
}

/// A handler that has let go of its request: what it makes then may lie where the request lay.
#[tokio::test(start_paused = true)]
async fn a_place_in_memory_that_is_used_again_is_not_the_same_request() {
    let part = tower::service_fn(|_request: Request<Body>| async {
        declare("a.part");
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let alike = |path: &str, n: usize| {
        let mut request = post(&if path == "/" { path.to_owned() } else { format!("{path}{n:020}") });
        request.headers_mut().insert("x-tag", HeaderValue::from_str(&format!("{n:040}")).expect("valid"));
        request
    };
    for path in ["/", "/items/"] {
        let (log, store) = memory_log().await;
        let inner = AuditLayer::new(&log, presets::ivre()).layer(part);
        let handler = tower::service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            async move {
                drop(request);
                declare("a.whole");
                inner.oneshot(alike(path, 2)).await.expect("infallible");
                Ok::<_, Infallible>(response(StatusCode::OK))
            }
        });
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        for n in 1..=50 {
            service.clone().oneshot(alike(path, 1)).await.expect("infallible");
            assert_eq!(store.events().len(), 2 * n, "{path}");
        }
    }
}

/// A part is made of the parts of the batch's request: its path ends the path of the batch, and axum's `OriginalUri` in
/// the extensions still has that one.
#[tokio::test(start_paused = true)]
async fn a_part_whose_path_ends_the_path_of_the_batch_is_another_request() {
    for (nest, batch_path, part_path) in [
        (None, "/batch/scans", "/scans"),
        (None, "/batch", "/"),
        (Some("/api"), "/batch/scans", "/scans"),
        (Some("/api/{tenant}"), "/batch", "/"),
        (Some("/{tenant}"), "/batch", "/"),
        (Some("/{tenant}"), "/batch/scans", "/scans"),
    ] {
        let (log, store) = memory_log().await;
        let rules = [own("a.part").paths(["/", "/scans"]), own("a.batch").paths(["/batch/{*rest}"]).write_ahead(true)];
        let batch_rule =
            own("a.batch").paths(["/batch", "/api/acme/batch", "/acme/batch", "/acme/batch/scans"]).write_ahead(true);
        let policy =
            rules.into_iter().chain([batch_rule]).fold(AuditPolicy::builder(), |policy, rule| policy.rule(rule));
        let layer = AuditLayer::new(&log, policy.build().expect("valid"));
        let parts: Router =
            Router::new().route(part_path, routing::post(|| async { StatusCode::CREATED })).layer(layer.clone());
        let batch = move |request: axum::extract::Request| async move {
            let (mut head, body) = request.into_parts();
            head.uri = part_path.parse().expect("valid");
            parts.oneshot(Request::from_parts(head, body)).await.expect("infallible");
            StatusCode::MULTI_STATUS
        };
        let app: Router = Router::new().route(batch_path, routing::post(batch)).layer(layer);
        let path = format!("{}{batch_path}", nest.unwrap_or_default().replace("{tenant}", "acme"));
        let app = if let Some(nest) = nest { Router::new().nest(nest, app) } else { app };
        let request = Request::post(&path).body(axum::body::Body::empty()).expect("valid");
        app.oneshot(request).await.expect("infallible");
        let events: Vec<_> = store.events().into_iter().rev().collect();
        let told: Vec<_> = events.iter().map(|e| (e.phase, e.event_type.as_str(), uri(e), e.outcome)).collect();
        assert_eq!(
            told,
            [
                (Phase::Started, "a.batch", path.clone(), None),
                (Phase::Completed, "a.part", part_path.to_owned(), Some(201)),
                (Phase::Completed, "a.batch", path, Some(207)),
            ],
            "{nest:?} {batch_path} {part_path}"
        );
        assert_eq!(events[2].request.started_event_id, Some(events[0].event_id));
    }
}

/// A part goes to a router that is nested as the batch's own is. Its path within, and the path of both nests, are those of the
/// batch two nests deep.
#[tokio::test(start_paused = true)]
async fn a_part_that_goes_through_another_nest_is_another_request() {
    for nest in ["/{tenant}", "/api"] {
        let (log, store) = memory_log().await;
        let policy = AuditPolicy::builder().rule(own("a.call").paths(["/{*any}"])).build().expect("valid");
        let layer = AuditLayer::new(&log, policy);
        let scans = Router::new().route("/scans", routing::post(|| async { StatusCode::CREATED })).layer(layer.clone());
        let parts: Router = Router::new().nest(nest, scans);
        let batch = move |request: axum::extract::Request| async move {
            for _ in 0..3 {
                let mut part = Request::post("/api/scans").body(axum::body::Body::empty()).expect("valid");
                *part.extensions_mut() = request.extensions().clone();
                assert_eq!(parts.clone().oneshot(part).await.expect("infallible").status(), StatusCode::CREATED);
            }
            StatusCode::MULTI_STATUS
        };
        let app: Router =
            Router::new().nest(nest, Router::new().route("/api/scans", routing::post(batch)).layer(layer));
        let request = Request::post("/api/api/scans").body(axum::body::Body::empty()).expect("valid");
        app.oneshot(request).await.expect("infallible");
        let told: Vec<_> = store.events().into_iter().rev().map(|event| (uri(&event), event.outcome)).collect();
        let part = ("/scans".to_owned(), Some(201));
        let whole = ("/api/api/scans".to_owned(), Some(207));
        assert_eq!(told, [part.clone(), part.clone(), part, whole], "{nest}");
    }
}

/// One request has a bounded number of attempts; a call beyond it is recorded as a request of its own.
#[tokio::test(start_paused = true)]
async fn more_parts_than_one_request_has_attempts_are_told_each() {
    let (log, store) = memory_log().await;
    let layer =
        AuditLayer::new(&log, AuditPolicy::builder().rule(own("rpc.call").paths(["/rpc"])).build().expect("valid"));
    let inner = layer.layer(answering(StatusCode::NO_CONTENT));
    let handler = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            for _ in 0..1100 {
                inner.clone().oneshot(request.clone()).await.expect("infallible");
            }
            Ok::<_, Infallible>(response(StatusCode::MULTI_STATUS))
        }
    });
    layer.layer(handler).oneshot(post("/rpc")).await.expect("infallible");
    let outcomes: Vec<_> = told(&store).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(204)).count(), 1100);
    assert_eq!(outcomes.last(), Some(&Some(207)));
}
