//! The parts of a request's head that are kept while its handler runs.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use smallvec::SmallVec;

use super::protocol::{Protocol, is_grpc};
use super::request_target::{RequestTarget, sent};
use super::{PeerAddr, api_key, client_addr};
use crate::event::limits::{MAX_HEADER_BYTES, MAX_METHOD_BYTES, MAX_URI_BYTES};
use crate::event::{Actor, AuditEvent, CompactText, EventId, address};
use crate::event::{truncate, truncate_bytes};
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

/// The actor that a layer put into the extensions of a request or of a response.
pub(crate) fn actor_in(extensions: &Extensions) -> Option<&Actor> {
    extensions.get::<Arc<Actor>>().map(|actor| &**actor).or_else(|| extensions.get())
}

/// A header that may have a key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyHeader {
    XApiKey,
    Authorization,
}

impl KeyHeader {
    /// The key in a line of this header.
    fn key(self, line: &HeaderValue) -> Option<&[u8]> {
        match self {
            Self::XApiKey => Some(line.as_bytes()).filter(|key| !key.is_empty()),
            Self::Authorization => api_key::token(line.as_bytes()),
        }
    }
}

/// The maximum number of further keys of a header that are kept: more than an event names, so that it says that there were more.
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
        self.target.path().unwrap_or_default()
    }

    /// The protocol that the client expects an answer in.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns true if it is the head of a request with this method and target.
    pub(crate) fn is_of(&self, method: &Method, target: &str) -> bool {
        self.method == *method && self.target.path_and_query() == target
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
        if let Some(path) = self.target.path() {
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
        let path = settings.redact_path(self.target.path()?, named_route, self.matched_path(), rule_of_settings)?;
        if !is_own && settings.capture_config().request_path() == RequestPath::Redacted {
            return Some(policy.redact_path(&path, None, None, rule)?.into_owned().into());
        }
        Some(path)
    }

    fn request_uri(&self, recorded_path: Option<Cow<'_, str>>, settings: &AuditPolicy) -> Option<CompactText> {
        if let Some(host) = self.target.host_and_port() {
            return Some(truncate(host, MAX_URI_BYTES).into());
        }
        let path = recorded_path?;
        let path = truncate(&path, MAX_URI_BYTES);
        Some(match self.target.query().and_then(|query| settings.capture_config().redact_query(query)) {
            None => path.into(),
            Some(query) => truncate(&format!("{path}?{query}"), MAX_URI_BYTES).into(),
        })
    }
}

fn push_key(
    first: &mut Option<HeaderValue>,
    more: &mut Vec<(KeyHeader, HeaderValue)>,
    header: KeyHeader,
    value: &HeaderValue,
) {
    let Some(first) = first else {
        *first = Some(value.clone());
        return;
    };
    // A line without a key, or with one that is known, leaves no room for others if it is kept.
    let key = header.key(value);
    let known = || more.iter().filter(|(of, _)| *of == header).map(|(_, value)| header.key(value));
    if key.is_some()
        && header.key(first) != key
        && !known().any(|known| known == key)
        && known().count() < MAX_MORE_KEYS
    {
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
    let fits = version.len() == 2 && version != b"ff" && version.iter().all(is_lower_hex) && is_trace_id(id);
    fits.then(|| String::from_utf8_lossy(id).into())
}

/// Returns true for a trace id: 32 lower-case digits, not all zero.
pub(super) fn is_trace_id(id: &[u8]) -> bool {
    id.len() == 32 && id.iter().all(is_lower_hex) && id.iter().any(|b| *b != b'0')
}

fn is_lower_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The id of a request whose client gave none that can be used.
pub(super) fn new_request_id() -> CompactText {
    EventId::new().to_hex().as_str().into()
}
