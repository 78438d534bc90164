//! The router of `serve`: the API and the viewer for holders of the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tower_audit::api::{AuditApi, Caller, GateError, gate_fn};
use tower_audit::store::AuditStore;
use tower_audit::viewer::AuditViewer;

use super::access_token::AccessToken;
use super::host_check;

/// The page that a browser is redirected to after it has sent the token.
const FIRST_PAGE: &str = "/audit/ui/";

/// The API and the viewer over `store`, for whoever has access, who is called `name`.
pub(crate) fn app(store: Arc<dyn AuditStore>, access: AccessToken, name: &str) -> Router {
    let host = access.host().clone();
    let operator = Operator(name.to_owned());
    let access = Arc::new(access);
    let gate = gate_fn(|head: &Parts| -> Result<Option<Caller>, GateError> {
        Ok(head.extensions.get::<Operator>().map(|Operator(name)| Caller::admin(name.clone())))
    });
    Router::new()
        .route("/", routing::get(enter).with_state(Arc::clone(&access)))
        .merge(AuditApi::from_store(Arc::clone(&store), gate).router("/audit"))
        .merge(AuditViewer::from_store(store, gate).router("/audit/ui"))
        .layer(middleware::from_fn_with_state((access, operator), admit))
        .layer(middleware::from_fn_with_state(host, host_check::require_local_host))
}

/// The name of the caller with the token.
#[derive(Clone)]
struct Operator(String);

/// Says of each request whether it has the token.
async fn admit(
    State((access, operator)): State<(Arc<AccessToken>, Operator)>,
    mut request: Request,
    next: Next,
) -> Response {
    if access.is_in(request.headers()) {
        request.extensions_mut().insert(operator);
    }
    next.run(request).await
}

/// The address that the program prints: it has the token, and leads to where it no longer stands in the address.
async fn enter(State(access): State<Arc<AccessToken>>, request: Request) -> Response {
    let given = request.uri().query().and_then(|query| query.strip_prefix("token="));
    let mut response = match given {
        // By another name, the cookie would be one of that name.
        Some(token) if access.is_token(token) && access.host().is_named_in(request.headers()) => {
            let mut response = StatusCode::SEE_OTHER.into_response();
            if let Some(cookie) = access.set_cookie() {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
        None if request.extensions().get::<Operator>().is_some() => StatusCode::SEE_OTHER.into_response(),
        _ => (StatusCode::UNAUTHORIZED, "Open the address that `tower-audit serve` printed when it began.\n")
            .into_response(),
    };
    let headers = response.headers_mut();
    if !headers.contains_key(http::header::CONTENT_TYPE) {
        headers.insert(LOCATION, HeaderValue::from_static(FIRST_PAGE));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
