//! Costs of the layer: an unaudited request, an audited one, and its parts.

mod support;

use std::convert::Infallible;
use std::hint::black_box;

use axum::Router;
use axum::body::Body;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use http::{Method, Request};
use support::*;
use tower::layer::util::Identity;
use tower::{Layer as _, Service};
use tower_audit::AuditLayer;
use tower_audit::policy::presets;

fn unaudited(criterion: &mut Criterion) {
    let runtime = current_thread();
    let log = runtime.block_on(log());
    let mut group = criterion.benchmark_group("unaudited/service_fn");
    answers(&mut group, "no layer", bare(), get);
    for (name, policy) in [("layer", presets::ivre()), ("max_results", with_limit()), ("10 rules", with_rules(10))] {
        answers(&mut group, name, AuditLayer::new(&log, policy).layer(bare()), get);
    }
    group.finish();

    let mut group = criterion.benchmark_group("unaudited/axum");
    let app = || Router::new().route("/health", axum::routing::get(|| async { "ok" }));
    let get = || request(Method::GET, "/health", Body::empty());
    answers(&mut group, "layer that does nothing", app().layer(Identity::new()), get);
    for (name, policy) in [("layer", presets::ivre()), ("max_results", with_limit()), ("10 rules", with_rules(10))] {
        answers(&mut group, name, app().layer(AuditLayer::new(&log, policy)), get);
    }
    group.finish();
}

fn answers<S, B>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut service: S, make: fn() -> Request<B>)
where
    S: Service<Request<B>, Error = Infallible>,
{
    group.bench_function(name, |bencher| {
        bencher.iter_batched(make, |request| call_now(&mut service, request), BatchSize::SmallInput);
    });
}

fn audited(criterion: &mut Criterion) {
    let runtime = current_thread();
    let log = runtime.block_on(log());
    let service = AuditLayer::new(&log, presets::ivre()).layer(bare());
    let mut group = criterion.benchmark_group("audited/service_fn");
    group.bench_function("no layer", |bencher| {
        bencher.iter_batched(post, |request| runtime.block_on(bare().call(request)), BatchSize::SmallInput);
    });
    group.bench_function("acknowledged at once", |bencher| {
        bencher.iter_batched(
            || (post(), service.clone()),
            |(request, mut service)| runtime.block_on(async move { service.call(request).await }),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let runtime = current_thread();
    let closed = runtime.block_on(closed_log());
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("parts");
    answers(&mut group, "event built and let go", AuditLayer::new(&closed, letting_go()).layer(bare()), post);
    let policy = presets::ivre();
    for (name, method, path) in [
        ("candidates GET", Method::GET, "/health"),
        ("candidates POST", Method::POST, "/scans"),
        ("candidates POST, encoded", Method::POST, "/%73cans//x/.."),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| policy.matching_rules(black_box(&method), black_box(path)));
        });
    }
    group.finish();
}

criterion_group!(benches, unaudited, audited, parts);
criterion_main!(benches);
