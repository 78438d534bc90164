//! The usual code without this crate: `POST /scans` of `reference`, and a middleware that awaits one INSERT for each
//! request. `benches/load.sh` compares with it; alone: `DATABASE=sqlite:naive.db cargo run --features postgres --example naive`.
//!
//! From the environment: `LISTEN`; `DATABASE`, `sqlite:PATH` or `postgres://…`; and `POOL`, how many sessions it has on
//! PostgreSQL.

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
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};
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

/// The table in PostgreSQL's types.
const POSTGRES_TABLE: &str = "
CREATE TABLE IF NOT EXISTS audit_events(
    event_id UUID PRIMARY KEY, event_type TEXT NOT NULL, created_at BIGINT NOT NULL, phase TEXT NOT NULL,
    user_email TEXT, remote_addr TEXT, route TEXT, method TEXT, outcome INTEGER, request_id TEXT, request_uri TEXT,
    user_agent TEXT, details JSONB NOT NULL);
CREATE INDEX IF NOT EXISTS audit_time ON audit_events(created_at);
CREATE INDEX IF NOT EXISTS audit_type ON audit_events(event_type, created_at);
CREATE INDEX IF NOT EXISTS audit_user ON audit_events(user_email, created_at);";

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    async fn open(url: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        if url.starts_with("postgres:") {
            let sessions = std::env::var("POOL").map_or(Ok(16), |sessions| sessions.parse())?;
            let pool = PgPoolOptions::new().max_connections(sessions).connect(url).await?;
            sqlx::raw_sql(POSTGRES_TABLE).execute(&pool).await?;
            return Ok(Self::Postgres(pool));
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await?;
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        Ok(Self::Sqlite(pool))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = Pool::open(&std::env::var("DATABASE").unwrap_or_else(|_| "sqlite:naive.db".to_owned())).await?;
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
    State(pool): State<Pool>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let (user_agent, request_id) = (text(request.headers(), "user-agent"), text(request.headers(), "x-request-id"));
    let principal = request.extensions().get::<Principal>().cloned();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    let response = next.run(request).await;
    let (id, created_at) = (Uuid::from_u128(fastrand::u128(..)), tower_audit::Timestamp::now().as_micros());
    let user = principal.map(|principal| principal.0);
    let status = i32::from(response.status().as_u16());
    // Every value but the first is the same in both dialects.
    macro_rules! insert {
        ($id:expr, $values:literal, $pool:expr) => {
            sqlx::query(concat!("INSERT INTO audit_events VALUES (", $values, ")"))
                .bind($id)
                .bind(created_at)
                .bind(user)
                .bind(peer.ip().to_string())
                .bind(path.as_str())
                .bind(method)
                .bind(status)
                .bind(request_id)
                .bind(uri)
                .bind(user_agent)
                .execute($pool)
                .await
                .map(drop)
        };
    }
    let written = match &pool {
        Pool::Sqlite(pool) => {
            insert!(id.to_string(), "?, 'upload', ?, 'completed', ?, ?, ?, ?, ?, ?, ?, ?, '{}'", pool)
        }
        Pool::Postgres(pool) => {
            insert!(id, "$1, 'upload', $2, 'completed', $3, $4, $5, $6, $7, $8, $9, $10, '{}'", pool)
        }
    };
    match written {
        Ok(()) => response,
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
