//! A rule for a single route, beside a policy for all of them: an export is recorded under a type of its own, before
//! its handler runs, and again when the last byte is about to leave. `GET /reports` is not recorded.
//!
//! `cargo run --example per_route`, then the commands that it prints.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::{Router, routing::get};
use tower_audit::{AuditContext, AuditLayer, AuditLog, AuditPolicy, EventType, RecordWhen, Rule};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = AuditLog::open("sqlite:per_route.db").await?;
    let exported = Rule::new(EventType::new("report.exported")?).when(RecordWhen::always()).body_end(true);

    let app = Router::new()
        .route("/reports/{id}/export", get(export).route_layer(AuditLayer::for_route(&log, exported)?))
        .route("/reports", get(|| async { "[]" }))
        .layer(AuditLayer::new(&log, AuditPolicy::mutations()));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("curl http://127.0.0.1:3000/reports/7/export | wc -c");
    println!("cargo run -q --features cli -- query --url sqlite:per_route.db");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    log.close().await?;
    Ok(())
}

async fn export(audit: AuditContext) -> Body {
    audit.detail("format", "csv");
    let rows = (0..1000).map(|n| Ok::<_, std::io::Error>(Bytes::from(format!("{n},row\n"))));
    Body::from_stream(futures_util::stream::iter(rows))
}
