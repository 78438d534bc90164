//! An unaudited request allocates nothing, and an audited one little. In a binary of its own, because its allocator counts.

use std::convert::Infallible;
use std::sync::Arc;
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

/// The state of the request, its lifecycle, and the context in the extensions. Beyond 1,032 bytes, the allocator of glibc
/// takes its slow path, and merges neighbouring blocks with each of them that is freed.
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
    drop(audited.call(request()));
    let mut request = request();
    request.extensions_mut().insert(1_u8);
    let mut future = None;
    let begun = allocation_counter::measure(|| future = Some(audited.call(request)));
    assert_eq!(begun.count_total, 3);
    assert!(begun.bytes_total <= 2 * MAX_FAST_BYTES + 16, "{} bytes", begun.bytes_total);
}
