//! IVRE's system (see `docs/`) in one binary: what tests and load tools drive from outside.
//!
//! Everything comes from the environment: `LISTEN`, `AUDIT_URL`, `MAX_RESULTS`, `WRITE_DEADLINE_MS`, `EFFECTS` (a file
//! to which a handler appends the request's `x-request-id` as its effect, before it answers), `UPLOAD_WRITE_AHEAD`.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json, Router, routing};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_audit::router::{AuditApi, Caller, GateError, gate_fn};
use tower_audit::viewer::AuditViewer;
use tower_audit::wiring::Wiring;
use tower_audit::{
    Actor, AuditContext, AuditLayer, AuditLog, AuditPolicy, ErrorCode, EventType, PolicyError, ResultCount, Rule,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let listen = env("LISTEN", "127.0.0.1:3000");
    let max_results: u64 = env("MAX_RESULTS", "1000").parse()?;
    let deadline = Duration::from_millis(env("WRITE_DEADLINE_MS", "5000").parse()?);
    let effects = match std::env::var("EFFECTS") {
        Ok(path) => Some(File::options().create(true).append(true).open(path)?),
        Err(_) => None,
    };
    // The variable unset, there is a file; `off` or empty, auditing is off.
    let log = match env("AUDIT_URL", "sqlite:audit.db").as_str() {
        "" | "off" => AuditLog::off(),
        url => AuditLog::builder(url).write_deadline(deadline).open().await?,
    };
    let policy = policy(env("UPLOAD_WRITE_AHEAD", "0") == "1", max_results)?;
    let app = app(App { effects: effects.map(Arc::new), max_results, log: log.clone() }, policy);
    // A route that no rule covers is a warning at the start.
    Wiring::of(&app).await?.report();

    // Before it says that it listens: a signal that came earlier would end it as if there was nothing to close.
    let terminated = terminated()?;
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(terminated)
        .await?;
    log.close().await?;
    Ok(())
}

fn policy(upload_write_ahead: bool, max_results: u64) -> Result<AuditPolicy, PolicyError> {
    let upload = Rule::upload().write_ahead(upload_write_ahead);
    let login = Rule::auth().methods(["POST"]).paths(["/login"]);
    AuditPolicy::builder()
        .rules([upload, Rule::admin_action(), Rule::oversize_query(), login])
        .max_results(max_results)
        .build()
}

#[derive(Clone)]
struct App {
    effects: Option<Arc<File>>,
    max_results: u64,
    log: AuditLog,
}

fn app(app: App, policy: AuditPolicy) -> Router {
    let admin = Router::new()
        .route("/users/{email}", routing::put(put_user).delete(delete_user))
        .route("/api-keys/{hash}", routing::delete(delete_key))
        .layer(middleware::from_fn(only_admins));
    Router::new()
        .route("/scans", routing::post(upload).get(list))
        .route("/view", routing::post(upload))
        .route("/flows", routing::post(upload))
        .route("/flows/cleanup", routing::post(upload))
        .nest("/auth/admin", admin)
        .route("/login", routing::post(login).get(async || Html(SIGN_IN)))
        .route("/health", routing::get(|| async { "ok" }))
        .route("/health/audit", routing::get(health))
        .layer(AuditLayer::new(&app.log, policy))
        // Reading the log is not audited by the layer: what is added behind it is outside of it.
        .merge(AuditApi::new(&app.log, gate_fn(gate)).router("/audit"))
        .merge(AuditViewer::new(&app.log, gate_fn(gate)).sign_in_at("/login").router("/audit/ui"))
        // Outside of the audit layer, so that it knows who it is.
        .layer(middleware::from_fn(authenticate))
        .with_state(app)
}

/// Who the bearer token says it is, or the cookie that has it.
#[derive(Clone)]
struct Principal {
    email: &'static str,
    is_admin: bool,
}

const PRINCIPALS: [(&str, Principal); 3] = [
    ("admin-token", Principal { email: "root@example.org", is_admin: true }),
    ("alice-token", Principal { email: "alice@example.org", is_admin: false }),
    ("bob-token", Principal { email: "bob@example.org", is_admin: false }),
];

fn token(headers: &HeaderMap) -> Option<&str> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or_else(|| header("cookie")?.split("; ").find_map(|cookie| cookie.strip_prefix("token=")))
}

fn principal(token: &str) -> Option<&'static Principal> {
    PRINCIPALS.iter().find(|(known, _)| token == *known).map(|(_, principal)| principal)
}

async fn authenticate(mut request: Request, next: Next) -> Response {
    if let Some(principal) = token(request.headers()).and_then(principal) {
        request.extensions_mut().insert(principal.clone());
        request.extensions_mut().insert(Actor::user(principal.email));
    }
    next.run(request).await
}

/// Who may read the audit log: everyone their own events, an administrator all.
fn gate(head: &Parts) -> Result<Option<Caller>, GateError> {
    let principal = head.extensions.get::<Principal>();
    Ok(principal.map(|it| if it.is_admin { Caller::admin(it.email) } else { Caller::user(it.email) }))
}

async fn only_admins(principal: Option<Extension<Principal>>, request: Request, next: Next) -> Response {
    match principal {
        None => StatusCode::UNAUTHORIZED.into_response(),
        Some(Extension(principal)) if !principal.is_admin => StatusCode::FORBIDDEN.into_response(),
        Some(_) => next.run(request).await,
    }
}

#[derive(Deserialize)]
struct Fate {
    status: Option<u16>,
    sleep_ms: Option<u64>,
    panic: Option<u8>,
}

impl App {
    /// What the request does to the world: its id in a file.
    fn take_effect(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let (Some(effects), Some(id)) = (&self.effects, headers.get("x-request-id")) else { return Ok(()) };
        let line = [id.as_bytes(), b"\n"].concat();
        // One write appends the whole line.
        (&**effects).write_all(&line).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }
}

async fn upload(State(app): State<App>, Query(fate): Query<Fate>, headers: HeaderMap) -> Result<Response, StatusCode> {
    app.take_effect(&headers)?;
    if let Some(ms) = fate.sleep_ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    assert!(fate.panic != Some(1), "asked for by the client");
    let status = StatusCode::from_u16(fate.status.unwrap_or(200)).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok((status, "done\n").into_response())
}

#[derive(Deserialize)]
struct Listing {
    n: Option<u64>,
}

async fn list(State(app): State<App>, Query(listing): Query<Listing>) -> (Extension<ResultCount>, Json<Vec<u64>>) {
    let found = listing.n.unwrap_or(10);
    (Extension(ResultCount(found)), Json((0..found.min(app.max_results)).collect()))
}

async fn put_user(
    State(app): State<App>,
    audit: AuditContext,
    Path(email): Path<String>,
    headers: HeaderMap,
) -> Answer {
    app.take_effect(&headers)?;
    audit.classify("security.user", "update").detail("target_email", email.as_str());
    Ok(Json(json!({ "updated": email })))
}

async fn delete_user(
    State(app): State<App>,
    audit: AuditContext,
    Path(email): Path<String>,
    headers: HeaderMap,
) -> Answer {
    app.take_effect(&headers)?;
    audit.classify("security.user", "delete").detail("target_email", email.as_str());
    Ok(Json(json!({ "deleted": email })))
}

async fn delete_key(
    State(app): State<App>,
    audit: AuditContext,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Answer {
    app.take_effect(&headers)?;
    audit.classify("security.api-key", "delete").detail("key_hash", hash.as_str());
    Ok(Json(json!({ "deleted": hash })))
}

type Answer = Result<Json<Value>, StatusCode>;

/// Good for whoever presents a token; the user name of a bad attempt is recorded all the same.
///
/// A browser posts the form, and gets the token as a cookie for what is below `/audit`, which no script can read and no
/// other site can send.
async fn login(audit: AuditContext, presented: Option<Extension<Principal>>, body: String) -> Response {
    audit.event_type(EventType::AUTH).classify("authentication", "login");
    if let Some(token) = body.strip_prefix("token=")
        && let Some(principal) = principal(token)
    {
        audit.actor(Actor::user(principal.email)).detail("method", "form");
        let cookie = format!("token={token}; Path=/audit; HttpOnly; SameSite=Strict");
        return (StatusCode::SEE_OTHER, [("set-cookie", cookie.as_str()), ("location", "/audit/ui/")]).into_response();
    }
    audit.detail("method", "bearer");
    match presented {
        Some(Extension(principal)) => {
            audit.actor(Actor::user(principal.email));
            StatusCode::OK.into_response()
        }
        None => {
            let claimed = serde_json::from_str::<Value>(&body).ok();
            if let Some(user) = claimed.as_ref().and_then(|body| body.get("user")?.as_str()) {
                audit.actor(Actor::user(user));
            }
            audit.classify("authentication", "failure").error(ErrorCode::BAD_AUTHENTICATION);
            StatusCode::UNAUTHORIZED.into_response()
        }
    }
}

const SIGN_IN: &str = "<!DOCTYPE html><html lang=en><meta name=viewport content=width=device-width><title>Sign in</title>\
    <main><h1>Sign in</h1><form method=post><label>Token <input name=token type=password required></label> \
    <button>Sign in</button></form></main></html>";

async fn health(State(app): State<App>) -> Response {
    match app.log.health().await {
        Ok(()) => "ok".into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "the audit log is not healthy");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn env(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Ready after a signal that came at any time after the call.
fn terminated() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_changes_something_is_audited() -> Result<(), Box<dyn Error>> {
        let log = AuditLog::open("memory:").await?;
        let app = app(App { effects: None, max_results: 1000, log }, policy(false, 1000)?);
        let wiring = Wiring::of(&app).await?;
        assert!(wiring.routes().len() > 20, "{wiring}");
        assert_eq!(wiring.uncovered_changes().count(), 0, "{wiring}");
        Ok(())
    }
}
