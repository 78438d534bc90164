//! Limits of an event's parts, and visible truncation of longer values.
//!
//! A value that a client sends can neither suppress nor bloat its event: what is too long is cut to its limit, and
//! the cut says how long the value was and which SHA-256 it had, so that a copy kept elsewhere can still be matched.
//! U+0000, which PostgreSQL cannot store, becomes U+FFFD in every store alike. So does the `$` of a key that begins with
//! `$serde_json::private::`: serde_json has names of its own there, and what is behind one would not be read back.
//!
//! A name that the format has for itself, among the fields that a reader does not know, gets an underscore in front:
//! `actor.extra["user_email"]` becomes `_user_email`. So no object of an event has a name twice, and the value that a
//! filter compares is the one that is shown. Two names that become the same are told apart by `_`, `_2_`, `_3_`, … in
//! front of one of them; no value is lost.
//!
//! All limits count bytes of UTF-8, the cut's own words included.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Actor, AuditEvent, Classification, CompactText, Details, ErrorCode, RequestInfo, Resource, address, names,
};

/// `actor.user_email`.
pub const MAX_USER_EMAIL_BYTES: usize = 512;
/// `actor.api_key_hash` and `actor.remote_addr`.
pub const MAX_ADDR_BYTES: usize = 256;
/// `resource.route`.
pub const MAX_ROUTE_BYTES: usize = 512;
/// `resource.method`.
pub const MAX_METHOD_BYTES: usize = 128;
/// `request.request_uri`.
pub const MAX_URI_BYTES: usize = 2048;
/// `request.user_agent` and `request.forwarded`.
pub const MAX_HEADER_BYTES: usize = 512;
/// `request.request_id`, `request.trace_id`, `classification.domain` and `classification.action`; `event_type` and
/// `classification.error` too, where a later version has more of them than this one.
pub const MAX_NAME_BYTES: usize = 128;
/// One string anywhere in `details`.
pub const MAX_DETAIL_STRING_BYTES: usize = 4096;
/// One key anywhere in `details`.
pub const MAX_DETAIL_KEY_BYTES: usize = 256;
/// The maximum nesting depth of objects and arrays in `details`.
pub const MAX_DETAIL_DEPTH: usize = 16;
/// The whole of `details`, as compact JSON.
pub const MAX_DETAILS_BYTES: usize = 16 * 1024;
/// The fields of a later version that a reader has kept, in each of the five objects that may have some.
pub const MAX_EXTRA_BYTES: usize = 2 * 1024;
/// The maximum size of an event as JSON, for any input (a byte of a string may take six in JSON).
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Makes `text` fit: without U+0000 and no longer than `limit` bytes.
///
/// ```
/// use tower_audit::event::limits::truncate;
///
/// assert_eq!(truncate("short", 128), "short");
/// let long = "x".repeat(1_000_000);
/// let cut = truncate(&long, 128);
/// assert!(cut.len() <= 128 && cut.contains("[cut: 1000000 bytes, sha256 "));
/// ```
pub fn truncate(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() > limit {
        return Cow::Owned(with_digest(text.as_bytes(), text, limit));
    }
    if text.as_bytes().contains(&0) {
        let clean = text.replace('\0', "\u{fffd}");
        // A replacement is longer than what it replaces, so that the clean text may be too long by now.
        return if clean.len() > limit {
            Cow::Owned(with_digest(text.as_bytes(), &clean, limit))
        } else {
            Cow::Owned(clean)
        };
    }
    Cow::Borrowed(text)
}

/// Truncates bytes that may not be UTF-8; invalid ones become U+FFFD.
pub fn truncate_bytes(bytes: &[u8], limit: usize) -> Cow<'_, str> {
    if bytes.len() <= limit
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return truncate(text, limit);
    }
    // A long value is read no further than it can be shown: lossy conversion triples its length at most.
    let shown = &bytes[..bytes.len().min(limit.max(1))];
    let lossy = String::from_utf8_lossy(shown);
    if bytes.len() <= limit && lossy.len() <= limit && !lossy.as_bytes().contains(&0) {
        return lossy;
    }
    Cow::Owned(with_digest(bytes, &lossy, limit))
}

/// As much of `shown` as fits, and the length and digest of the `original`.
pub(super) fn with_digest(original: &[u8], shown: &str, limit: usize) -> String {
    let mut note = format!("…[cut: {} bytes, sha256 ", original.len());
    note.push_str(hex(&Sha256::digest(original), &mut [0; 64]));
    note.push(']');
    let mut room = limit.saturating_sub(note.len());
    // The replacement of U+0000 takes three bytes; a third of the room is enough text to be sure that it fits.
    let mut text = String::with_capacity(limit);
    for character in shown.chars() {
        let character = if character == '\0' { '\u{fffd}' } else { character };
        let Some(left) = room.checked_sub(character.len_utf8()) else { break };
        room = left;
        text.push(character);
    }
    text.push_str(&note);
    text
}

/// The bytes in lower-case hexadecimal digits: as many of them as there is room for.
pub(crate) fn hex<'a>(bytes: &[u8], room: &'a mut [u8]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut len = 0;
    for (pair, byte) in room.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
        len += 2;
    }
    std::str::from_utf8(&room[..len]).unwrap_or_default()
}

/// What an error message shows of a value: its beginning, without characters that a terminal acts on.
pub(crate) fn excerpt(given: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    let mut shown: String = given.chars().take(SHOWN_CHARS).collect();
    if shown.len() < given.len() {
        shown.push('…');
    }
    shown
}

impl AuditEvent {
    /// Makes every part of the event fit its limit, and puts its address into the one form that filters know: without a
    /// port, IPv4 where it was mapped into IPv6. Doing it twice changes nothing more.
    ///
    /// [`AuditLog::record`](AuditEvent) and the layer do it with each event.
    pub fn truncate_to_limits(&mut self) {
        self.event_type.truncate_to_limit();
        let actor = &mut self.actor;
        truncate_text(&mut actor.user_email, MAX_USER_EMAIL_BYTES);
        truncate_text(&mut actor.api_key_hash, MAX_ADDR_BYTES);
        if let Some(canonical) = actor.remote_addr.as_deref().and_then(address::canonical) {
            actor.remote_addr = Some(canonical);
        }
        truncate_text(&mut actor.remote_addr, MAX_ADDR_BYTES);
        truncate_text(&mut self.resource.route, MAX_ROUTE_BYTES);
        truncate_text(&mut self.resource.method, MAX_METHOD_BYTES);
        let request = &mut self.request;
        truncate_text(&mut request.request_id, MAX_NAME_BYTES);
        truncate_text(&mut request.trace_id, MAX_NAME_BYTES);
        truncate_text(&mut request.request_uri, MAX_URI_BYTES);
        truncate_text(&mut request.user_agent, MAX_HEADER_BYTES);
        truncate_text(&mut request.forwarded, MAX_HEADER_BYTES);
        truncate_text(&mut self.classification.domain, MAX_NAME_BYTES);
        truncate_text(&mut self.classification.action, MAX_NAME_BYTES);
        self.classification.error.iter_mut().for_each(ErrorCode::truncate_to_limit);
        truncate_map(&mut self.details, &[], MAX_DETAILS_BYTES);
        for (unknown, reserved) in [
            (&mut self.extra, Self::NAMES),
            (&mut self.actor.extra, Actor::NAMES),
            (&mut self.resource.extra, Resource::NAMES),
            (&mut self.request.extra, RequestInfo::NAMES),
            (&mut self.classification.extra, Classification::NAMES),
        ] {
            truncate_map(unknown, reserved, MAX_EXTRA_BYTES);
        }
    }
}

fn truncate_text(text: &mut Option<CompactText>, limit: usize) {
    if let Some(given) = text
        && let Cow::Owned(fitting) = truncate(given, limit)
    {
        *given = fitting.into();
    }
}

fn truncate_map(details: &mut Details, reserved: &[&str], limit: usize) {
    if details.is_empty() {
        return;
    }
    *details = truncate_entries(std::mem::take(details), reserved, 1);
    let mut size = json_len(details);
    if size <= limit {
        return;
    }
    // The largest entries give way first, until the rest fits.
    let mut by_size: Vec<(usize, String)> = details.iter().map(|(key, value)| (json_len(value), key.clone())).collect();
    by_size.sort_unstable_by(|a, b| b.cmp(a));
    for (len, key) in by_size {
        if len <= MIN_NOTE_BYTES {
            break;
        }
        if let Some(value) = details.get_mut(&key) {
            *value = truncation_note(value);
            size = size - len + json_len(value);
        }
        if size <= limit {
            return;
        }
    }
    // Very many small entries: they are replaced as a whole.
    let note = truncation_note(&Value::Object(std::mem::take(details)));
    details.insert("…".to_owned(), note);
}

/// No less than the JSON of what stands for a value that was cut.
const MIN_NOTE_BYTES: usize = 160;

fn truncate_entries(entries: Details, reserved: &[&str], depth: usize) -> Details {
    names::fit(entries, reserved).into_iter().map(|(key, value)| (key, truncate_value(value, depth))).collect()
}

fn truncate_value(value: Value, depth: usize) -> Value {
    match value {
        Value::String(text) => match truncate(&text, MAX_DETAIL_STRING_BYTES) {
            Cow::Owned(fitting) => Value::String(fitting),
            Cow::Borrowed(_) => Value::String(text),
        },
        Value::Array(_) | Value::Object(_) if depth >= MAX_DETAIL_DEPTH => truncation_note(&value),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| truncate_value(item, depth + 1)).collect()),
        Value::Object(entries) => Value::Object(truncate_entries(entries, &[], depth + 1)),
        plain => plain,
    }
}

fn json_len<T: serde::Serialize>(value: &T) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

fn truncation_note(value: &Value) -> Value {
    let text = value.to_string();
    Value::String(with_digest(text.as_bytes(), "", 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventType, Phase};
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn clipped_text_fits_and_is_stable(text in "\\PC*|[\\x00-\\x10]{0,400}|é{0,300}", limit in 128usize..400) {
            let once = truncate(&text, limit).into_owned();
            prop_assert!(once.len() <= limit);
            prop_assert!(!once.contains('\0'));
            prop_assert_eq!(truncate(&once, limit), once.as_str());
        }

        #[test]
        fn clipped_bytes_fit(bytes in proptest::collection::vec(any::<u8>(), 0..600), limit in 128usize..400) {
            let text = truncate_bytes(&bytes, limit);
            prop_assert!(text.len() <= limit && !text.contains('\0'));
        }
    }

    #[test]
    fn a_cut_names_length_and_digest() {
        let cut = truncate(&"a".repeat(1_000_000), 512).into_owned();
        assert!(cut.starts_with("aaaa"));
        assert!(
            cut.ends_with(
                "…[cut: 1000000 bytes, sha256 cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0]"
            ),
            "{cut}"
        );
    }

    #[test]
    fn the_largest_details_give_way_and_the_rest_stays() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details.insert("count".into(), json!(17));
        event.details.insert("names".into(), json!(vec!["x".repeat(100); 1000]));
        event.truncate_to_limits();
        assert_eq!(event.details["count"], 17);
        assert!(event.details["names"].as_str().unwrap().contains("[cut: "));
        assert!(json_len(&event.details) <= MAX_DETAILS_BYTES);
    }

    #[test]
    fn no_event_exceeds_the_limit_of_all() {
        let worst = "\u{1}".repeat(1 << 14);
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.phase = Phase::Completed;
        event.event_type = serde_json::from_value(json!(worst)).unwrap();
        event.classification.error = Some(serde_json::from_value(json!(worst)).unwrap());
        for text in [
            &mut event.actor.user_email,
            &mut event.actor.api_key_hash,
            &mut event.actor.remote_addr,
            &mut event.resource.route,
            &mut event.resource.method,
            &mut event.request.request_id,
            &mut event.request.request_uri,
            &mut event.request.user_agent,
            &mut event.request.forwarded,
            &mut event.request.trace_id,
            &mut event.classification.domain,
            &mut event.classification.action,
        ] {
            *text = Some(worst.as_str().into());
        }
        for n in 0..200 {
            event.details.insert(format!("{n}{worst:.300}"), json!(worst));
            event.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.actor.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.resource.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.request.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.classification.extra.insert(format!("{n}{worst:.300}"), json!(worst));
        }
        event.truncate_to_limits();
        assert!(json_len(&event) <= MAX_EVENT_BYTES, "{}", json_len(&event));
        let once = event.clone();
        event.truncate_to_limits();
        assert_eq!(event, once);
    }

    #[test]
    fn a_name_that_serde_json_has_for_itself_comes_back() {
        for name in ["RawValue", "Number"] {
            let name = format!("$serde_json::private::{name}");
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.details.insert("sent".into(), json!([{ name.clone(): "no JSON" }]));
            event.extra.insert(name.clone(), json!({ name.clone(): 1, "a": 2 }));
            event.truncate_to_limits();
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<AuditEvent>(&json).unwrap(), event);
            assert_eq!(
                serde_json::from_str::<Value>(&json).unwrap()["details"]["sent"][0][name.replace('$', "\u{fffd}")],
                "no JSON"
            );
        }
    }

    #[test]
    fn a_type_and_a_code_of_a_later_version_fit() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.event_type = serde_json::from_value(json!("\0later".repeat(100_000))).unwrap();
        event.classification.error = Some(serde_json::from_value(json!("\0")).unwrap());
        event.truncate_to_limits();
        let name = event.event_type.as_str();
        assert!(name.len() <= MAX_NAME_BYTES && name.contains("[cut: 600000 bytes"), "{name}");
        assert_eq!(event.classification.error.as_ref().unwrap().as_str(), "\u{fffd}");
        let once = event.clone();
        event.truncate_to_limits();
        assert_eq!(event, once);
    }

    #[test]
    fn deep_nesting_is_cut() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details.insert("deep".into(), deep);
        event.truncate_to_limits();
        assert!(event.details["deep"].to_string().contains("[cut: "));
    }
}
