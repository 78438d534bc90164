//! What one writes without this crate: `POST /scans` of `reference`, and a middleware that awaits one INSERT for each
//! request. For `benches/load.sh` to compare with.
//!
//! From the environment: `LISTEN`, and `DATABASE`, the path of the SQLite file.

use std::error::Error;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use serde::Deserialize;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use uuid::Uuid;

/// As durable as `reference`'s log, and with the indexes that its queries need.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS audit_events(
    event_id TEXT PRIMARY KEY, event_type TEXT NOT NULL, created_at INTEGER NOT NULL, phase TEXT NOT NULL,
    user_email TEXT, remote_addr TEXT, route TEXT, method TEXT, outcome INTEGER, request_id TEXT, request_uri TEXT,
    user_agent TEXT, details TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_time ON audit_events(created_at);
CREATE INDEX IF NOT EXISTS audit_type ON audit_events(event_type, created_at);
CREATE INDEX IF NOT EXISTS audit_user ON audit_events(user_email, created_at);";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE").unwrap_or_else(|_| "naive.db".to_owned());
    let options = SqliteConnectOptions::from_str(&format!("sqlite:{database}"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let app = Router::new()
        .route("/scans", routing::post(upload))
        .layer(middleware::from_fn_with_state(pool, audit))
        .layer(middleware::from_fn(authenticate));
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

#[derive(Clone)]
struct Principal(&'static str);

async fn authenticate(mut request: Request, next: Next) -> Response {
    if request.headers().get("authorization").is_some_and(|value| value == "Bearer alice-token") {
        request.extensions_mut().insert(Principal("alice@example.org"));
    }
    next.run(request).await
}

async fn audit(
    State(pool): State<SqlitePool>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let (user_agent, request_id) = (text(request.headers(), "user-agent"), text(request.headers(), "x-request-id"));
    let principal = request.extensions().get::<Principal>().cloned();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    let response = next.run(request).await;
    let created_at = tower_audit::Timestamp::now().as_micros();
    let written =
        sqlx::query("INSERT INTO audit_events VALUES (?, 'upload', ?, 'completed', ?, ?, ?, ?, ?, ?, ?, ?, '{}')")
            .bind(Uuid::from_u128(fastrand::u128(..)).to_string())
            .bind(created_at)
            .bind(principal.map(|principal| principal.0))
            .bind(peer.ip().to_string())
            .bind(path.as_str())
            .bind(method)
            .bind(response.status().as_u16())
            .bind(request_id)
            .bind(uri)
            .bind(user_agent)
            .execute(&pool)
            .await;
    match written {
        Ok(_) => response,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[derive(Deserialize)]
struct Fate {
    sleep_ms: Option<u64>,
}

async fn upload(Query(fate): Query<Fate>) -> &'static str {
    if let Some(ms) = fate.sleep_ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    "done\n"
}
