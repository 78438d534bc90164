//! The parts of a request's head that are kept while its handler runs.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};

use super::given_actor::GivenActor;
use super::header_lines::HeaderLines;
use super::protocol::{Protocol, is_grpc};
use super::request_target::RequestTarget;
use super::{PeerAddr, api_key, client_addr};
use crate::event::limits::{MAX_HEADER_BYTES, MAX_METHOD_BYTES, MAX_URI_BYTES};
use crate::event::{Actor, AuditEvent, CompactText, EventId, address};
use crate::event::{truncate, truncate_bytes};
use crate::policy::{AuditPolicy, CaptureConfig, ProxyHeader, RequestPath, RoutedPath};

/// The parts of a request's head that are kept while its handler runs. All are shared references, so that this allocates
/// nothing; the text of an event is made with the event.
#[derive(Default)]
pub(crate) struct RequestHead {
    method: Method,
    target: RequestTarget,
    #[cfg(feature = "axum")]
    matched_path: Option<axum::extract::MatchedPath>,
    protocol: Protocol,
    peer: Option<IpAddr>,
    actor: Option<GivenActor>,
    user_agent: Option<HeaderValue>,
    x_request_id: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
    x_api_key: HeaderLines,
    authorization: HeaderLines,
    forwarded: HeaderLines,
    x_forwarded_for: HeaderLines,
}

/// The longest `x-request-id` that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

impl RequestHead {
    /// Writes the head of a request over an empty one. `target`: the target as the client sent it.
    pub(super) fn fill(&mut self, method: &Method, target: &Uri, headers: &HeaderMap, extensions: &Extensions) {
        self.method = method.clone();
        self.target = RequestTarget::of(target, headers);
        if !extensions.is_empty() {
            self.fill_from_extensions(extensions);
        }
        // One pass: a look-up of each name would hash it.
        for (name, value) in headers {
            let first = match name.as_str() {
                "user-agent" => &mut self.user_agent,
                "x-request-id" => &mut self.x_request_id,
                "traceparent" => &mut self.traceparent,
                "x-api-key" => {
                    self.x_api_key.push_key(value, |line| Some(line).filter(|key| !key.is_empty()));
                    continue;
                }
                "authorization" => {
                    self.authorization.push_key(value, api_key::token);
                    continue;
                }
                "forwarded" => {
                    self.forwarded.push_last(value);
                    continue;
                }
                "x-forwarded-for" => {
                    self.x_forwarded_for.push_last(value);
                    continue;
                }
                "content-type" => {
                    if is_grpc(value) {
                        self.protocol = Protocol::Grpc;
                    }
                    continue;
                }
                _ => continue,
            };
            if first.is_none() {
                *first = Some(value.clone());
            }
        }
    }

    fn fill_from_extensions(&mut self, extensions: &Extensions) {
        self.peer = extensions.get::<PeerAddr>().map(|peer| peer.0.ip());
        #[cfg(feature = "axum")]
        {
            if self.peer.is_none() {
                let info = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
                self.peer = info.map(|info| info.0.ip());
            }
            self.matched_path = extensions.get().cloned();
        }
        self.actor = GivenActor::of(extensions);
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

    /// Returns true if an actor came with the request.
    pub(super) fn has_actor(&self) -> bool {
        self.actor.is_some()
    }

    /// The actor that came with the request.
    pub(super) fn actor(&self) -> Option<Actor> {
        self.actor.as_ref().map(GivenActor::to_actor)
    }

    /// The client's request id, if it is short and has only harmless characters.
    pub(crate) fn clean_request_id(&self) -> Option<CompactText> {
        let given = self.x_request_id.as_ref()?.to_str().ok()?;
        let is_clean = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
        let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&given.len()) && given.bytes().all(is_clean);
        fits.then(|| given.into())
    }

    /// Fills in the fields that are known from the head. The route is the one that the handler named, or the router's, or
    /// the pattern of this rule of `policy`. `settings`: the policy whose capture settings and base path apply. `has_targets`: the
    /// handler has named targets, so that none is taken from the path.
    pub(crate) fn apply_to(
        &self,
        event: &mut AuditEvent,
        policy: &AuditPolicy,
        settings: &AuditPolicy,
        rule: Option<usize>,
        named_route: Option<&CompactText>,
        has_targets: bool,
    ) {
        let capture = settings.capture_config();
        if let Some(actor) = self.actor() {
            event.actor = actor;
        }
        if event.actor.api_key_hash.is_none() {
            event.actor.api_key_hash = api_key::digest(self.x_api_key.iter(), self.authorization.iter(), capture);
        }
        if event.actor.remote_addr.is_none() {
            event.actor.remote_addr = self.remote_addr(capture).map(address::to_text);
        }
        event.resource.method = Some(truncate(self.method.as_str(), MAX_METHOD_BYTES).into());
        // Looked for once: the target may be taken from it.
        let is_unrouted = named_route.is_none() && self.matched_path().is_none();
        let pattern = rule.filter(|_| is_unrouted).and_then(|rule| policy.route_pattern(rule, self.path()));
        event.resource.route = named_route.cloned().or_else(|| {
            let route = self.matched_path().map(|route| settings.strip_base_path(route));
            route.or(pattern).map(CompactText::from)
        });
        let named_route = named_route.map(CompactText::as_str);
        let recorded = self.recorded_path(policy, settings, rule, named_route);
        if let Some(path) = self.target.path().filter(|_| !has_targets) {
            let recorded = recorded.as_deref();
            let request = RoutedPath { path, recorded, named: named_route, matched: self.matched_path(), pattern };
            event.targets.extend(policy.path_target(settings, rule, request));
        }
        let request = &mut event.request;
        request.request_uri = self.request_uri(recorded, settings);
        request.user_agent =
            self.user_agent.as_ref().map(|value| truncate_bytes(value.as_bytes(), MAX_HEADER_BYTES).into());
        request.forwarded = self.forwarded.joined().or_else(|| self.x_forwarded_for.joined());
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

    fn remote_addr(&self, capture: &CaptureConfig) -> Option<IpAddr> {
        let values = match capture.proxy_header() {
            ProxyHeader::XForwardedFor => &self.x_forwarded_for,
            ProxyHeader::Forwarded => &self.forwarded,
        };
        client_addr::resolve(self.peer, capture, values.iter())
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

/// Without the values of headers, which may hold credentials.
impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestHead").field("method", &self.method).field("path", &self.path()).finish_non_exhaustive()
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
