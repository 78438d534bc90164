//! Settings for capturing and redacting request data.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::path_parameters;
use super::secret_names::{HIDDEN, SecretNames, redact_query};
use super::secret_values;
use crate::event::Details;

/// Settings for capturing and redacting request data: the part of a policy beside its rules.
///
/// ```
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::{ProxyHeader, QueryString};
///
/// let policy = AuditPolicy::builder()
///     .preset_ivre()
///     .trusted_proxies(["10.0.0.0/8".parse()?], ProxyHeader::Forwarded)
///     .query_string(QueryString::Redacted)
///     .redact(["patient"])
///     .build()?;
/// let capture = policy.capture_config();
/// assert!(capture.trusts("10.1.2.3".parse()?));
/// assert_eq!(
///     capture.redact_query("page=2&%74oken=abc&Patient=7").as_deref(),
///     Some("page=2&%74oken=***&Patient=***")
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct CaptureConfig {
    pub(super) pepper: Option<Vec<u8>>,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) proxy_header: ProxyHeader,
    pub(super) query_string: QueryString,
    pub(super) path: RequestPath,
    pub(super) api_key: ApiKeySource,
    pub(super) no_default_target: bool,
    pub(super) secret_names: SecretNames,
}

/// The header in which a trusted proxy names the client. `docs/capture.md` says how each is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: addresses between commas, with a port or without.
    #[default]
    XForwardedFor,
    /// `Forwarded`, by the grammar of RFC 7239.
    Forwarded,
}

/// The part of the query string that `request.request_uri` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum QueryString {
    /// None.
    #[default]
    Off,
    /// All of it, with `***` for the values of parameters that look like credentials or have a name of the app's own list
    /// ([`PolicyBuilder::redact`](super::PolicyBuilder::redact)). `docs/capture.md` lists the names.
    Redacted,
}

/// The part of the path that `request.request_uri` has.
///
/// A path has parameters where a route template or a rule's pattern matched that names them: `/reset/{token}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RequestPath {
    /// All of it, with `***` for parameters whose names say that they are credentials (`{token}`, `{code}`), or that have a
    /// name of the app's own list ([`PolicyBuilder::redact`](super::PolicyBuilder::redact)). `docs/capture.md` lists the
    /// names.
    #[default]
    Redacted,
    /// The path as it was sent, credentials included.
    AsSent,
    /// The path with `***` for every parameter; nothing where no template matched.
    Template,
}

/// The headers of which a digest is kept in `actor.api_key_hash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ApiKeySource {
    /// None.
    Off,
    /// `x-api-key`.
    XApiKey,
    /// `authorization: Bearer`, unless the token is a JWT: it stands for a session, is another one after each login, and
    /// so names nothing.
    Bearer,
    /// `x-api-key`; where there is none, `authorization: Bearer` as above.
    #[default]
    Both,
}

impl CaptureConfig {
    /// The secret with which API keys are hashed.
    pub(crate) fn pepper(&self) -> Option<&[u8]> {
        self.pepper.as_deref()
    }

    /// Returns true if API keys are hashed with a secret.
    pub fn has_pepper(&self) -> bool {
        self.pepper.is_some()
    }

    /// The networks whose proxies are believed.
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Returns true if a trusted network contains the address. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }

    /// The header in which they name the client.
    pub fn proxy_header(&self) -> ProxyHeader {
        self.proxy_header
    }

    /// The part of the query string that is kept.
    pub fn query_string(&self) -> QueryString {
        self.query_string
    }

    /// The part of the path that is kept.
    pub fn request_path(&self) -> RequestPath {
        self.path
    }

    /// The headers of which a digest is kept.
    pub fn api_key(&self) -> ApiKeySource {
        self.api_key
    }

    /// Returns true if the last parameter of a route is the target of an event that names none.
    pub fn default_target(&self) -> bool {
        !self.no_default_target
    }

    /// The query string as it may be recorded: nothing if query strings are off; else with `***` for every value whose
    /// name looks like that of a credential, however the name is spelled.
    pub fn redact_query(&self, query: &str) -> Option<String> {
        match self.query_string {
            QueryString::Off => None,
            QueryString::Redacted => Some(redact_query(query, &self.secret_names)),
        }
    }

    /// The path as it may be recorded, with `***` for every hidden parameter of the `template` that matched it.
    ///
    /// A template that does not fit the path, as the whole template of a nested router does not fit the rest of a path,
    /// is aligned at the ends of both. Where that fails the position of the parameter is unknown, and the template is returned.
    ///
    /// ```
    /// let policy = tower_audit::AuditPolicy::builder().preset_ivre().redact(["patient"]).build()?;
    /// let capture = policy.capture_config();
    /// assert_eq!(capture.redact_path("/reset/8b1c/", "/reset/{token}"), "/reset/***/");
    /// assert_eq!(capture.redact_path("/7/scans/8", "/{patient}/scans/{id}"), "/***/scans/8");
    /// assert_eq!(capture.redact_path("/tokens/8", "/tokens/{token_id}"), "/tokens/8");
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    pub fn redact_path<'p>(&self, path: &'p str, template: &str) -> Cow<'p, str> {
        if !self.hides_parameters_of(template) {
            return Cow::Borrowed(path);
        }
        Cow::Owned(path_parameters::redact(path, template, |name| self.hides_parameter(name)))
    }

    /// Returns true if a parameter of the template is hidden.
    pub(super) fn hides_parameters_of(&self, template: &str) -> bool {
        self.path != RequestPath::AsSent
            && template.contains('{')
            && path_parameters::names(template).any(|name| self.hides_parameter(name))
    }

    fn hides_parameter(&self, name: &str) -> bool {
        match self.path {
            RequestPath::AsSent => false,
            RequestPath::Template => true,
            RequestPath::Redacted => self.is_credential(name),
        }
    }

    /// Returns true for a parameter of a path whose name says that it is a credential, or is of the app's own list.
    pub(super) fn is_credential(&self, name: &str) -> bool {
        self.secret_names.hide_in_path(name)
    }

    /// Puts `***` in the place of everything in the text that looks like a credential: `docs/capture.md` lists it.
    ///
    /// ```
    /// let policy = tower_audit::AuditPolicy::mutations();
    /// assert_eq!(policy.capture_config().mask("by Bearer c2VjcmV0, 4111 1111 1111 1111"), "by Bearer ***, ***");
    /// ```
    #[allow(clippy::unused_self, reason = "settings may add to what is masked")]
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        secret_values::mask(text)
    }

    /// Puts `***` in the place of every value of a request's body, at any depth, whose key is a name of a credential or of the
    /// app's own list, and masks the others.
    pub(crate) fn redact_members(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    if self.secret_names.is_secret(key) {
                        *value = HIDDEN.into();
                    } else {
                        self.redact_members(value);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_members(item)),
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask(text) {
                    *text = masked;
                }
            }
            // A number of a payment card may be one.
            Value::Number(number) => {
                if let Cow::Owned(masked) = self.mask(&number.to_string()) {
                    *value = masked.into();
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Puts `***` in the place of every value of the details, at any depth, whose key is a name of the app's own list.
    ///
    /// Names that look like credentials are left alone here: the app itself has put them in.
    pub fn redact_details(&self, details: &mut Details) {
        self.secret_names.redact_details(details);
    }
}

/// The pepper is a secret.
impl fmt::Debug for CaptureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("pepper", &self.pepper.as_ref().map(|_| "***"))
            .field("trusted", &self.trusted_proxies)
            .field("proxy_header", &self.proxy_header)
            .field("query", &self.query_string)
            .field("path", &self.path)
            .field("api_key", &self.api_key)
            .field("default_target", &self.default_target())
            .field("redact", &self.secret_names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pepper_is_not_shown() {
        let capture = CaptureConfig { pepper: Some(b"hunter2".to_vec()), ..CaptureConfig::default() };
        let shown = format!("{capture:?} {capture:#?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }

    #[test]
    fn a_mapped_address_is_the_same_address() {
        let capture =
            CaptureConfig { trusted_proxies: vec!["192.0.2.0/24".parse().expect("a net")], ..CaptureConfig::default() };
        for (address, trusted) in
            [("192.0.2.9", true), ("::ffff:192.0.2.9", true), ("192.0.3.1", false), ("::1", false)]
        {
            assert_eq!(capture.trusts(address.parse().expect("an address")), trusted, "{address}");
        }
    }

    #[test]
    fn off_means_nothing() {
        assert_eq!(CaptureConfig::default().redact_query("a=b"), None);
    }
}
