//! An app with uploads, administration, large queries and sign-in, all audited, with the read API and the
//! viewer. Run it by `cargo run --example reference`; tests and load tools drive it from outside. Its routes are those of IVRE, a
//! network recon framework whose audit log was the first model of this crate.
//!
//! Everything comes from the environment: `LISTEN`, `AUDIT_URL`, `MAX_RESULTS`, `WRITE_DEADLINE_MS`, `EFFECTS` (a file
//! to which a handler appends the request's `x-request-id` as its effect, before it answers), `UPLOAD_WRITE_AHEAD`, `SEAL_KEY` (a
//! file of `tower-audit keygen`: the server seals its log).

use std::collections::HashMap;
use std::env::VarError;
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json, Router, routing};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_audit::api::{AuditApi, Caller, GateError, gate_fn};
use tower_audit::policy::presets;
#[cfg(feature = "route-coverage")]
use tower_audit::route_coverage::RouteCoverage;
#[cfg(feature = "seal")]
use tower_audit::sealing::SealKey;
use tower_audit::viewer::AuditViewer;
use tower_audit::{
    Actor, AuditContext, AuditLayer, AuditLog, AuditLogBuilder, AuditPolicy, ErrorCode, EventType, PolicyError,
    ResultCount,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let listen = env("LISTEN", "127.0.0.1:3000")?;
    let max_results: u64 = env("MAX_RESULTS", "1000")?.parse()?;
    let deadline = Duration::from_millis(env("WRITE_DEADLINE_MS", "5000")?.parse()?);
    let effects = match std::env::var("EFFECTS") {
        Ok(path) => Some(File::options().create(true).append(true).open(path)?),
        Err(_) => None,
    };
    // Before the log is opened: its metrics go to this recorder.
    #[cfg(feature = "metrics")]
    let prometheus = prometheus()?;
    // Unset: a file. `off` or empty: auditing is disabled.
    let log = match env("AUDIT_URL", "sqlite:audit.db")?.as_str() {
        "" | "off" => AuditLog::disabled(),
        url => sealed(AuditLog::builder().url(url).write_timeout(deadline))?.open().await?,
    };
    let policy = policy(env("UPLOAD_WRITE_AHEAD", "0")? == "1", max_results)?;
    let is_local = listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    let sessions = Arc::new(Sessions { is_secure: !is_local, ..Sessions::default() });
    let app = app(App { effects: effects.map(Arc::new), max_results, log: log.clone(), sessions }, policy);
    // Outside of the audit layer. A service in production serves it where only its monitoring comes.
    #[cfg(feature = "metrics")]
    let app = app.route(
        "/metrics",
        routing::get(move || async move {
            prometheus.run_upkeep();
            prometheus.render()
        }),
    );
    // A route that no rule covers is a warning at the start.
    #[cfg(feature = "route-coverage")]
    RouteCoverage::of(&app).await?.log_report();

    // Before the line that says that it listens: an earlier signal would end the process without closing the log.
    let terminated = terminated()?;
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;
    let place =
        if log.is_disabled() { "nowhere: AUDIT_URL is off" } else { "the store that AUDIT_URL names, else audit.db" };
    say(&format!("listening on http://{address}"));
    say(&format!("the viewer is http://{address}/audit/ui/; sign in with admin-token, alice-token or bob-token"));
    say(&format!("events go to {place}"));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(terminated)
        .await?;
    log.close().await?;
    Ok(())
}

/// Seals the log, if there is a key.
fn sealed(builder: AuditLogBuilder) -> Result<AuditLogBuilder, Box<dyn Error>> {
    #[cfg(feature = "seal")]
    if let Some(path) = std::env::var_os("SEAL_KEY") {
        return Ok(builder.seal(SealKey::load(path)?));
    }
    Ok(builder)
}

/// A recorder with buckets, so that quantiles can be computed over instances.
#[cfg(feature = "metrics")]
fn prometheus() -> Result<metrics_exporter_prometheus::PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &seconds)?
        .set_buckets_for_metric(
            Matcher::Full("tower_audit_batch_events".into()),
            &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0],
        )?
        .install_recorder()
}

/// Writes a line to stderr. A reader that has gone, or a full disk, does not stop the server: `eprintln!` would panic.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn policy(upload_write_ahead: bool, max_results: u64) -> Result<AuditPolicy, PolicyError> {
    let upload = presets::ivre::upload().write_ahead(upload_write_ahead);
    let login = presets::login(["/login"]);
    AuditPolicy::builder()
        .rules([upload, presets::ivre::admin_action(), presets::oversize_query(), login])
        .max_results(max_results)
        .build()
}

#[derive(Clone)]
struct App {
    effects: Option<Arc<File>>,
    max_results: u64,
    log: AuditLog,
    sessions: Arc<Sessions>,
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
        .route("/login", routing::post(login).get(sign_in))
        .route("/health", routing::get(|| async { "ok" }))
        .route("/health/audit", routing::get(health))
        .layer(AuditLayer::new(&app.log, policy))
        // Reading the log is not audited by the layer: what is added behind it is outside of it.
        .merge(AuditApi::new(&app.log, gate_fn(gate)).router("/audit"))
        .merge(AuditViewer::new(&app.log, gate_fn(gate)).sign_in_url("/login").router("/audit/ui"))
        // Outside of the audit layer, so that it knows who it is.
        .layer(middleware::from_fn_with_state(app.sessions.clone(), authenticate))
        .with_state(app)
}

/// The user of the bearer token or of the session cookie.
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

/// The users of signed-in browsers.
#[derive(Default)]
struct Sessions {
    by_id: Mutex<HashMap<String, &'static Principal>>,
    /// True if cookies are sent over TLS only.
    is_secure: bool,
}

impl Sessions {
    fn begin(&self, principal: &'static Principal) -> Result<String, StatusCode> {
        let id = random()?;
        self.lock().insert(id.clone(), principal);
        Ok(id)
    }

    fn principal(&self, id: &str) -> Option<&'static Principal> {
        self.lock().get(id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, &'static Principal>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No script reads it, no other site sends it.
    fn cookie(&self, name: &str, value: &str, path: &str) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path={path}; HttpOnly; SameSite=Strict{secure}")
    }
}

/// A random token.
fn random() -> Result<String, StatusCode> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn bearer(headers: &HeaderMap) -> Option<&'static Principal> {
    principal(headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get("cookie")?.to_str().ok()?.split("; ");
    pairs.filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn principal(token: &str) -> Option<&'static Principal> {
    PRINCIPALS.iter().find(|(known, _)| token == *known).map(|(_, principal)| principal)
}

async fn authenticate(State(sessions): State<Arc<Sessions>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let principal = bearer(headers).or_else(|| sessions.principal(cookie(headers, "session")?));
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal.clone());
        request.extensions_mut().insert(Actor::user(principal.email));
    }
    next.run(request).await
}

/// The gate: users read their own events, administrators all.
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
    /// The scan that the results belong to: the target of the event.
    scan: Option<u32>,
}

impl App {
    /// The effect of the request: a line with its id in a file.
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
    if let (Some(scan), Some(audit)) = (fate.scan, AuditContext::current()) {
        audit.target("scan", scan);
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

/// A form whose token is in a cookie, too: another site can send neither, and sign nobody in as somebody else.
async fn sign_in(State(app): State<App>) -> Result<Response, StatusCode> {
    let token = random()?;
    let page = SIGN_IN.replace("TOKEN", &token);
    Ok(([("set-cookie", app.sessions.cookie("form", &token, "/login"))], Html(page)).into_response())
}

/// Accepts any known token. The user name of a failed attempt is recorded, too.
///
/// A browser posts the form, and gets a session as a cookie for what is below `/audit`.
async fn login(
    State(app): State<App>,
    audit: AuditContext,
    presented: Option<Extension<Principal>>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, StatusCode> {
    audit.event_type(EventType::AUTH).classify("authentication", "login");
    let form: HashMap<&str, &str> = body.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if let (Some(token), Some(shown)) = (form.get("token"), form.get("form"))
        && cookie(&headers, "form") == Some(*shown)
        && let Some(principal) = principal(token)
    {
        audit.actor(Actor::user(principal.email)).detail("method", "form");
        let session = app.sessions.begin(principal)?;
        let cookie = app.sessions.cookie("session", &session, "/audit");
        return Ok(
            (StatusCode::SEE_OTHER, [("set-cookie", cookie.as_str()), ("location", "/audit/ui/")]).into_response()
        );
    }
    audit.detail("method", "bearer");
    Ok(match presented {
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
    })
}

const SIGN_IN: &str = "<!DOCTYPE html><html lang=en><meta name=viewport content=width=device-width><title>Sign in</title>\
    <main><h1>Sign in</h1><form method=post><input type=hidden name=form value=TOKEN><label>Token \
    <input name=token type=password required></label> <button>Sign in</button></form></main></html>";

async fn health(State(app): State<App>) -> Response {
    match app.log.health().await {
        Ok(()) => "ok".into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "the audit log is not healthy");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn env(name: &str, default: &str) -> Result<String, String> {
    value_or(std::env::var(name), name, default)
}

fn value_or(value: Result<String, VarError>, name: &str, default: &str) -> Result<String, String> {
    match value {
        Ok(value) => Ok(value),
        Err(VarError::NotPresent) => Ok(default.to_owned()),
        // Nothing of it is shown: a password may be in it.
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
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
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;

    /// Another site signs no browser in, and the cookie opens nothing but its session.
    #[tokio::test]
    async fn a_browser_signs_in_by_the_form_that_it_was_shown() -> Result<(), Box<dyn Error>> {
        let log = AuditLog::open("memory:").await?;
        let sessions = Arc::new(Sessions { is_secure: true, ..Sessions::default() });
        let app = app(App { effects: None, max_results: 1000, log, sessions }, policy(false, 1000)?);
        let ask = |method: &str, uri: &str, cookie: &str, body: String| {
            let request = Request::builder().method(method).uri(uri).header("cookie", cookie).body(Body::from(body));
            let app = app.clone();
            async move { app.oneshot(request.expect("a request")).await.expect("a router does not fail") }
        };
        let set = |response: &Response| {
            let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
            for part in ["; HttpOnly", "; SameSite=Strict", "; Secure"] {
                assert!(cookie.contains(part), "{cookie}");
            }
            cookie.split(';').next().unwrap_or_default().to_owned()
        };
        let form = ask("GET", "/login", "", String::new()).await;
        let cookie = set(&form);
        let page = String::from_utf8(to_bytes(form.into_body(), 10_000).await?.to_vec())?;
        let (_, token) = cookie.split_once('=').ok_or("a cookie")?;
        assert!(page.contains(&format!("value={token}")), "{page}");
        for (cookie, body) in [
            ("", format!("form={token}&token=alice-token")),
            (cookie.as_str(), "token=alice-token".to_owned()),
            (cookie.as_str(), "form=0&token=alice-token".to_owned()),
            (cookie.as_str(), format!("form={token}&token=mallory-token")),
        ] {
            assert_eq!(ask("POST", "/login", cookie, body).await.status(), StatusCode::UNAUTHORIZED);
        }
        let signed_in = ask("POST", "/login", &cookie, format!("form={token}&token=alice-token")).await;
        assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
        let session = set(&signed_in);
        assert!(!session.contains("alice"), "{session}");
        assert_eq!(ask("GET", "/audit/count", &session, String::new()).await.status(), StatusCode::OK);
        for other in ["", "token=alice-token", "session=alice-token"] {
            assert_eq!(ask("GET", "/audit/count", other, String::new()).await.status(), StatusCode::UNAUTHORIZED);
        }
        Ok(())
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_no_default() {
        let value = |value| value_or(value, "AUDIT_URL", "sqlite:audit.db");
        assert_eq!(value(Err(VarError::NotPresent)).as_deref(), Ok("sqlite:audit.db"));
        assert_eq!(value(Ok(String::new())).as_deref(), Ok(""));
        let error = value(Err(VarError::NotUnicode("hunter2".into()))).unwrap_err();
        assert_eq!(error, "AUDIT_URL is not UTF-8");
    }

    #[cfg(feature = "route-coverage")]
    #[tokio::test]
    async fn whatever_changes_something_is_audited() -> Result<(), Box<dyn Error>> {
        let log = AuditLog::open("memory:").await?;
        let app = app(App { effects: None, max_results: 1000, log, sessions: Arc::default() }, policy(false, 1000)?);
        let report = RouteCoverage::of(&app).await?;
        assert!(report.routes().len() > 20, "{report}");
        assert_eq!(report.unaudited_mutations().count(), 0, "{report}");
        Ok(())
    }
}
