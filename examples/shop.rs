//! A shop as many services are: JWT, nested routers, JSON, multipart, SSE, a WebSocket, the usual layers of tower-http, and
//! orders in the app's own database. Each change of an order and its event are one transaction, so the history of
//! an order is complete.
//!
//! `cargo run --example shop`, then the commands that it prints.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Multipart, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router, routing};
use futures_util::stream::{Stream, unfold};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::broadcast;
use tower::ServiceBuilder;
use tower_audit::api::{AuditApi, Caller, GateError, gate_fn};
use tower_audit::policy::presets;
use tower_audit::store::{OpenOptions, sqlite::SqliteStore};
use tower_audit::viewer::AuditViewer;
use tower_audit::{Actor, AuditContext, AuditLayer, AuditLog, AuditPolicy, EventType, PolicyError, Rule, Timestamp};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    let shop = Shop::open("shop.db", &key).await?;
    let log = shop.log.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("{COMMANDS}");
    axum::serve(listener, app(shop, policy()?).into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    log.close().await?;
    Ok(())
}

/// Each change of an order has a type of its own; whatever else may change something is a mutation.
fn policy() -> Result<AuditPolicy, PolicyError> {
    let rule = |name| EventType::new(name).map(Rule::new).expect("a type");
    let order = |rule: Rule| rule.paths(["/api/v1/orders/{id}", "/api/v1/orders/{id}/photo"]).target("order", "{id}");
    AuditPolicy::builder()
        .rule(presets::login(["/login", "/logout"]))
        .rule(rule("order.placed").methods(["POST"]).paths(["/api/v1/orders"]))
        .rule(order(rule("order.deleted").methods(["DELETE"])))
        .rule(order(rule("order.changed").unsafe_methods()))
        .rule(rule("order.watched").methods(["GET"]).paths(["/api/v1/feed", "/api/v1/chat"]).body_end(true))
        .preset_mutations()
        .build()
}

fn app(shop: Shop, policy: AuditPolicy) -> Router {
    let orders = Router::new()
        .route("/", routing::post(place))
        .route("/{id}", routing::get(show).patch(change).delete(remove))
        .route("/{id}/photo", routing::put(photo));
    let api =
        Router::new().nest("/orders", orders).route("/feed", routing::get(feed)).route("/chat", routing::get(chat));
    let layers = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid)) // outside: the event has the id that the trace has
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CatchPanicLayer::new()) // outside: the event says that the handler panicked
        .layer(CompressionLayer::new()) // outside: for transport only
        .layer(CorsLayer::new()) // outside: a preflight does nothing
        .layer(from_fn_with_state(shop.clone(), identify)) // outside: it says who it is, and refuses nobody
        .layer(AuditLayer::new(&shop.log, policy))
        .layer(RequestBodyLimitLayer::new(1 << 20)) // inside: that it refuses is recorded, as 413
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(10))); // inside: 408
    let audited = Router::new()
        .nest("/api/v1", api)
        .route("/login", routing::post(login))
        .route("/logout", routing::post(logout))
        .layer(layers);
    let reading = Router::new()
        .merge(AuditApi::new(&shop.log, gate_fn(gate)).router("/audit"))
        .merge(AuditViewer::new(&shop.log, gate_fn(gate)).router("/audit/ui"))
        .layer(from_fn_with_state(shop.clone(), identify));
    audited.merge(reading).with_state(shop)
}

#[derive(Clone)]
struct Shop {
    pool: SqlitePool,
    log: AuditLog,
    keys: Arc<(EncodingKey, DecodingKey)>,
    feed: broadcast::Sender<String>,
}

impl Shop {
    /// Opens the shop's database, with the log beside its tables.
    async fn open(path: &str, key: &[u8]) -> Result<Self, Box<dyn Error>> {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, owner TEXT, item TEXT, status TEXT)")
            .execute(&pool)
            .await?;
        let log =
            AuditLog::builder().store(SqliteStore::from_pool(&pool, OpenOptions::default()).await?).open().await?;
        let keys = Arc::new((EncodingKey::from_secret(key), DecodingKey::from_secret(key)));
        Ok(Self { pool, log, keys, feed: broadcast::channel(64).0 })
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    sub: String,
    admin: bool,
    exp: i64,
}

/// The caller of the token, in the header or in the cookie of a browser.
async fn identify(State(shop): State<Shop>, mut request: Request, next: Next) -> Response {
    let decode = |token| jsonwebtoken::decode::<Claims>(token, &shop.keys.1, &Validation::default()).ok();
    if let Some(token) = token(request.headers()).and_then(decode) {
        request.extensions_mut().insert(Actor::user(&token.claims.sub));
        request.extensions_mut().insert(token.claims);
    }
    next.run(request).await
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let cookie = || text(header::COOKIE)?.split("; ").find_map(|pair| pair.strip_prefix("token="));
    text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).or_else(cookie)
}

/// Users read their own events, administrators all.
fn gate(head: &Parts) -> Result<Option<Caller>, GateError> {
    let claims = head.extensions.get::<Claims>();
    Ok(claims.map(|it| if it.admin { Caller::admin(&*it.sub) } else { Caller::user(&*it.sub) }))
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn login((State(shop), audit, _): Given, Json(given): Json<Credentials>) -> Answer<Response> {
    // A shop of your own has hashes of passwords.
    if !["alice", "bob", "root"].contains(&&*given.name) || given.password != "secret" {
        audit.login_failed(given.name);
        return Err(Refusal(StatusCode::UNAUTHORIZED));
    }
    audit.login(Actor::user(&given.name));
    let exp = Timestamp::now().as_micros() / 1_000_000 + 3600;
    let claims = Claims { admin: given.name == "root", sub: given.name, exp };
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &shop.keys.0)?;
    let cookie = format!("token={token}; Path=/; HttpOnly; SameSite=Strict");
    Ok(([(header::SET_COOKIE, cookie)], token).into_response())
}

async fn logout(audit: AuditContext) -> impl IntoResponse {
    audit.logout();
    [(header::SET_COOKIE, "token=; Path=/; Max-Age=0")]
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Order {
    owner: String,
    item: String,
    status: String,
}

/// The order, if it is the caller's or the caller is an administrator.
async fn order_of(db: &mut SqliteConnection, id: i64, who: Option<&Claims>) -> Answer<Order> {
    let who = who.ok_or(Refusal(StatusCode::UNAUTHORIZED))?;
    let found = sqlx::query_as("SELECT owner, item, status FROM orders WHERE id = ?").bind(id);
    let (owner, item, status): (String, String, String) =
        found.fetch_optional(db).await?.ok_or(Refusal(StatusCode::NOT_FOUND))?;
    if owner != who.sub && !who.admin {
        return Err(Refusal(StatusCode::FORBIDDEN));
    }
    Ok(Order { owner, item, status })
}

/// Arguments of a handler of an order.
type Given = (State<Shop>, AuditContext, Option<Extension<Claims>>);
type Answer<T> = Result<T, Refusal>;

async fn show((State(shop), _, who): Given, Path(id): Path<i64>) -> Answer<Json<Order>> {
    order_of(&mut *shop.pool.acquire().await?, id, who.as_deref()).await.map(Json)
}

async fn place((State(shop), audit, who): Given, item: String) -> Answer<(StatusCode, String)> {
    let owner = who.ok_or(Refusal(StatusCode::UNAUTHORIZED))?.sub.clone();
    let order = Order { owner, item, status: "open".into() };
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await?;
    let values = sqlx::query("INSERT INTO orders (owner, item, status) VALUES (?, ?, ?)");
    let done = values.bind(&order.owner).bind(&order.item).bind(&order.status).execute(&mut *tx).await?;
    let id = done.last_insert_rowid();
    // The path does not have the new id.
    audit.target("order", id).diff(&(), &order).expect_status(StatusCode::CREATED).record_in(&mut tx).await?;
    tx.commit().await?;
    let _ = shop.feed.send(format!("order {id} was placed"));
    Ok((StatusCode::CREATED, id.to_string()))
}

async fn change((State(shop), audit, who): Given, Path(id): Path<i64>, status: String) -> Answer<Json<Order>> {
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await?;
    let before = order_of(&mut tx, id, who.as_deref()).await?;
    let after = Order { status, ..before.clone() };
    sqlx::query("UPDATE orders SET status = ? WHERE id = ?").bind(&after.status).bind(id).execute(&mut *tx).await?;
    audit.diff(&before, &after).record_in(&mut tx).await?;
    tx.commit().await?;
    let _ = shop.feed.send(format!("order {id} is {}", after.status));
    Ok(Json(after))
}

async fn remove((State(shop), audit, who): Given, Path(id): Path<i64>) -> Answer<StatusCode> {
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await?;
    let before = order_of(&mut tx, id, who.as_deref()).await?;
    sqlx::query("DELETE FROM orders WHERE id = ?").bind(id).execute(&mut *tx).await?;
    audit.diff(&before, &()).expect_status(StatusCode::NO_CONTENT).record_in(&mut tx).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A photo of the parcel. It goes nowhere; its event is written by the layer.
async fn photo((State(shop), audit, who): Given, Path(id): Path<i64>, mut form: Multipart) -> Answer<StatusCode> {
    order_of(&mut *shop.pool.acquire().await?, id, who.as_deref()).await?;
    while let Some(field) = form.next_field().await.map_err(|error| Refusal(error.status()))? {
        let name = field.file_name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|error| Refusal(error.status()))?.len();
        audit.detail("file", name).detail("bytes", bytes);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn feed(State(shop): State<Shop>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let lines = unfold(shop.feed.subscribe(), |mut feed| async {
        let line = feed.recv().await.ok()?;
        Some((Ok(Event::default().data(line)), feed))
    });
    Sse::new(lines).keep_alive(KeepAlive::default())
}

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// The status of a request that failed. The event of the layer has it, since nothing was committed.
struct Refusal(StatusCode);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// Any error is 500, and a line of the operator's log.
impl<E: Error + 'static> From<E> for Refusal {
    fn from(error: E) -> Self {
        tracing::error!(error = &error as &dyn Error, "a request failed");
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
#[path = "shop/tests.rs"]
mod tests;

const COMMANDS: &str = "\
listening on http://127.0.0.1:3000, orders and audit log in shop.db; try

  TOKEN=$(curl -s localhost:3000/login --json '{\"name\":\"alice\",\"password\":\"secret\"}')
  curl -s localhost:3000/api/v1/orders -H \"Authorization: Bearer $TOKEN\" -d book
  curl -s localhost:3000/api/v1/orders/1 -X PATCH -H \"Authorization: Bearer $TOKEN\" -d shipped
  curl -s localhost:3000/audit/ -H \"Authorization: Bearer $TOKEN\"
  cargo run -q --features cli -- query --url sqlite:shop.db
";
