//! JSON objects inside an event: their bounds, and the names of their entries.

use std::borrow::Cow;

use serde_json::Value;

use super::limits::{MAX_DETAIL_DEPTH, MAX_DETAIL_KEY_BYTES, MAX_DETAIL_STRING_BYTES};
use super::truncate::{truncate, with_digest};

/// Further facts of an event: a JSON object, possibly empty, never null.
pub type Details = serde_json::Map<String, Value>;

/// Truncates the object to `limit` bytes of JSON, and renames entries that have one of the `reserved` names.
pub(super) fn truncate_map(details: &mut Details, reserved: &[&str], limit: usize) {
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
    unique_names(entries, reserved).into_iter().map(|(key, value)| (key, truncate_value(value, depth))).collect()
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

pub(super) fn json_len<T: serde::Serialize>(value: &T) -> usize {
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

/// Returns the entries under names that can be stored and read back, and that are none of the `reserved` ones.
///
/// An entry whose name is fine keeps it. Every other one gets the first free name of those that [`candidate`] makes of it.
fn unique_names(entries: Details, reserved: &[&str]) -> Details {
    let is_fine = |name: &str| !reserved.contains(&name) && matches!(readable(name), Cow::Borrowed(_));
    if entries.keys().all(|name| is_fine(name)) {
        return entries;
    }
    let (mut fitting, others): (Details, Details) = entries.into_iter().partition(|(name, _)| is_fine(name));
    for (name, value) in others {
        let is_free = |candidate: &String| !reserved.contains(&candidate.as_str()) && !fitting.contains_key(candidate);
        if let Some(free) = (0..).map(|number| candidate(&name, number)).find(is_free) {
            fitting.insert(free, value);
        }
    }
    fitting
}

/// Returns the entries that an object writes after its own: under other names, where it has theirs itself.
pub(super) fn apart<'e>(extra: &'e Details, reserved: &[&str]) -> Cow<'e, Details> {
    if extra.keys().any(|name| reserved.contains(&name.as_str())) {
        Cow::Owned(unique_names(extra.clone(), reserved))
    } else {
        Cow::Borrowed(extra)
    }
}

/// `user_email`, `_user_email`, `_2_user_email`, `_3_user_email`, …: no two of them are equal.
fn candidate(name: &str, number: usize) -> String {
    let prefix = match number {
        0 => String::new(),
        1 => "_".to_owned(),
        _ => format!("_{number}_"),
    };
    let candidate = format!("{prefix}{}", readable(name));
    if candidate.len() > MAX_DETAIL_KEY_BYTES {
        with_digest(name.as_bytes(), &candidate, MAX_DETAIL_KEY_BYTES)
    } else {
        candidate
    }
}

/// The name within its limit, without U+0000, and without the beginning that serde_json has for itself.
fn readable(name: &str) -> Cow<'_, str> {
    match name.strip_prefix('$') {
        Some(rest) if rest.starts_with("serde_json::private::") => {
            Cow::Owned(truncate(&format!("\u{fffd}{rest}"), MAX_DETAIL_KEY_BYTES).into_owned())
        }
        _ => truncate(name, MAX_DETAIL_KEY_BYTES),
    }
}

#[cfg(test)]
mod tests;
