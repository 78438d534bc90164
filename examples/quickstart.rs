//! The shortest useful service: every request that may change something is recorded before its response leaves.
//!
//! `cargo run --example quickstart`, then the commands that it prints.

use std::net::SocketAddr;

use axum::{Json, Router, extract::Path, routing};
use serde_json::{Value, json};
use tower_audit::{AuditLayer, AuditLog, AuditPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = AuditLog::open("sqlite:audit.db").await?; // 1
    let audit = AuditLayer::new(&log, AuditPolicy::mutations()); // 2

    let app = Router::new()
        .route("/", routing::get(|| async { "hello" }))
        .route("/orders", routing::post(place_order))
        .route("/users/{email}", routing::delete(delete_user))
        .layer(audit); // 3

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("{COMMANDS}");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()) // 4: for the client's address
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    log.close().await?; // 5
    Ok(())
}

async fn place_order(item: String) -> Json<Value> {
    Json(json!({ "ordered": item }))
}

async fn delete_user(Path(email): Path<String>) -> Json<Value> {
    Json(json!({ "deleted": email }))
}

const COMMANDS: &str = "\
listening on http://127.0.0.1:3000, recording into audit.db; try

  curl -X POST -d book http://127.0.0.1:3000/orders
  curl -X DELETE http://127.0.0.1:3000/users/bob@example.org
  cargo run -q --features cli -- query --url sqlite:audit.db
";
