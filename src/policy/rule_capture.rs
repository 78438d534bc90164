//! The data of a request that a rule asks for.

use http::HeaderName;

use super::secret_names::looks_like_credential;
use crate::event::excerpt;

/// The data of a request that a rule asks for beyond the usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleCapture {
    pub(crate) headers: Vec<String>,
    pub(crate) query: Vec<String>,
    pub(crate) body: Option<BodyCapture>,
}

/// The part of a request's body that a rule asks for. It needs a [`CaptureBodyLayer`](crate::middleware::CaptureBodyLayer)
/// within the audit layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyCapture {
    /// The number of bytes and their SHA-256.
    Digest,
    /// These, and the members of a JSON body or of a form of at most [`MAX_BODY_BYTES`], without what looks like a credential.
    Redacted,
}

/// The largest body of which members are recorded, in bytes. Of a larger one there is the digest.
pub const MAX_BODY_BYTES: usize = 8 * 1024;
/// The maximum number of headers, and of parameters of the query, that a rule may name.
pub(super) const MAX_NAMES: usize = 16;

impl RuleCapture {
    /// Returns the key and the fault of a setting, if one is wrong.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let too_many = |names: &[String]| {
            (names.len() > MAX_NAMES).then(|| format!("there are {} names: expected {MAX_NAMES} at most", names.len()))
        };
        let credential = |names: &[String]| {
            let name = names.iter().find(|name| looks_like_credential(name))?;
            Some(format!("{:?} has the name of a credential, which no event has: leave it out", excerpt(name)))
        };
        let malformed = || {
            let name = self.headers.iter().find(|name| HeaderName::from_bytes(name.as_bytes()).is_err())?;
            Some(format!("{:?} is no name of a header: expected one such as \"x-tenant\"", excerpt(name)))
        };
        let headers = malformed().or_else(|| credential(&self.headers)).or_else(|| too_many(&self.headers));
        let query = credential(&self.query).or_else(|| too_many(&self.query));
        headers.map(|fault| ("headers", fault)).or_else(|| query.map(|fault| ("query", fault)))
    }
}
