//! The parts of a request's head that are kept while its handler runs.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery};
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use smallvec::SmallVec;

use super::{PeerAddr, api_key, client_addr};
use crate::event::limits::{MAX_HEADER_BYTES, MAX_METHOD_BYTES, MAX_URI_BYTES};
use crate::event::{Actor, AuditEvent, CompactText, EventId, address};
use crate::event::{truncate, truncate_bytes};
#[cfg(feature = "axum")]
use crate::policy;
use crate::policy::{AuditPolicy, CaptureConfig, ProxyHeader, RequestPath, RoutedPath};

/// The parts of a request's head that are kept while its handler runs. All are shared references, so that this allocates
/// nothing; the text of an event is made with the event.
#[derive(Clone)]
pub(crate) struct RequestHead {
    method: Method,
    target: RequestTarget,
    #[cfg(feature = "axum")]
    matched_path: Option<axum::extract::MatchedPath>,
    protocol: Protocol,
    peer: Option<IpAddr>,
    actor: Option<Actor>,
    user_agent: Option<HeaderValue>,
    x_request_id: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
    x_api_key: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    /// Further lines of either.
    more_keys: Vec<(KeyHeader, HeaderValue)>,
    forwarded: SmallVec<[HeaderValue; 1]>,
    x_forwarded_for: SmallVec<[HeaderValue; 1]>,
}

/// The target of a request (RFC 9112 section 3.2).
#[derive(Clone)]
enum RequestTarget {
    /// A path, or the `*` of `OPTIONS`.
    Path(PathAndQuery),
    /// `/`, and the header whose address tells this request from others.
    Root(#[expect(dead_code, reason = "keeps its address in use")] HeaderValue),
    /// The host and port of `CONNECT`.
    Authority(Authority),
    None,
}

impl RequestTarget {
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        match (uri.path_and_query(), uri.authority()) {
            (Some(path), _) => match first_value(headers) {
                Some(first) if path == "/" => Self::Root(first.clone()),
                _ => Self::Path(path.clone()),
            },
            (None, Some(authority)) => Self::Authority(authority.clone()),
            (None, None) => Self::None,
        }
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

/// The actor that a layer put into the extensions of a request or of a response.
pub(crate) fn actor_in(extensions: &Extensions) -> Option<&Actor> {
    extensions.get::<Arc<Actor>>().map(|actor| &**actor).or_else(|| extensions.get())
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

/// The protocol of a request, by its `content-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// Returns true for the `content-type` of gRPC over HTTP/2: `application/grpc`, with a suffix or parameters. That of
/// gRPC-Web is another one.
pub(crate) fn is_grpc(content_type: &HeaderValue) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let Some((name, rest)) = content_type.as_bytes().split_at_checked(NAME.len()) else { return false };
    name.eq_ignore_ascii_case(NAME) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// A header that may have a key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyHeader {
    XApiKey,
    Authorization,
}

/// The maximum number of further lines with keys that are read.
const MAX_MORE_KEYS: usize = 16;
/// The maximum number of lines of a proxies' header that are read: the last ones.
const MAX_FORWARDED_LINES: usize = 16;
/// The longest `x-request-id` that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

impl RequestHead {
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let peer = extensions.get::<PeerAddr>().map(|peer| peer.0.ip());
        #[cfg(feature = "axum")]
        let peer = peer.or_else(|| {
            let info = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()?;
            Some(info.0.ip())
        });
        let mut head = Self {
            method: method.clone(),
            target: RequestTarget::of(sent(uri, extensions), headers),
            #[cfg(feature = "axum")]
            matched_path: extensions.get().cloned(),
            protocol: Protocol::Http,
            peer,
            actor: actor_in(extensions).cloned(),
            user_agent: None,
            x_request_id: None,
            traceparent: None,
            x_api_key: None,
            authorization: None,
            more_keys: Vec::new(),
            forwarded: SmallVec::new(),
            x_forwarded_for: SmallVec::new(),
        };
        // One pass: a look-up of each name would hash it.
        for (name, value) in headers {
            let first = match name.as_str() {
                "user-agent" => &mut head.user_agent,
                "x-request-id" => &mut head.x_request_id,
                "traceparent" => &mut head.traceparent,
                "x-api-key" => {
                    push_key(&mut head.x_api_key, &mut head.more_keys, KeyHeader::XApiKey, value);
                    continue;
                }
                "authorization" => {
                    push_key(&mut head.authorization, &mut head.more_keys, KeyHeader::Authorization, value);
                    continue;
                }
                "forwarded" => {
                    push_last(&mut head.forwarded, value);
                    continue;
                }
                "x-forwarded-for" => {
                    push_last(&mut head.x_forwarded_for, value);
                    continue;
                }
                "content-type" => {
                    if is_grpc(value) {
                        head.protocol = Protocol::Grpc;
                    }
                    continue;
                }
                _ => continue,
            };
            if first.is_none() {
                *first = Some(value.clone());
            }
        }
        head
    }

    pub(crate) fn path(&self) -> &str {
        match &self.target {
            RequestTarget::Path(target) => target.path(),
            RequestTarget::Root(_) => "/",
            _ => "",
        }
    }

    /// The protocol that the client expects an answer in.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns true if it is the head of a request with this method and target.
    pub(crate) fn is_of(&self, method: &Method, target: &str) -> bool {
        let own = match &self.target {
            RequestTarget::Path(path) => path.as_str(),
            RequestTarget::Root(_) => "/",
            RequestTarget::Authority(_) | RequestTarget::None => "",
        };
        self.method == *method && own == target
    }

    /// The actor that came with the request.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The client's request id, if it is short and has only harmless characters.
    pub(crate) fn clean_request_id(&self) -> Option<CompactText> {
        let given = self.x_request_id.as_ref()?.to_str().ok()?;
        let is_clean = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
        let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&given.len()) && given.bytes().all(is_clean);
        fits.then(|| given.into())
    }

    /// Fills in the fields that are known from the head. The route is the one that the handler named, or the router's, or
    /// the pattern of this rule of `policy`. `settings`: the policy whose capture settings and base path apply.
    pub(crate) fn apply_to(
        &self,
        event: &mut AuditEvent,
        policy: &AuditPolicy,
        settings: &AuditPolicy,
        rule: Option<usize>,
        named_route: Option<&CompactText>,
    ) {
        let capture = settings.capture_config();
        event.actor = self.actor.clone().unwrap_or_default();
        if event.actor.api_key_hash.is_none() {
            event.actor.api_key_hash = api_key::digest(
                self.keys(KeyHeader::XApiKey, self.x_api_key.as_ref()),
                self.keys(KeyHeader::Authorization, self.authorization.as_ref()),
                capture,
            );
        }
        if event.actor.remote_addr.is_none() {
            event.actor.remote_addr = self.remote_addr(capture).map(address::to_text);
        }
        event.resource.method = Some(truncate(self.method.as_str(), MAX_METHOD_BYTES).into());
        event.resource.route = named_route.cloned().or_else(|| {
            let route = self.matched_path().map(|route| settings.strip_base_path(route));
            route.or_else(|| policy.route_pattern(rule?, self.path())).map(CompactText::from)
        });
        let named_route = named_route.map(CompactText::as_str);
        let recorded = self.recorded_path(policy, settings, rule, named_route);
        if let Some(path) = self.sent_path() {
            let recorded = recorded.as_deref();
            let request = RoutedPath { path, recorded, named: named_route, matched: self.matched_path() };
            event.targets.extend(policy.path_target(settings, rule, request));
        }
        let request = &mut event.request;
        request.request_uri = self.request_uri(recorded, settings);
        request.user_agent =
            self.user_agent.as_ref().map(|value| truncate_bytes(value.as_bytes(), MAX_HEADER_BYTES).into());
        request.forwarded = join_values(&self.forwarded).or_else(|| join_values(&self.x_forwarded_for));
        request.trace_id = self.traceparent.as_ref().and_then(|value| trace_id(value.as_bytes()));
    }

    /// The template that axum's router matched, with the mount prefix.
    #[cfg(feature = "axum")]
    fn matched_path(&self) -> Option<&str> {
        self.matched_path.as_ref().map(axum::extract::MatchedPath::as_str)
    }

    #[cfg(not(feature = "axum"))]
    #[allow(clippy::unused_self, reason = "with axum it looks at it")]
    fn matched_path(&self) -> Option<&str> {
        None
    }

    /// The lines of a header that may have a key in it.
    fn keys<'a>(&'a self, header: KeyHeader, first: Option<&'a HeaderValue>) -> impl Iterator<Item = &'a [u8]> {
        let more = self.more_keys.iter().filter(move |(of, _)| *of == header).map(|(_, value)| value);
        first.into_iter().chain(more).map(HeaderValue::as_bytes)
    }

    fn remote_addr(&self, capture: &CaptureConfig) -> Option<IpAddr> {
        let values = match capture.proxy_header() {
            ProxyHeader::XForwardedFor => &self.x_forwarded_for,
            ProxyHeader::Forwarded => &self.forwarded,
        };
        client_addr::resolve(self.peer, capture, values.iter().map(HeaderValue::as_bytes))
    }

    /// The path of the target; none of `CONNECT`.
    fn sent_path(&self) -> Option<&str> {
        match &self.target {
            RequestTarget::Path(target) => Some(target.path()),
            RequestTarget::Root(_) => Some("/"),
            RequestTarget::Authority(_) | RequestTarget::None => None,
        }
    }

    /// The path as it may be recorded.
    fn recorded_path(
        &self,
        policy: &AuditPolicy,
        settings: &AuditPolicy,
        rule: Option<usize>,
        named_route: Option<&str>,
    ) -> Option<Cow<'_, str>> {
        let is_own = std::ptr::eq(policy, settings);
        let rule_of_settings = rule.filter(|_| is_own);
        let path = settings.redact_path(self.sent_path()?, named_route, self.matched_path(), rule_of_settings)?;
        if !is_own && settings.capture_config().request_path() == RequestPath::Redacted {
            return Some(policy.redact_path(&path, None, None, rule)?.into_owned().into());
        }
        Some(path)
    }

    fn request_uri(&self, recorded_path: Option<Cow<'_, str>>, settings: &AuditPolicy) -> Option<CompactText> {
        let query = match &self.target {
            RequestTarget::Path(target) => target.query(),
            RequestTarget::Authority(authority) => {
                return Some(truncate(without_user(authority), MAX_URI_BYTES).into());
            }
            RequestTarget::Root(_) | RequestTarget::None => None,
        };
        let path = recorded_path?;
        let path = truncate(&path, MAX_URI_BYTES);
        Some(match query.and_then(|query| settings.capture_config().redact_query(query)) {
            None => path.into(),
            Some(query) => truncate(&format!("{path}?{query}"), MAX_URI_BYTES).into(),
        })
    }
}

/// Host and port: before an `@` there may be a password.
fn without_user(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

fn push_key(
    first: &mut Option<HeaderValue>,
    more: &mut Vec<(KeyHeader, HeaderValue)>,
    header: KeyHeader,
    value: &HeaderValue,
) {
    if first.is_none() {
        *first = Some(value.clone());
    } else if more.len() < MAX_MORE_KEYS {
        more.push((header, value.clone()));
    }
}

fn push_last(lines: &mut SmallVec<[HeaderValue; 1]>, value: &HeaderValue) {
    if lines.len() == MAX_FORWARDED_LINES {
        lines.remove(0);
    }
    lines.push(value.clone());
}

/// Without the values of headers, which may hold credentials.
impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestHead").field("method", &self.method).field("path", &self.path()).finish_non_exhaustive()
    }
}

fn join_values(values: &[HeaderValue]) -> Option<CompactText> {
    match values {
        [] => None,
        [one] => Some(truncate_bytes(one.as_bytes(), MAX_HEADER_BYTES).into()),
        many => {
            let all = many.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
            Some(truncate_bytes(&all, MAX_HEADER_BYTES).into())
        }
    }
}

/// The trace id in a `traceparent` (W3C Trace Context section 3.2): 32 lower-case digits, not all zero.
fn trace_id(value: &[u8]) -> Option<CompactText> {
    let mut parts = value.split(|b| *b == b'-');
    let (version, id) = (parts.next()?, parts.next()?);
    let is_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let fits = version.len() == 2
        && version != b"ff"
        && version.iter().all(is_hex)
        && id.len() == 32
        && id.iter().all(is_hex)
        && id.iter().any(|b| *b != b'0');
    fits.then(|| String::from_utf8_lossy(id).into())
}

/// The id of a request whose client gave none that can be used.
pub(super) fn new_request_id() -> CompactText {
    EventId::new().to_hex().as_str().into()
}
