//! An unaudited request allocates nothing, and an audited one little. In a binary of its own, because its allocator counts.

use std::convert::Infallible;
use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use tower::{Layer as _, Service};
use tower_audit::policy::presets;
use tower_audit::{Actor, AuditLayer, AuditLog, AuditPolicy};

/// Counts the allocations of one call of the service. The request is made beforehand.
fn allocations<S, R>(service: &mut S, request: Request<()>) -> u64
where
    S: Service<Request<()>, Response = Response<R>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut answer = None;
    let counted = allocation_counter::measure(|| {
        let mut future = std::pin::pin!(service.call(request));
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(response)) => answer = Some(response),
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => panic!("the handler answers at once"),
        }
    });
    drop(answer);
    counted.count_total
}

fn requests() -> [Request<()>; 4] {
    let get = |uri: &str| {
        Request::builder()
            .method(Method::GET)
            .uri(uri)
            // Shared already, as those that a server parses are: slices of its buffer.
            .header("authorization", HeaderValue::from_static("Bearer alice-token"))
            .header("user-agent", HeaderValue::from_static("probe"))
            .header("x-request-id", HeaderValue::from_static("1"))
            .body(())
            .expect("a valid request")
    };
    let post = Request::builder().method(Method::POST).uri("/notes").body(()).expect("a valid request");
    [get("/health"), get("/scans?n=10"), get("/a/very/long/path/of/many/segments/%41nd/one/more"), post]
}

#[test]
fn an_unaudited_request_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let log = runtime.block_on(AuditLog::open("memory:")).expect("a log in memory");
    let bare = tower::service_fn(|_request: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok")))))
    });
    let with_limit = AuditPolicy::builder().preset_ivre().max_results(1000).build().expect("a valid policy");
    for policy in [presets::ivre(), with_limit] {
        let mut audited = AuditLayer::new(&log, policy).layer(bare);
        for request in requests() {
            // A first call, for one-time set-up.
            allocations(&mut audited, Request::new(()));
            let uri = request.uri().clone();
            let mut request = request;
            request.extensions_mut().insert(Arc::new(Actor::user("alice")));
            assert_eq!(allocations(&mut audited, request), 0, "{uri}");
        }
    }
}

/// The state of the request, its lifecycle, and the context in the extensions. Blocks of up to 1,032 bytes are
/// those that glibc keeps for each thread; it keeps seven of a size, so that this bounds memory more than it saves time.
#[test]
fn an_audited_request_begins_with_three_small_allocations() {
    const MAX_FAST_BYTES: u64 = 1032;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let log = runtime.block_on(AuditLog::open("memory:")).expect("a log in memory");
    let _entered = runtime.enter();
    let handler = tower::service_fn(|_request: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok")))))
    });
    let policy = AuditPolicy::builder().rule(presets::ivre::upload().paths(["/notes"])).build();
    let mut audited = AuditLayer::new(&log, policy.expect("a valid policy")).layer(handler);
    let uri = Uri::from_static("/notes");
    let request = || Request::builder().method(Method::POST).uri(uri.clone()).body(()).expect("a valid request");
    // A first request, to its end: its thread then has a block for the head of the next.
    runtime.block_on(audited.call(request())).expect("infallible");
    let mut request = request();
    request.extensions_mut().insert(1_u8);
    let mut future = None;
    let begun = allocation_counter::measure(|| future = Some(audited.call(request)));
    assert_eq!(begun.count_total, 3);
    assert!(begun.bytes_total <= 2 * MAX_FAST_BYTES + 16, "{} bytes", begun.bytes_total);
}

/// As many allocations with a recorder as without: handles are made when the log is opened, and with the first event of a type.
#[cfg(feature = "metrics")]
#[test]
fn metrics_allocate_nothing_on_an_audited_request() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let counted = || {
        let log = runtime.block_on(AuditLog::open("memory:")).expect("a log in memory");
        let bare = tower::service_fn(|_request: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok")))))
        });
        let mut audited = AuditLayer::new(&log, presets::ivre()).layer(bare);
        let mut run = |requests: u32| {
            let counted = allocation_counter::measure(|| {
                for _ in 0..requests {
                    let request = Request::post("/scans").body(()).expect("a valid request");
                    runtime.block_on(audited.call(request)).expect("infallible");
                }
            });
            counted.count_total
        };
        // The first ones set up; the store's map grows in steps, the same with a recorder and without.
        run(10);
        run(100)
    };
    let without = counted();
    let with = metrics::with_local_recorder(&CallCounter, counted);
    assert!(CALLS.load(Ordering::Relaxed) > 500, "it was called");
    assert_eq!(with, without);
}

/// The number of calls of any handle.
#[cfg(feature = "metrics")]
static CALLS: AtomicU64 = AtomicU64::new(0);

/// A recorder that counts calls and allocates nothing for them.
#[cfg(feature = "metrics")]
struct CallCounter;

#[cfg(feature = "metrics")]
mod call_counter {
    use super::*;
    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit,
    };

    fn call() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    impl CounterFn for CallCounter {
        fn increment(&self, _: u64) {
            call();
        }

        fn absolute(&self, _: u64) {
            call();
        }
    }

    impl GaugeFn for CallCounter {
        fn increment(&self, _: f64) {
            call();
        }

        fn decrement(&self, _: f64) {
            call();
        }

        fn set(&self, _: f64) {
            call();
        }
    }

    impl HistogramFn for CallCounter {
        fn record(&self, _: f64) {
            call();
        }
    }

    impl Recorder for CallCounter {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::new(CallCounter))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::new(CallCounter))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(CallCounter))
        }
    }
}
