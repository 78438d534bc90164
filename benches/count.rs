//! Runs a named case N times and does nothing else, for `instructions.sh`.

mod support;

use std::future::ready;
use std::hint::black_box;

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{Method, Request};
use http_body_util::Full;
use support::*;
use tower::layer::util::Identity;
use tower::{Layer as _, Service};
use tower_audit::policy::presets;
use tower_audit::{AuditContext, AuditLayer, AuditLog, AuditPolicy};

/// A name, and the function that runs the case N times.
type Case = (&'static str, fn(usize));

const CASES: &[Case] = &[
    ("bare-get", |n| plain(n, None, get)),
    ("layer-get", |n| plain(n, Some(presets::ivre()), get)),
    ("limit-get", |n| plain(n, Some(with_limit()), get)),
    ("rules-10-get", |n| plain(n, Some(with_rules(10)), get)),
    ("rules-60-get", |n| plain(n, Some(with_rules(60)), get)),
    ("bare-post", |n| plain(n, None, other_post)),
    ("rules-10-post", |n| plain(n, Some(with_rules(10)), other_post)),
    ("rules-60-post", |n| plain(n, Some(with_rules(60)), other_post)),
    ("axum-bare", |n| routed(n, None)),
    ("axum-layer", |n| routed(n, Some(presets::ivre()))),
    ("axum-limit", |n| routed(n, Some(with_limit()))),
    ("candidates-get", |n| candidates(n, Method::GET, "/health")),
    ("candidates-post", |n| candidates(n, Method::POST, "/scans")),
    ("candidates-encoded", |n| candidates(n, Method::POST, "/%73cans//x/..")),
    ("event", built),
    ("target-named", |n| touched(n, true)),
    ("target-not-named", |n| touched(n, false)),
    ("target-of-rule", |n| of_rule(n, true)),
    ("target-of-no-rule", |n| of_rule(n, false)),
    ("audited", |n| audited(n, 1)),
    ("audited-64", |n| audited(n, 64)),
    ("unlogged", |n| unlogged(n, 1)),
    ("unlogged-64", |n| unlogged(n, 64)),
    ("event-dropped", events),
    ("record", |n| recorded(n, 1)),
    ("record-64", |n| recorded(n, 64)),
];

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    match (args.next(), args.next().and_then(|count| count.parse().ok())) {
        (Some(name), Some(count)) => {
            let case = CASES.iter().find(|(known, _)| *known == name);
            case.unwrap_or_else(|| panic!("no case {name:?}")).1(count);
        }
        // Run by cargo: each case once, so that it is known to run.
        _ => CASES.iter().for_each(|(_, case)| case(2)),
    }
}

fn other_post() -> Request<()> {
    request(Method::POST, "/area/part-x/17", ())
}

/// Through a plain service, without a runtime.
fn plain(count: usize, policy: Option<AuditPolicy>, request: fn() -> Request<()>) {
    fn run(
        count: usize,
        mut service: impl Service<Request<()>, Error = std::convert::Infallible>,
        make: fn() -> Request<()>,
    ) {
        for _ in 0..count {
            black_box(call_now(&mut service, make()));
        }
    }
    let runtime = current_thread();
    let log = runtime.block_on(log());
    match policy {
        None => run(count, bare(), request),
        Some(policy) => run(count, AuditLayer::new(&log, policy).layer(bare()), request),
    }
}

/// Through a router of axum. Without a policy, its layer does nothing.
fn routed(count: usize, policy: Option<AuditPolicy>) {
    let runtime = current_thread();
    let log = runtime.block_on(log());
    let app = Router::new().route("/health", axum::routing::get(|| async { "ok" }));
    let mut app: Router = match policy {
        None => app.layer(Identity::new()),
        Some(policy) => app.layer(AuditLayer::new(&log, policy)),
    };
    for _ in 0..count {
        let request = request(Method::GET, "/health", Body::empty());
        black_box(call_now(&mut app, request));
    }
}

fn candidates(count: usize, method: Method, path: &str) {
    let policy = presets::ivre();
    for _ in 0..count {
        black_box(policy.matching_rules(black_box(&method), black_box(path)));
    }
}

/// A request whose event is built and then refused by a log that is closed.
fn built(count: usize) {
    let runtime = current_thread();
    let log = runtime.block_on(closed_log());
    let _entered = runtime.enter();
    let mut service = AuditLayer::new(&log, letting_go()).layer(bare());
    for _ in 0..count {
        black_box(call_now(&mut service, post()));
    }
}

/// The same with a handler that looks for the context, and names a target or does not.
fn touched(count: usize, names_target: bool) {
    let runtime = current_thread();
    let log = runtime.block_on(closed_log());
    let _entered = runtime.enter();
    let handler = tower::service_fn(move |_request: Request<()>| {
        let audit = AuditContext::current().expect("a layer is around");
        if names_target {
            audit.target("order", 7);
        }
        ready(Ok::<_, std::convert::Infallible>(Answer::new(Full::new(Bytes::from_static(b"done\n")))))
    });
    let mut service = AuditLayer::new(&log, letting_go()).layer(handler);
    for _ in 0..count {
        black_box(call_now(&mut service, post()));
    }
}

/// The same with a parameter in the path, which is the target or is not.
fn of_rule(count: usize, is_target: bool) {
    let runtime = current_thread();
    let log = runtime.block_on(closed_log());
    let _entered = runtime.enter();
    let mut service = AuditLayer::new(&log, with_parameter(is_target)).layer(bare());
    for _ in 0..count {
        black_box(call_now(&mut service, request(Method::POST, "/orders/7", ())));
    }
}

/// So many requests at a time, from arrival to response.
fn audited(count: usize, at_once: usize) {
    current_thread().block_on(async {
        let log = log().await;
        batches(count, at_once, AuditLayer::new(&log, presets::ivre()).layer(bare())).await;
        assert_eq!(log.stats().written, count as u64);
    });
}

/// The requests without auditing.
fn unlogged(count: usize, at_once: usize) {
    current_thread().block_on(batches(count, at_once, bare()));
}

async fn batches<S>(count: usize, at_once: usize, mut service: S)
where
    S: Service<Request<()>, Error = std::convert::Infallible>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    for start in (0..count).step_by(at_once) {
        // Tasks, as a server has them.
        let tasks = (start..count.min(start + at_once)).map(|_| tokio::spawn(service.call(post())));
        for done in join_all(tasks).await {
            let _ = black_box(done.expect("no task panics"));
        }
    }
}

fn events(count: usize) {
    for _ in 0..count {
        black_box(event());
    }
}

fn recorded(count: usize, at_once: usize) {
    current_thread().block_on(async {
        let log = log().await;
        for start in (0..count).step_by(at_once) {
            let tasks = (start..count.min(start + at_once)).map(|_| tokio::spawn(record(log.clone())));
            for done in join_all(tasks).await {
                done.expect("no task panics");
            }
        }
    });
}

async fn record(log: AuditLog) {
    log.record(event()).await.expect("a store that accepts everything");
}
