//! What is taken from a request, and what is hidden.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::redact::{self, Names};

/// What is taken from a request, and what is hidden: the settings of a policy that are no rules.
///
/// ```
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::{ProxyHeader, QueryString};
///
/// let policy = AuditPolicy::builder()
///     .preset()
///     .trusted_proxies(["10.0.0.0/8".parse()?], ProxyHeader::Forwarded)
///     .query_string(QueryString::redacted(["patient"]))
///     .build()?;
/// let capture = policy.capture();
/// assert!(capture.trusts("10.1.2.3".parse()?));
/// assert_eq!(
///     capture.redact_query("page=2&%74oken=abc&Patient=7").as_deref(),
///     Some("page=2&%74oken=***&Patient=***")
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Capture {
    pub(super) pepper: Option<Vec<u8>>,
    pub(super) trusted: Vec<IpNet>,
    pub(super) proxy_header: ProxyHeader,
    pub(super) query: QueryString,
    pub(super) names: Names,
}

/// The header in which a trusted proxy names the client. `docs/capture.md` says how each is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: addresses between commas, with a port or without.
    #[default]
    XForwardedFor,
    /// `Forwarded`, by the grammar of RFC 7239.
    Forwarded,
}

/// Whether the query string of a request is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QueryString {
    /// It is not.
    #[default]
    Off,
    /// It is, without the values of parameters that look like credentials or have one of these names.
    Redacted(BTreeSet<String>),
}

impl QueryString {
    /// Kept without the values of parameters that look like credentials or have one of these names.
    pub fn redacted(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Redacted(names.into_iter().map(Into::into).collect())
    }
}

impl Capture {
    /// The secret with which API keys are hashed.
    pub fn pepper(&self) -> Option<&[u8]> {
        self.pepper.as_deref()
    }

    /// The networks whose proxies are believed.
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted
    }

    /// Whether this address is in one of those networks; an IPv4 address is the same when it is mapped into IPv6.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }

    /// The header in which they name the client.
    pub fn proxy_header(&self) -> ProxyHeader {
        self.proxy_header
    }

    /// Whether query strings are kept.
    pub fn query_string(&self) -> &QueryString {
        &self.query
    }

    /// The query string as it may be recorded: nothing if query strings are off; else with `***` for every value whose
    /// name looks like that of a credential, however the name is spelled.
    pub fn redact_query(&self, query: &str) -> Option<String> {
        match self.query {
            QueryString::Off => None,
            QueryString::Redacted(_) => Some(redact::redact(query, &self.names)),
        }
    }
}

/// The pepper is a secret.
impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("pepper", &self.pepper.as_ref().map(|_| "***"))
            .field("trusted", &self.trusted)
            .field("proxy_header", &self.proxy_header)
            .field("query", &self.query)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pepper_is_not_shown() {
        let capture = Capture { pepper: Some(b"hunter2".to_vec()), ..Capture::default() };
        let shown = format!("{capture:?} {capture:#?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }

    #[test]
    fn a_mapped_address_is_the_same_address() {
        let capture = Capture { trusted: vec!["192.0.2.0/24".parse().expect("a net")], ..Capture::default() };
        for (address, trusted) in
            [("192.0.2.9", true), ("::ffff:192.0.2.9", true), ("192.0.3.1", false), ("::1", false)]
        {
            assert_eq!(capture.trusts(address.parse().expect("an address")), trusted, "{address}");
        }
    }

    #[test]
    fn off_means_nothing() {
        assert_eq!(Capture::default().redact_query("a=b"), None);
    }
}
