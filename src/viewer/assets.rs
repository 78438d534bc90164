//! The stylesheet and the icon.

use std::sync::LazyLock;

use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

pub(super) const ICON_NAME: &str = "icon.svg";

/// Returns the name of the stylesheet, with a digest of its content, so that browsers may cache it for a year.
pub(super) fn style_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let digest = Sha256::digest(STYLE.as_bytes());
        let digits: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("style-{digits}.css")
    });
    &NAME
}

pub(super) async fn style() -> Response {
    file(STYLE, "text/css; charset=utf-8", "public, max-age=31536000, immutable")
}

pub(super) async fn icon() -> Response {
    file(ICON, "image/svg+xml", "public, max-age=86400")
}

/// A file for every caller: it has no events.
fn file(text: &'static str, content_type: &'static str, cached: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}
