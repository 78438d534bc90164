//! The stylesheet and the icon: the only files that the pages need.

use std::sync::LazyLock;

use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

pub(super) const ICON_NAME: &str = "icon.svg";

/// The name of the stylesheet says what is in it, so that a browser may keep it, and takes another after an upgrade.
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

/// Shown to everybody: it says nothing of the events.
fn file(text: &'static str, content_type: &'static str, cached: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}
