//! The body of a response: forwarded as it is, and its end an event where a rule asks for that.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::{
    Actor, AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, ErrorCode, EventType, Phase, Rule,
};

use crate::layer::support::{memory_log, of_phase, post, request};

type Frames = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>>>;

fn frames(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Frames {
    StreamBody::new(stream::iter(frames))
}

fn three_frames() -> Frames {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    frames(vec![
        Ok(Frame::data(Bytes::from_static(b"one "))),
        Ok(Frame::data(Bytes::from_static(b"two"))),
        Ok(Frame::trailers(trailers)),
    ])
}

fn at_body_end(log: &AuditLog) -> AuditLayer {
    let policy = AuditPolicy::builder().rule(presets::ivre::upload().body_end(true)).build().expect("a valid policy");
    AuditLayer::new(log, policy)
}

#[tokio::test(start_paused = true)]
async fn frames_trailers_and_size_are_forwarded() {
    let (log, _store) = memory_log().await;
    for layer in [AuditLayer::new(&log, presets::ivre()), at_body_end(&log)] {
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
        response.headers_mut().insert("content-length", HeaderValue::from_static("7"));
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

/// A client may take hours to read. A follower of the log and the sealer look for new events by their ids.
#[tokio::test(start_paused = true)]
async fn the_event_of_a_body_is_as_young_as_its_end() {
    let (log, store) = memory_log().await;
    let handler =
        tower::service_fn(|_request: Request<_>| async { Ok::<_, Infallible>(Response::new(three_frames())) });
    let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    let meanwhile = log.record(AuditEvent::new(EventType::AUTH)).await.expect("recorded");
    response.into_body().collect().await.expect("it ends well");
    let events = store.events();
    let meanwhile = events.iter().find(|event| event.event_id == meanwhile).expect("it is there");
    let end = events.iter().find(|event| event.details.contains_key("body_end")).expect("it is there");
    assert!(end.sort_key() > meanwhile.sort_key(), "{end:?}");
}

/// A handler that streams goes on saying things, and its event is bounded all the same.
#[tokio::test(start_paused = true)]
async fn what_is_said_while_the_body_streams_is_in_the_event_at_its_end() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        let context = AuditContext::current().expect("a layer is around");
        context.detail("before", 1);
        // With these alone they are just short of the limit.
        for n in 0..75 {
            context.detail(format!("part_{n}"), "y".repeat(205));
        }
        let said = context.clone();
        let frames = stream::iter(0..3).map(move |n| {
            said.detail("rows", n).actor(Actor::user("late")).error(ErrorCode::BAD_SESSION);
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"row")))
        });
        Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
    });
    let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    response.into_body().collect().await.expect("it ends well");
    let event = &of_phase(&store, Phase::Completed)[0];
    assert_eq!((&event.details["before"], &event.details["rows"]), (&1.into(), &2.into()));
    assert_eq!(event.actor.user_email.as_deref(), Some("late"));
    assert_eq!(event.classification.error, Some(ErrorCode::BAD_SESSION));
    assert_eq!((&event.details["body_bytes"], &event.details["body_end"]), (&9.into(), &"complete".into()));
    assert!(serde_json::to_string(&event.details).expect("JSON").contains("[cut: "));
    let mut fitted = event.clone();
    fitted.truncate_to_limits();
    assert_eq!(&fitted, event, "it fits as it is stored");
}

/// No byte is sent before the event is written, if there is no `started` event.
#[tokio::test(start_paused = true)]
async fn a_declared_event_does_not_wait_for_the_end_of_the_body() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        AuditContext::current().expect("a layer is around").event_type(EventType::UPLOAD);
        Ok::<_, Infallible>(Response::new(three_frames()))
    });
    let response = at_body_end(&log).layer(handler).oneshot(post("/elsewhere")).await.expect("infallible");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 1, "before the head leaves");
    response.into_body().collect().await.expect("it ends well");
    assert_eq!(store.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_says_so() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        let mut is_first = true;
        let body = StreamBody::new(stream::poll_fn(move |_| {
            assert!(std::mem::take(&mut is_first), "on purpose");
            std::task::Poll::Ready(Some(Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"one")))))
        }));
        Ok::<_, Infallible>(Response::new(body))
    });
    let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    let panic = tokio::spawn(response.into_body().collect()).await.expect_err("the panic goes on").into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    log.close().await.expect("everything is written");
    let event = of_phase(&store, Phase::Completed).pop().expect("one");
    assert_eq!((&event.details["body_end"], &event.details["body_bytes"]), (&"panic".into(), &3.into()));
}

/// A body that says of itself what the test likes.
#[derive(Clone)]
struct Claiming {
    size: SizeHint,
    panics: bool,
    data: Option<Bytes>,
}

impl http_body::Body for Claiming {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        assert!(!self.panics, "on purpose");
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

fn claiming(size: SizeHint) -> Claiming {
    Claiming { size, panics: false, data: Some(Bytes::from_static(b"123")) }
}

/// The server does not poll such a body, so its end never comes (hyper 1, `proto/h1`; RFC 9112 section 6.3).
#[tokio::test(start_paused = true)]
async fn a_body_that_the_server_does_not_poll_is_complete_at_its_head() {
    let zero = ("content-length", "0");
    for (method, header, size) in [
        (Method::POST, None, SizeHint::with_exact(0)),
        (Method::POST, Some(zero), SizeHint::default()),
        (Method::HEAD, None, SizeHint::default()),
        (Method::CONNECT, None, SizeHint::default()),
    ] {
        let (log, store) = memory_log().await;
        let body = claiming(size);
        let handler = tower::service_fn(move |_request: Request<_>| {
            let mut response = Response::new(body.clone());
            if let Some((name, value)) = header {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            async { Ok::<_, Infallible>(response) }
        });
        let rule = Rule::new(EventType::UPLOAD).methods([method.as_str()]).paths(["/scans"]).body_end(true);
        let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
        let request = request(method.clone(), "/scans");
        let response = AuditLayer::new(&log, policy).layer(handler).oneshot(request).await.expect("infallible");
        assert_eq!(of_phase(&store, Phase::Completed).len(), 1, "{method} {header:?}");
        drop(response);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_short_of_its_length_is_incomplete() {
    let announced = ("content-length", "10");
    for (header, size) in [(Some(announced), SizeHint::default()), (None, SizeHint::with_exact(10))] {
        let (log, store) = memory_log().await;
        let body = claiming(size);
        let handler = tower::service_fn(move |_request: Request<_>| {
            let mut response = Response::new(body.clone());
            if let Some((name, value)) = header {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            async { Ok::<_, Infallible>(response) }
        });
        let response = at_body_end(&log).layer(handler).oneshot(post("/scans")).await.expect("infallible");
        response.into_body().collect().await.expect("it ends without an error");
        let event = of_phase(&store, Phase::Completed).pop().expect("one");
        assert_eq!((&event.details["body_end"], &event.details["body_bytes"]), (&"incomplete".into(), &3.into()));
    }
}

/// The size of a body is asked for before its event is written, and the answer is code of the app's.
#[tokio::test(start_paused = true)]
async fn a_body_that_panics_over_its_size_is_a_panic_of_the_handler() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Claiming { panics: true, ..claiming(SizeHint::default()) }))
    });
    let service = at_body_end(&log).layer(handler);
    let panic = tokio::spawn(service.oneshot(post("/scans"))).await.expect_err("the panic goes on").into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    log.close().await.expect("everything is written");
    let event = of_phase(&store, Phase::Completed).pop().expect("one");
    assert_eq!((event.outcome, &event.details["panic"]), (Some(500), &true.into()));
}
