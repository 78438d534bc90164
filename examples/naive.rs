//! The usual code without this crate: `POST /scans` of `reference`, and a middleware that awaits one INSERT for each
//! request. `benches/load.sh` compares with it; alone: `DATABASE=sqlite:naive.db cargo run --features cli --example naive`.
//!
//! From the environment: `LISTEN`; `DATABASE`, `sqlite:PATH`, `postgres://…`, `mysql://…`, `mongodb://…` or `nats://…`; and `POOL`,
//! the number of its sessions on a database server. On NATS it awaits one publication for each request.

use std::error::Error;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::Duration;

use async_nats::ConnectOptions;
use axum::extract::{ConnectInfo, MatchedPath, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Collection, IndexModel};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{MySqlPool, PgPool, SqlitePool};
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

/// The table in MariaDB's types.
const MYSQL_TABLE: &str = "
CREATE TABLE IF NOT EXISTS audit_events(
    event_id BINARY(16) PRIMARY KEY, event_type VARCHAR(64) NOT NULL, created_at BIGINT NOT NULL, phase VARCHAR(16) NOT NULL,
    user_email VARCHAR(255), remote_addr VARCHAR(64), route TEXT, method TEXT, outcome INTEGER, request_id TEXT,
    request_uri TEXT, user_agent TEXT, details JSON NOT NULL,
    KEY audit_time (created_at), KEY audit_type (event_type, created_at), KEY audit_user (user_email, created_at))
    CHARACTER SET utf8mb4";

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    Mysql(MySqlPool),
    Mongodb(Collection<Document>),
    Nats(async_nats::Client),
}

impl Pool {
    async fn open(url: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let sessions = std::env::var("POOL").map_or(Ok(16), |sessions| sessions.parse())?;
        if url.starts_with("mysql:") {
            let pool = MySqlPoolOptions::new().max_connections(sessions).connect(url).await?;
            sqlx::raw_sql(MYSQL_TABLE).execute(&pool).await?;
            return Ok(Self::Mysql(pool));
        }
        if url.starts_with("mongodb:") {
            return mongodb_collection(url, sessions).await.map(Self::Mongodb);
        }
        if url.starts_with("nats:") {
            return nats_stream(url).await.map(Self::Nats);
        }
        if url.starts_with("postgres:") {
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

/// A collection with IVRE's indexes, whose writes are in the journals of a majority.
async fn mongodb_collection(url: &str, sessions: u32) -> Result<Collection<Document>, Box<dyn Error + Send + Sync>> {
    let mut options = ClientOptions::parse(url).await?;
    options.max_pool_size = Some(sessions);
    options.write_concern =
        Some(WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true).build());
    let database = mongodb::Client::with_options(options)?.default_database().ok_or("the URL names no database")?;
    let collection = database.collection("naive_events");
    let keys =
        [doc! {"created_at": -1}, doc! {"event_type": 1, "created_at": -1}, doc! {"user_email": 1, "created_at": -1}];
    collection.create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build())).await?;
    Ok(collection)
}

/// A client of a stream with three copies in files.
async fn nats_stream(url: &str) -> Result<async_nats::Client, Box<dyn Error + Send + Sync>> {
    let servers = url.split(',').map(str::parse).collect::<Result<Vec<async_nats::ServerAddr>, _>>()?;
    let login = servers.first().and_then(|server| Some((server.username()?.to_owned(), server.password()?.to_owned())));
    let options = login
        .map_or_else(ConnectOptions::new, |(user, password)| ConnectOptions::with_user_and_password(user, password));
    let client = options.connect(servers).await?;
    let stream =
        json!({"name": "NAIVE", "subjects": ["naive"], "storage": "file", "num_replicas": 3, "discard": "new"});
    let made = client.request("$JS.API.STREAM.CREATE.NAIVE", stream.to_string().into()).await?;
    match serde_json::from_slice::<Value>(&made.payload)?.get("error") {
        Some(error) => Err(error.to_string().into()),
        None => Ok(client),
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
    // Every value but the first is the same in every dialect.
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
                .map_err(|_| ())
        };
    }
    let written = match &pool {
        Pool::Sqlite(pool) => {
            insert!(id.to_string(), "?, 'upload', ?, 'completed', ?, ?, ?, ?, ?, ?, ?, ?, '{}'", pool)
        }
        Pool::Postgres(pool) => {
            insert!(id, "$1, 'upload', $2, 'completed', $3, $4, $5, $6, $7, $8, $9, $10, '{}'", pool)
        }
        Pool::Mysql(pool) => {
            let id = id.as_bytes().as_slice();
            insert!(id, "?, 'upload', ?, 'completed', ?, ?, ?, ?, ?, ?, ?, ?, '{}'", pool)
        }
        Pool::Mongodb(collection) => {
            let id = Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() };
            let event = doc! {
                "_id": id, "event_type": "upload", "created_at": created_at, "phase": "completed", "user_email": user,
                "remote_addr": peer.ip().to_string(), "route": path.as_str(), "method": method, "outcome": status,
                "request_id": request_id, "request_uri": uri, "user_agent": user_agent, "details": {},
            };
            collection.insert_one(event).await.map(drop).map_err(|_| ())
        }
        Pool::Nats(client) => {
            let event = json!({
                "event_id": id.to_string(), "event_type": "upload", "created_at": created_at, "phase": "completed", "user_email": user,
                "remote_addr": peer.ip().to_string(), "route": path.as_str(), "method": method, "outcome": status,
                "request_id": request_id, "request_uri": uri, "user_agent": user_agent, "details": {},
            });
            publish(client, id, &event).await
        }
    };
    match written {
        Ok(()) => response,
        Err(()) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Publishes an event, and waits until the stream has it.
async fn publish(client: &async_nats::Client, id: Uuid, event: &Value) -> Result<(), ()> {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.to_string());
    let answer = client.request_with_headers("naive", headers, event.to_string().into()).await.map_err(|_| ())?;
    let answer: Value = serde_json::from_slice(&answer.payload).map_err(|_| ())?;
    answer.get("seq").map(|_| ()).ok_or(())
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
