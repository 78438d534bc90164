//! Whom a request is for.
//!
//! A page of the internet can have its name resolve to 127.0.0.1 once its scripts run; for the browser this server is
//! then of the same origin as they are. But the browser says by which name it asks.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::HOST;
use http::uri::Authority;

/// Refuses what is for a host of another name, or of none.
pub(super) async fn only_for_us(State(port): State<u16>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let is_ours =
        |authority: &str| [format!("127.0.0.1:{port}"), format!("localhost:{port}")].iter().any(|us| us == authority);
    let named_in_line = request.uri().authority().map(Authority::as_str);
    if host.is_some_and(is_ours)
        && named_in_line.is_none_or(is_ours)
        && request.headers().get_all(HOST).iter().count() == 1
    {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        "This server answers for 127.0.0.1 and localhost, on its own port, and for no other name.\n",
    )
        .into_response()
}
