//! The digests of the keys that were presented lately.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

use crate::event::CompactText;

/// The digests of the keys that this thread has seen lately. A client presents its key with every request, and SHA-256 in
/// software takes longer than everything else about the head of a request.
///
/// It holds no key: a digest is found by two hashes of the key and of the pepper. Each is the value of a polynomial whose
/// coefficients they are, modulo the prime [`P`], at a secret point of the thread. Two different texts of up to 1,024 bytes have the
/// same value at no more than 150 of 2^61 points, so a client that does not know the points cannot make a key that is taken for
/// another (Carter and Wegman, 1979). SipHash takes five times as long for a key.
struct DigestCache {
    points: [u64; 2],
    /// Each key has one place, by its hash; a later key takes it over.
    places: [Option<([u64; 2], CompactText)>; PLACES],
}

/// A power of two, so that the place is a part of the hash.
const PLACES: usize = 64;
/// The longest key, and the longest pepper, that are looked for, in bytes.
const MAX_KEY_BYTES: usize = 512;
/// A Mersenne prime: what is left of a division by it needs no division.
const P: u64 = (1 << 61) - 1;

thread_local! {
    static CACHE: RefCell<DigestCache> = RefCell::new(DigestCache {
        // Not of the crate's own random numbers, for clients see these.
        points: [RandomState::new().hash_one(0) & P, RandomState::new().hash_one(1) & P],
        places: [const { None }; PLACES],
    });
}

/// Returns the digest of a key under a pepper, made by `digest` unless the thread knows it.
pub(super) fn cached(
    key: &[u8],
    pepper: Option<&[u8]>,
    digest: impl FnOnce() -> Option<CompactText>,
) -> Option<CompactText> {
    if key.len().max(pepper.map_or(0, <[u8]>::len)) > MAX_KEY_BYTES {
        return digest();
    }
    let mut digest = Some(digest);
    let known = CACHE.try_with(|cache| {
        let mut cache = cache.borrow_mut();
        let hashes = cache.hashes(key, pepper);
        let place = &mut cache.places[hashes[0] as usize % PLACES];
        match place {
            Some((known, text)) if *known == hashes => Some(text.clone()),
            _ => {
                let text = digest.take()?()?;
                *place = Some((hashes, text.clone()));
                Some(text)
            }
        }
    });
    // A thread that ends has no cache any more.
    known.unwrap_or_else(|_| digest.take()?())
}

impl DigestCache {
    fn hashes(&self, key: &[u8], pepper: Option<&[u8]>) -> [u64; 2] {
        self.points.map(|point| {
            let of_pepper = pepper.map_or(0, |pepper| polynomial(0, point, pepper));
            let value = polynomial(of_pepper, point, key);
            // Where the one ends and the other begins; without a pepper is not with an empty one.
            let lengths = pepper.map_or(0, |pepper| pepper.len() + 1) << 32 | key.len();
            step(value, point, lengths as u64)
        })
    }
}

/// Goes on with the value of a polynomial: each seven bytes are a coefficient.
fn polynomial(value: u64, point: u64, text: &[u8]) -> u64 {
    let (whole, rest) = text.as_chunks::<7>();
    let word = |[a, b, c, d, e, f, g]: &[u8; 7]| u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, 0]);
    let value = whole.iter().fold(value, |value, chunk| step(value, point, word(chunk)));
    if rest.is_empty() {
        return value;
    }
    step(value, point, rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// Multiplies by the point and adds a coefficient, modulo [`P`].
fn step(value: u64, point: u64, coefficient: u64) -> u64 {
    let product = u128::from(value) * u128::from(point);
    // 2^61 is 1 modulo P.
    let sum = (product as u64 & P) + (product >> 61) as u64;
    let sum = (sum & P) + (sum >> 61) + coefficient;
    let sum = (sum & P) + (sum >> 61);
    if sum >= P { sum - P } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often a digest is made.
    fn made(key: &str, pepper: Option<&str>, text: &str) -> (CompactText, bool) {
        let mut is_made = false;
        let digest = cached(key.as_bytes(), pepper.map(str::as_bytes), || {
            is_made = true;
            Some(text.into())
        });
        (digest.expect("a digest"), is_made)
    }

    #[test]
    fn a_digest_is_made_once_for_each_key_and_pepper() {
        assert_eq!(made("key", None, "a"), ("a".into(), true));
        assert_eq!(made("key", None, "another"), ("a".into(), false));
        for (at, (key, pepper)) in
            [("key", Some("pepper")), ("key", Some("")), ("ey", Some("k")), ("", Some("key")), ("keys", None)]
                .into_iter()
                .enumerate()
        {
            let text = at.to_string();
            assert_eq!(made(key, pepper, &text).0, text.as_str(), "{key} {pepper:?}");
        }
    }

    #[test]
    fn a_step_is_that_of_the_field() {
        for value in [0, 1, 2, P - 2, P - 1] {
            for point in [0, 1, 3, 1 << 60, P - 1, P] {
                for coefficient in [0, 1, (1 << 56) - 1] {
                    let expected = (u128::from(value) * u128::from(point) + u128::from(coefficient)) % u128::from(P);
                    assert_eq!(u128::from(step(value, point, coefficient)), expected, "{value} {point} {coefficient}");
                }
            }
        }
    }

    #[test]
    fn keys_that_differ_in_one_byte_or_in_length_have_different_hashes() {
        let cache = DigestCache { points: [1 << 40 | 3, P - 12_345], places: [const { None }; PLACES] };
        let mut keys: Vec<Vec<u8>> = (0..40).map(|length| vec![0; length]).collect();
        for place in 0..40 {
            for bit in 0..8 {
                let mut key = vec![0; 40];
                key[place] = 1 << bit;
                keys.push(key);
            }
        }
        let mut hashes: Vec<[u64; 2]> = keys
            .iter()
            .flat_map(|key| [None, Some(&b""[..]), Some(b"k")].map(|pepper| cache.hashes(key, pepper)))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 3 * keys.len());
    }

    #[test]
    fn a_key_that_loses_its_place_has_the_right_digest_again() {
        for round in 0..2 {
            for number in 0..4 * PLACES {
                let key = format!("key {number}");
                assert_eq!(made(&key, None, &key).0, key.as_str(), "{round}");
            }
        }
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        assert_eq!([made(&long, None, "a").1, made(&long, None, "a").1], [true, true]);
    }
}
