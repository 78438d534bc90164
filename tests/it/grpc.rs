//! tonic: the layer around its router. A gRPC call is a POST whose outcome is in the trailers of a 200.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_audit::{AuditContext, AuditLayer, AuditPolicy, EventType, Phase, Rule, When};

use crate::support::{memory_log, of_phase};

/// A service as tonic generates them, with one method that answers a message and then its status.
#[derive(Clone)]
struct Vault;

impl NamedService for Vault {
    const NAME: &'static str = "bank.Vault";
}

impl Service<Request<Body>> for Vault {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        if let Some(audit) = AuditContext::current() {
            audit.detail("grpc_status", 7);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("7"));
        let message = Bytes::from_static(&[0, 0, 0, 0, 0]);
        let frames = [Ok::<_, tonic::Status>(Frame::data(message)), Ok(Frame::trailers(trailers))];
        ready(Ok(Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_recorded_and_its_trailers_arrive() {
    let (log, store) = memory_log().await;
    let opened = Rule::new(EventType::new("vault.opened").expect("a valid type"))
        .paths(["/bank.Vault/{method}"])
        .when(When::always())
        .write_ahead(true);
    let policy = AuditPolicy::builder().rule(opened).build().expect("a valid policy");
    let service = AuditLayer::new(&log, policy).layer(Routes::new(Vault).prepare());
    let call = Request::post("/bank.Vault/Open").header("content-type", "application/grpc").body(Body::empty());
    let answer = service.oneshot(call.expect("a valid request")).await.expect("infallible");
    assert_eq!(of_phase(&store, Phase::Started).len(), 1);
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].details["grpc_status"], 7);
    assert_eq!(completed[0].resource.route.as_deref(), Some("/bank.Vault/{method}"));
    let collected = answer.into_body().collect().await.expect("the body ends well");
    assert_eq!(collected.trailers().expect("trailers")["grpc-status"], "7");
}
