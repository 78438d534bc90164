//! The layer around a hyper service, without axum: the server inserts `PeerAddr`, and the handler names the route.
//!
//! Run it by `cargo run --example hyper`.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tower::{ServiceBuilder, service_fn};
use tower_audit::{AuditContext, AuditLayer, AuditLog, AuditPolicy, PeerAddr};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = AuditLog::open("sqlite:hyper.db").await?;
    let layer = AuditLayer::new(&log, AuditPolicy::mutations());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("curl -X POST -d book http://127.0.0.1:3000/orders");
    println!("cargo run -q --features cli -- query --url sqlite:hyper.db");
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                request
            })
            .layer(layer.clone())
            .service(service_fn(handle));
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
    log.close().await?;
    Ok(())
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (route, status, text) = match (request.method(), request.uri().path()) {
        (&Method::POST, "/orders") => (Some("/orders"), StatusCode::OK, "ordered\n"),
        (&Method::DELETE, path) if path.starts_with("/users/") => (Some("/users/{email}"), StatusCode::OK, "deleted\n"),
        _ => (None, StatusCode::NOT_FOUND, "not found\n"),
    };
    if let (Some(route), Some(audit)) = (route, AuditContext::current()) {
        audit.route(route);
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    Ok(response)
}
