//! The shortest useful service: every upload and every administrative request is recorded before its response leaves.
//!
//! `cargo run --example quickstart`, then the commands that it prints.

use std::net::SocketAddr;

use axum::{Json, Router, extract::Path, routing};
use serde_json::{Value, json};
use tower_audit::{AuditLayer, AuditLog, AuditPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = AuditLog::open("sqlite:audit.db").await?; // 1
    let audit = AuditLayer::new(&log, AuditPolicy::preset()); // 2

    let app = Router::new()
        .route("/", routing::get(|| async { "hello" }))
        .route("/scans", routing::post(upload))
        .route("/auth/admin/users/{email}", routing::delete(delete_user))
        .layer(audit); // 3

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("{COMMANDS}");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()) // 4: for the client's address
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    log.close().await?; // 5
    Ok(())
}

async fn upload(body: String) -> Json<Value> {
    Json(json!({ "stored": body.len() }))
}

async fn delete_user(Path(email): Path<String>) -> Json<Value> {
    Json(json!({ "deleted": email }))
}

const COMMANDS: &str = "\
listening on http://127.0.0.1:3000, recording into audit.db; try

  curl -X POST -d data http://127.0.0.1:3000/scans
  curl -X DELETE http://127.0.0.1:3000/auth/admin/users/bob@example.org
  cargo run -q --features cli -- query --url sqlite:audit.db
";
