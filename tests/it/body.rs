//! The body of a response: forwarded as it is, and its end an event where a rule asks for that.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::{AuditLayer, AuditLog, AuditPolicy, Phase, Rule};

use crate::support::{memory_log, of_phase, post};

type Frames = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>>>;

fn frames(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Frames {
    StreamBody::new(stream::iter(frames))
}

fn three_frames() -> Frames {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("7"));
    frames(vec![
        Ok(Frame::data(Bytes::from_static(b"one "))),
        Ok(Frame::data(Bytes::from_static(b"two"))),
        Ok(Frame::trailers(trailers)),
    ])
}

fn at_body_end(log: &AuditLog) -> AuditLayer {
    let policy = AuditPolicy::builder().rule(Rule::upload().body_end(true)).build().expect("a valid policy");
    AuditLayer::new(log, policy)
}

#[tokio::test(start_paused = true)]
async fn frames_trailers_and_size_are_forwarded() {
    let (log, _store) = memory_log().await;
    for layer in [AuditLayer::new(&log, AuditPolicy::preset()), at_body_end(&log)] {
        let sized = tower::service_fn(|_request: Request<_>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"1234567"))))
        });
        let response = layer.layer(sized).oneshot(post("/scans")).await.expect("infallible");
        assert_eq!(response.body().size_hint().exact(), Some(7));
        assert!(!response.body().is_end_stream());
        assert_eq!(response.into_body().collect().await.expect("it ends well").to_bytes(), "1234567");

        let streamed =
            tower::service_fn(|_request: Request<_>| async { Ok::<_, Infallible>(Response::new(three_frames())) });
        let response = layer.layer(streamed).oneshot(post("/scans")).await.expect("infallible");
        let collected = response.into_body().collect().await.expect("it ends well");
        assert_eq!(collected.trailers().expect("trailers")["x-checksum"], "7");
        assert_eq!(collected.to_bytes(), "one two");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_waits_for_the_event() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        let body =
            frames(vec![Ok(Frame::data(Bytes::from_static(b"12345"))), Ok(Frame::data(Bytes::from_static(b"67")))]);
        let mut response = Response::new(body);
        response.headers_mut().insert("content-length", http::HeaderValue::from_static("7"));
        Ok::<_, Infallible>(response)
    });
    let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    assert_eq!((of_phase(&store, Phase::Started).len(), of_phase(&store, Phase::Completed).len()), (1, 0));
    let mut body = response.into_body();
    body.frame().await.expect("a frame").expect("data");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 0);
    // With this frame the client has all that was announced.
    body.frame().await.expect("a frame").expect("data");
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].details["body_bytes"], 7);
    assert_eq!(completed[0].details["body_end"], "complete");
    assert!(body.frame().await.is_none());
    drop(body);
    log.close().await.expect("everything is written");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_body_is_recorded_and_passed_on() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        let body =
            frames(vec![Ok(Frame::data(Bytes::from_static(b"12345"))), Err(std::io::Error::other("on purpose"))]);
        Ok::<_, Infallible>(Response::new(body))
    });
    let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    let error = response.into_body().collect().await.expect_err("the body fails");
    assert_eq!(error.to_string(), "on purpose");
    assert_eq!(of_phase(&store, Phase::Completed)[0].details["body_end"], "error");
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_body_is_complete_at_its_head() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        Ok::<_, Infallible>(Response::builder().status(StatusCode::NO_CONTENT).body(three_frames()).expect("valid"))
    });
    let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 1);
    drop(response);
}
