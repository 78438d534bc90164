//! The key that a caller presented, as a digest.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use super::digest_cache::cached;
use crate::event::CompactText;
use crate::event::hex;
use crate::policy::{ApiKeySource, CaptureConfig};

/// The maximum number of digests in an event: as many as fit the field.
const MAX_DIGESTS: usize = 3;

/// Returns the digest of the API key: of `x-api-key` if it is not empty, else of the token of `authorization: Bearer`, as
/// far as the policy asks for either.
///
/// Of an invalid key, too: the event says what was presented. SHA-256, or HMAC-SHA-256 where there is a pepper, in
/// hexadecimal; the rule is that of IVRE.
///
/// A request may have several lines of one header, and no standard says which of them an app takes. Where they differ, the
/// digests of all are there, with blanks between them, three at the most; an `…` stands for the others.
pub(super) fn digest<'h>(
    x_api_keys: impl Iterator<Item = &'h [u8]>,
    authorizations: impl Iterator<Item = &'h [u8]>,
    capture: &CaptureConfig,
) -> Option<CompactText> {
    let (x_api_key, with_bearer) = match capture.api_key() {
        ApiKeySource::Off => return None,
        ApiKeySource::XApiKey => (true, false),
        ApiKeySource::Bearer => (false, true),
        ApiKeySource::Both => (true, true),
    };
    let keys = x_api_keys.filter(|key| x_api_key && !key.is_empty());
    let tokens = authorizations.filter_map(token).filter(|_| with_bearer);
    let pepper = capture.pepper();
    all(keys, pepper).or_else(|| all(tokens, pepper))
}

/// The digests of different keys.
fn all<'h>(keys: impl Iterator<Item = &'h [u8]>, pepper: Option<&[u8]>) -> Option<CompactText> {
    let mut different = SmallVec::<[&[u8]; MAX_DIGESTS + 1]>::new();
    for key in keys {
        if different.len() <= MAX_DIGESTS && !different.contains(&key) {
            different.push(key);
        }
    }
    let first = of_key(different.first()?, pepper)?;
    if different.len() == 1 {
        return Some(first);
    }
    let mut text = String::from(first);
    for key in different.iter().take(MAX_DIGESTS).skip(1) {
        text.push(' ');
        text.push_str(&of_key(key, pepper)?);
    }
    if different.len() > MAX_DIGESTS {
        text.push_str(" …");
    }
    Some(text.into())
}

fn of_key(key: &[u8], pepper: Option<&[u8]>) -> Option<CompactText> {
    cached(key, pepper, || Some(hex::encode(&digest_of(key, pepper)?, &mut [0; 64]).into()))
}

fn digest_of(key: &[u8], pepper: Option<&[u8]>) -> Option<[u8; 32]> {
    let Some(pepper) = pepper else { return Some(Sha256::digest(key).into()) };
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper).ok()?;
    mac.update(key);
    Some(mac.finalize().into_bytes().into())
}

/// The token of `authorization: Bearer`, unless it is a JWT.
pub(super) fn token(value: &[u8]) -> Option<&[u8]> {
    bearer(value).filter(|token| !is_jwt(token))
}

const BEARER: &[u8] = b"bearer ";

/// The token, if there are exactly two parts and the first is `bearer` in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    // As nearly every client writes it: one blank.
    if let Some((scheme, token)) = value.split_at_checked(BEARER.len())
        && scheme.eq_ignore_ascii_case(BEARER)
        && !token.is_empty()
        && !token.iter().fold(false, |has_blank, byte| has_blank | byte.is_ascii_whitespace())
    {
        return Some(token);
    }
    let mut parts = value.split(|b| b.is_ascii_whitespace()).filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(scheme), Some(token), None) if scheme.eq_ignore_ascii_case(b"bearer") => Some(token),
        _ => None,
    }
}

/// Returns true for a JWT: three parts (JWS, RFC 7515 section 7.1) or five (JWE, RFC 7516 section 7.1) between dots, the first of
/// which is an object with `alg` in JSON in base64url.
fn is_jwt(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| *byte == b'.');
    let header = parts.next().unwrap_or_default();
    matches!(parts.count() + 1, 3 | 5)
        && base64url(header)
            .and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok())
            .is_some_and(|header| header.contains_key("alg"))
}

/// The bytes behind base64url without padding (RFC 4648 section 5); bits that are left over are passed over.
fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AuditPolicy;

    const OF_KEY: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
    /// The example of RFC 7515 appendix A.1: `{"typ":"JWT",\r\n "alg":"HS256"}`.
    const JWT: &str =
        "Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r";

    fn digest_by(source: ApiKeySource, x_api_keys: &[&str], authorizations: &[&str]) -> Option<String> {
        let policy = AuditPolicy::builder().preset_ivre().api_key(source).build().unwrap();
        let bytes = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
        let (keys, authorizations) = (bytes(x_api_keys), bytes(authorizations));
        digest(keys.iter().map(Vec::as_slice), authorizations.iter().map(Vec::as_slice), policy.capture_config())
            .map(String::from)
    }

    #[test]
    fn the_digest_is_that_of_the_raw_key() {
        let both = |keys: &[&str], tokens: &[&str]| digest_by(ApiKeySource::Both, keys, tokens);
        assert_eq!(both(&["key"], &["Bearer other"]).unwrap(), OF_KEY);
        assert_eq!(both(&[""], &["bEaReR  key"]).unwrap(), OF_KEY);
        assert_eq!(both(&["", "key"], &["Bearer other"]).unwrap(), OF_KEY);
        assert_eq!(both(&[], &["Basic key"]), None);
        assert_eq!(both(&[], &["Bearer key more"]), None);
        assert_eq!(both(&[], &[]), None);
    }

    #[test]
    fn the_policy_says_which_header() {
        for (source, of_key, of_token) in [
            (ApiKeySource::Off, false, false),
            (ApiKeySource::XApiKey, true, false),
            (ApiKeySource::Bearer, false, true),
            (ApiKeySource::Both, true, true),
        ] {
            assert_eq!(digest_by(source, &["key"], &[]).is_some(), of_key, "{source:?}");
            assert_eq!(digest_by(source, &[], &["Bearer key"]).is_some(), of_token, "{source:?}");
        }
        assert_eq!(digest_by(ApiKeySource::Bearer, &["other"], &["Bearer key"]).unwrap(), OF_KEY);
    }

    #[test]
    fn a_jwt_is_no_key() {
        let hash = |token: &str| digest_by(ApiKeySource::Both, &[], &[token]);
        assert_eq!(hash(JWT), None);
        assert_eq!(hash(&format!("{JWT}..")), None, "a JWE");
        assert_eq!(hash("Bearer eyJhbGciOiJub25lIn0.e30."), None, "an unsecured one");
        // The same as a key that an app has chosen, and what only looks like one.
        assert!(digest_by(ApiKeySource::Both, &[JWT.trim_start_matches("Bearer ")], &[]).is_some());
        for token in
            ["Bearer a.b.c", "Bearer e30.e30.x", "Bearer eyJhbGciOiJub25lIn0.e30", "Bearer eyJhbGciOiJub25lIn0=.a.b"]
        {
            assert!(hash(token).is_some(), "{token}");
        }
        // It hides no key beside it.
        assert_eq!(digest_by(ApiKeySource::Both, &[], &[JWT, "Bearer key"]).unwrap(), OF_KEY);
    }

    #[test]
    fn of_several_keys_all_are_there() {
        let both = |keys: &[&str], tokens: &[&str]| digest_by(ApiKeySource::Both, keys, tokens).unwrap();
        assert_eq!(both(&["key", "key"], &[]), OF_KEY);
        let (a, b) = (both(&["a"], &[]), both(&["b"], &[]));
        assert_eq!(both(&["a", "key", "a"], &[]), format!("{a} {OF_KEY}"));
        assert_eq!(both(&["", ""], &["Bearer key", "bearer a"]), format!("{OF_KEY} {a}"));
        assert_eq!(both(&["a", "b", "key"], &[]), format!("{a} {b} {OF_KEY}"));
        assert_eq!(both(&["a", "b", "key", "d", "e"], &[]), format!("{a} {b} {OF_KEY} …"));
        assert!(both(&["a", "b", "key", "d"], &[]).len() <= crate::event::limits::MAX_ADDR_BYTES);
    }

    #[test]
    fn a_pepper_makes_it_an_hmac() {
        // Test case 2 of RFC 4231.
        let policy = AuditPolicy::builder().preset_ivre().pepper(*b"Jefe").build().unwrap();
        let key: &[u8] = b"what do ya want for nothing?";
        assert_eq!(
            digest(std::iter::once(key), std::iter::empty(), policy.capture_config()).unwrap(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
