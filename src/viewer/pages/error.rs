//! The error page.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::api::error::{ApiError, RETRY_AFTER_SECONDS};
use crate::viewer::assets;
use crate::viewer::links::Links;
use crate::viewer::response::html;
use crate::viewer::safe_html::SafeText;
use crate::viewer::state::{SharedState, ViewerState};

#[derive(Template)]
#[template(path = "error.html", config = "src/viewer/askama.toml")]
struct ErrorPage<'a> {
    root: &'a str,
    style: &'static str,
    status: u16,
    sign: &'static str,
    title: &'a str,
    detail: SafeText<'a>,
    sign_in: Option<&'a str>,
    may_try_again: bool,
}

/// Renders an error with the status, headers and text of the API. It quotes the request only if that is malformed: a
/// missing event and one of another user look the same.
pub(in crate::viewer) fn error_page(viewer: &ViewerState, links: &Links, refusal: ApiError) -> Response {
    let status = refusal.status();
    let (title, detail) = refusal.title_and_detail();
    let page = ErrorPage {
        root: links.root(),
        style: assets::style_name(),
        status: status.as_u16(),
        sign: match refusal {
            ApiError::Unauthenticated { .. } | ApiError::Forbidden => "denied",
            ApiError::NotFound => "unknown",
            ApiError::BadRequest(_) | ApiError::MethodNotAllowed => "rejected",
            _ => "failed",
        },
        title,
        detail: SafeText::whole(detail),
        sign_in: viewer.sign_in.as_deref().filter(|_| matches!(refusal, ApiError::Unauthenticated { .. })),
        may_try_again: status.is_server_error() && !matches!(refusal, ApiError::NoStore),
    };
    // Writing to memory does not fail.
    let mut response = html(page.render().unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    if let ApiError::Unauthenticated { challenge } = refusal {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Makes a 405 of axum an error page; axum adds the header `allow`.
pub(in crate::viewer) fn reject_method(
    root: &'static str,
) -> impl Fn(State<SharedState>, Response) -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    move |State(viewer), response: Response| {
        let is_wrong = response.status() == StatusCode::METHOD_NOT_ALLOWED;
        std::future::ready(if is_wrong {
            error_page(&viewer, &Links::from(root), ApiError::MethodNotAllowed)
        } else {
            response
        })
    }
}
