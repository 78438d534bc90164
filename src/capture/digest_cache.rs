//! The digests of the keys that were presented lately.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::event::CompactText;

/// The digests of the keys that this thread has seen lately. A client presents its key with every request, and SHA-256 in
/// software takes longer than everything else about the head of a request.
///
/// It holds no key: a digest is found by two 64-bit hashes of the key and of the pepper, each with a secret of the thread.
/// Without the secrets, a client cannot make a key that is taken for another.
struct DigestCache {
    secrets: [RandomState; 2],
    /// Each key has one place, by its hash; a later key takes it over.
    places: [Option<([u64; 2], CompactText)>; PLACES],
}

/// A power of two, so that the place is a part of the hash.
const PLACES: usize = 64;
/// The longest key that is looked for, in bytes.
const MAX_KEY_BYTES: usize = 512;

thread_local! {
    static CACHE: RefCell<DigestCache> = RefCell::new(DigestCache {
        secrets: [RandomState::new(), RandomState::new()],
        places: [const { None }; PLACES],
    });
}

/// Returns the digest of a key under a pepper, made by `digest` unless the thread knows it.
pub(super) fn cached(
    key: &[u8],
    pepper: Option<&[u8]>,
    digest: impl FnOnce() -> Option<CompactText>,
) -> Option<CompactText> {
    if key.len() > MAX_KEY_BYTES {
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
        [0, 1].map(|at: usize| {
            let mut hasher = self.secrets[at].build_hasher();
            if let Some(pepper) = pepper {
                hasher.write(pepper);
            }
            hasher.write(key);
            // Where the one ends and the other begins.
            hasher.write_usize(pepper.map_or(usize::MAX, <[u8]>::len));
            hasher.finish()
        })
    }
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
