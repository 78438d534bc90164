//! Headers and parameters of the query that a rule asks for.

use http::{HeaderMap, Uri};
use serde_json::{Map, Value};

use crate::event::{Details, truncate};
use crate::policy::{AuditPolicy, MatchingRules, form_pairs};

/// The longest value of a header or of a parameter, in bytes.
const MAX_VALUE_BYTES: usize = 256;
/// The maximum number of values of one name. Of further ones there is the last, after an `…`.
const MAX_VALUES: usize = 4;

/// Returns the headers and the parameters of the query that these rules ask for: `headers` and `query`, objects with a text for
/// each name, or with a list of them if there are several. `settings`: the policy whose capture settings apply.
pub(super) fn captured(
    policy: &AuditPolicy,
    settings: &AuditPolicy,
    rules: MatchingRules,
    headers: &HeaderMap,
    uri: &Uri,
) -> Details {
    let config = settings.capture_config();
    let asked = || rules.iter().filter_map(|index| policy.rule(index).capture());
    let mut details = Details::new();
    let mut found = Map::new();
    for name in asked().flat_map(|capture| &capture.headers) {
        // Another rule has asked for it, too.
        if found.contains_key(name) {
            continue;
        }
        for value in headers.get_all(name.as_str()) {
            add(&mut found, name, &config.mask(&String::from_utf8_lossy(value.as_bytes())));
        }
    }
    insert(&mut details, "headers", found);
    let mut found = Map::new();
    let names: Vec<&String> = asked().flat_map(|capture| &capture.query).collect();
    if let Some(query) = uri.query().filter(|_| !names.is_empty()) {
        for (name, value) in form_pairs(query.as_bytes()) {
            if names.iter().any(|asked| **asked == name) {
                add(&mut found, &name, &config.mask(&value));
            }
        }
    }
    insert(&mut details, "query", found);
    details
}

fn insert(details: &mut Details, key: &str, found: Map<String, Value>) {
    if !found.is_empty() {
        details.insert(key.to_owned(), Value::Object(found));
    }
}

/// Adds a value that is masked already: half of a secret is not known as one.
fn add(found: &mut Map<String, Value>, name: &str, masked: &str) {
    let value = || Value::String(truncate(masked, MAX_VALUE_BYTES).into_owned());
    match found.get_mut(name) {
        None => _ = found.insert(name.to_owned(), value()),
        Some(Value::Array(values)) => {
            if values.len() == MAX_VALUES {
                values.push("…".into());
            } else if values.len() > MAX_VALUES {
                // An app that reads a single value may read the last.
                values.pop();
            }
            values.push(value());
        }
        Some(first) => *first = Value::Array(vec![first.take(), value()]),
    }
}
