//! The target of a request.

use http::uri::{Authority, PathAndQuery};
use http::{Extensions, HeaderMap, HeaderValue, Uri};

#[cfg(feature = "axum")]
use crate::policy;

/// The target of a request (RFC 9112 section 3.2).
#[derive(Default)]
pub(super) enum RequestTarget {
    /// A path, or the `*` of `OPTIONS`.
    Path(PathAndQuery),
    /// `/`, and the header whose address tells this request from others.
    Root(#[expect(dead_code, reason = "keeps its address in use")] HeaderValue),
    /// The host and port of `CONNECT`.
    Authority(Authority),
    #[default]
    None,
}

impl RequestTarget {
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        match (uri.path_and_query(), uri.authority()) {
            (Some(path), _) => match first_value(headers) {
                Some(first) if path == "/" => Self::Root(first.clone()),
                _ => Self::Path(path.clone()),
            },
            (None, Some(authority)) => Self::Authority(authority.clone()),
            (None, None) => Self::None,
        }
    }

    /// The path; none of `CONNECT`.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Path(target) => Some(target.path()),
            Self::Root(_) => Some("/"),
            Self::Authority(_) | Self::None => None,
        }
    }

    pub(super) fn query(&self) -> Option<&str> {
        if let Self::Path(target) = self { target.query() } else { None }
    }

    /// Path and query; empty of `CONNECT`.
    pub(super) fn path_and_query(&self) -> &str {
        match self {
            Self::Path(target) => target.as_str(),
            Self::Root(_) => "/",
            Self::Authority(_) | Self::None => "",
        }
    }

    /// Host and port of `CONNECT`. Left out is the part before an `@`, in which there may be a password.
    pub(super) fn host_and_port(&self) -> Option<&str> {
        let Self::Authority(authority) = self else { return None };
        let text = authority.as_str();
        Some(text.rsplit_once('@').map_or(text, |(_, host)| host))
    }
}

/// The target of a request as the client sent it: a router that nests another one strips a prefix off the path.
///
/// Axum keeps the full target in the extensions. A request that a handler makes may carry the extensions of another
/// request, so they are believed only where the path of the nest explains the difference:
///
/// | path | `OriginalUri` | `NestedPath` | target |
/// |---|---|---|---|
/// | `/scans` | `/api/scans` | `/api` | `/api/scans` |
/// | `/scans` | `/batch/scans` | none | `/scans` |
/// | `/scans` | `/api/batch/scans` | `/api` | `/scans` |
///
/// A handler of `/acme/batch/scans` in a nest `/{tenant}` may send `/other/scans` to another router with such a nest. Then the
/// path is `/scans` and `NestedPath` `/{tenant}/{tenant}`, as if that router were nested in the first. `MatchedPath`, to which
/// each router adds its own part, is `/{tenant}/batch/scans/{tenant}/scans` and does not fit.
#[cfg_attr(not(feature = "axum"), expect(unused_variables, reason = "only axum's routers change it"))]
#[inline]
pub(crate) fn sent<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(original)) = extensions.get()
        && original.query() == uri.query()
        && (original.path() == uri.path() || is_nested(original.path(), uri.path(), extensions))
    {
        return original;
    }
    uri
}

/// Returns true if a nest has made `path` of `original`.
#[cfg(feature = "axum")]
#[cold]
fn is_nested(original: &str, path: &str, extensions: &Extensions) -> bool {
    let Some(nest) = extensions.get::<axum::extract::NestedPath>() else { return false };
    let mut rest = original;
    for expected in nest.as_str().trim_end_matches('/').split('/').skip(1) {
        let Some(below) = rest.strip_prefix('/') else { return false };
        let (segment, after) = below.split_at(below.find('/').unwrap_or(below.len()));
        if segment != expected && !(expected.starts_with('{') && expected.ends_with('}')) {
            return false;
        }
        rest = after;
    }
    path == if rest.is_empty() { "/" } else { rest }
        && extensions.get::<axum::extract::MatchedPath>().is_none_or(|matched| policy::fits(matched.as_str(), original))
}

/// The header whose address stands for that of the target `/`, which all requests share.
#[inline]
pub(super) fn first_value(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.values().next()
}

/// Path and query of a target.
#[inline]
pub(crate) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", PathAndQuery::as_str)
}
