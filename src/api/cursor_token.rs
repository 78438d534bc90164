//! The opaque form of a cursor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Caller;
use crate::event::{EventId, Timestamp};
use crate::query::Cursor;

/// The place after which the next page begins, and the time range of the first page: `since=30d` does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CursorToken {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) after: Cursor,
}

/// The caller and the filters that a cursor is bound to.
///
/// A cursor grants nothing: every page passes the gate and the filters again. The digest has no secret, so that a cursor
/// outlives restarts and is valid on every server of an app. It prevents a mistake: a cursor used with other filters would
/// silently skip events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CursorBinding<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) given: &'a [(&'static str, String)],
}

/// The first byte of a cursor: the version of the bytes behind it.
const VERSION: u8 = 1;

const FIELDS: usize = 1 + 8 + 8 + 8 + 16;
const DIGEST: usize = 16;

impl CursorToken {
    /// Writes version, time range, place and digest as base64url.
    pub(crate) fn to_text(self, binding: CursorBinding<'_>) -> String {
        let mut bytes = Vec::with_capacity(FIELDS + DIGEST);
        bytes.push(VERSION);
        for moment in [self.since, self.until, Some(self.after.created_at)] {
            bytes.extend(moment.map_or(NO_TIME, Timestamp::as_micros).to_be_bytes());
        }
        bytes.extend(self.after.event_id.to_bytes());
        bytes.extend(binding.digest(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// A detail for the client.
    pub(crate) fn from_text(text: &str, binding: CursorBinding<'_>) -> Result<Self, &'static str> {
        const NONE: &str = "cursor: malformed, expected the value of `audit-next-cursor`";
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NONE)?;
        match bytes.first() {
            Some(&VERSION) => {}
            Some(_) => return Err("cursor: from another version, start again without one"),
            None => return Err(NONE),
        }
        let (fields, digest) = bytes.split_at_checked(FIELDS).ok_or(NONE)?;
        if digest != binding.digest(fields) {
            return Err("cursor: issued for other filters or another caller");
        }
        let mut micros = fields[1..].chunks_exact(8).map(|chunk| chunk.try_into().map_or(NO_TIME, i64::from_be_bytes));
        let mut moment = || micros.next().and_then(Timestamp::from_micros);
        let (since, until, created_at) = (moment(), moment(), moment());
        let event_id = fields[FIELDS - 16..].try_into().map(EventId::from_bytes).map_err(|_| NONE)?;
        Ok(Self { since, until, after: Cursor { created_at: created_at.ok_or(NONE)?, event_id } })
    }
}

/// No time has so few microseconds.
const NO_TIME: i64 = i64::MIN;

impl CursorBinding<'_> {
    fn digest(&self, fields: &[u8]) -> [u8; DIGEST] {
        let mut digest = Sha256::new_with_prefix(b"tower-audit cursor\n");
        let confined_to = self.caller.own_name();
        let scope = [if confined_to.is_some() { "own" } else { "everyone" }, confined_to.unwrap_or_default()];
        let given = self.given.iter().flat_map(|(name, value)| [*name, value]);
        // Each with its length, so that no two lists read the same.
        for part in [fields].into_iter().chain(scope.into_iter().chain(given).map(str::as_bytes)) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut first = [0; DIGEST];
        first.copy_from_slice(&digest.finalize()[..DIGEST]);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> CursorToken {
        let created_at = "2026-05-25T12:00:00.123456Z".parse().unwrap();
        let event_id = EventId::from_u128(0x0199_a700_0000_7000_8000_0000_0000_0001);
        CursorToken { since: Some(Timestamp::MIN), until: None, after: Cursor { created_at, event_id } }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let alice = Caller::user("alice");
        let given = [("route", "/x".to_owned())];
        let binding = CursorBinding { caller: &alice, given: &given };
        for place in [place(), CursorToken { since: None, until: Some(Timestamp::MAX), ..place() }] {
            let text = place.to_text(binding);
            assert_eq!(CursorToken::from_text(&text, binding), Ok(place));
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }
    }

    #[test]
    fn the_first_version_stays_readable() {
        // Clients keep cursors across an upgrade of the server.
        let root = Caller::admin("root");
        let binding = CursorBinding { caller: &root, given: &[] };
        let place = CursorToken { since: None, ..place() };
        let text = "AYAAAAAAAAAAgAAAAAAAAAAABlKjHjPSQAGZpwAAAHAAgAAAAAAAAAGfuZeIlXwcGXuV6AXJysVe";
        assert_eq!(place.to_text(binding), text);
        assert_eq!(CursorToken::from_text(text, binding), Ok(place));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let alice = Caller::user("alice");
        let binding = CursorBinding { caller: &alice, given: &[] };
        let text = place().to_text(binding);
        for at in 0..text.len() {
            for other in ["A", "B", "_", "=", "+", "é", ""] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                assert!(changed == text || CursorToken::from_text(&changed, binding).is_err(), "{changed}");
            }
        }
        for other in [String::new(), text.clone() + "A", text.clone() + "AAAA", text.clone() + "=", "AQ".into()] {
            assert!(CursorToken::from_text(&other, binding).is_err(), "{other}");
        }
    }

    #[test]
    fn a_cursor_is_bound() {
        let (alice, bob, root, root_user) =
            (Caller::user("alice"), Caller::user("bob"), Caller::admin("root"), Caller::user("root"));
        let lists: [&[(&'static str, String)]; 4] = [
            &[],
            &[("route", "/x".to_owned())],
            &[("route", "/xuser_email".to_owned())],
            &[("user_email", "alice".to_owned())],
        ];
        let mut bindings = Vec::new();
        for caller in [&alice, &bob, &root, &root_user] {
            bindings.extend(lists.map(|given| CursorBinding { caller, given }));
        }
        for (n, one) in bindings.iter().enumerate() {
            let text = place().to_text(*one);
            for (m, other) in bindings.iter().enumerate() {
                assert_eq!(CursorToken::from_text(&text, *other).is_ok(), n == m, "{one:?} {other:?}");
            }
        }
        let other_admin = CursorBinding { caller: &Caller::admin("toor"), given: &[] };
        let text = place().to_text(CursorBinding { caller: &root, given: &[] });
        assert!(CursorToken::from_text(&text, other_admin).is_ok(), "administrators share links");
    }
}
