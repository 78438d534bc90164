//! The key that a caller presented, as a digest.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use crate::event::Text;
use crate::event::limits::hex;

/// The digest of the API key: `x-api-key` if it is not empty, else the token of `authorization: Bearer`.
///
/// Whether the key is a good one makes no difference: what was presented is what is recorded. SHA-256, or HMAC-SHA-256
/// where there is a pepper, in hexadecimal; the rule is that of IVRE (seed 000).
pub(super) fn digest(
    api_key: Option<&HeaderValue>,
    authorization: Option<&HeaderValue>,
    pepper: Option<&[u8]>,
) -> Option<Text> {
    let key = api_key
        .map(HeaderValue::as_bytes)
        .filter(|key| !key.is_empty())
        .or_else(|| bearer(authorization?.as_bytes()))?;
    let digest = match pepper {
        None => Sha256::digest(key),
        Some(pepper) => {
            let mut mac = Hmac::<Sha256>::new_from_slice(pepper).ok()?;
            mac.update(key);
            mac.finalize().into_bytes()
        }
    };
    Some(hex(&digest, &mut [0; 64]).into())
}

/// The token, if there are exactly two parts and the first is `bearer` in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let mut parts = value.split(|b| b.is_ascii_whitespace()).filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(scheme), Some(token), None) if scheme.eq_ignore_ascii_case(b"bearer") => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn the_digest_is_that_of_the_raw_key() {
        const OF_KEY: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
        assert_eq!(digest(Some(&header("key")), Some(&header("Bearer other")), None).unwrap(), OF_KEY);
        assert_eq!(digest(Some(&header("")), Some(&header("bEaReR  key")), None).unwrap(), OF_KEY);
        assert_eq!(digest(None, Some(&header("Basic key")), None), None);
        assert_eq!(digest(None, Some(&header("Bearer key more")), None), None);
    }

    #[test]
    fn a_pepper_makes_it_an_hmac() {
        // Test case 2 of RFC 4231.
        assert_eq!(
            digest(Some(&header("what do ya want for nothing?")), None, Some(b"Jefe")).unwrap(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
