//! Headers and parameters of the query that a rule asks for.

use std::borrow::Cow;

use http::{HeaderMap, Uri};
use serde_json::{Map, Value};

use crate::event::{Details, truncate, truncate_bytes};
use crate::policy::{AuditPolicy, MatchingRules, form_pairs};

/// The longest value of a header or of a parameter, in bytes.
const MAX_VALUE_BYTES: usize = 256;
/// The maximum number of values of one name. Further ones are left out.
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
        for value in headers.get_all(name.as_str()) {
            let text = truncate_bytes(value.as_bytes(), MAX_VALUE_BYTES);
            add(&mut found, name, config.mask(&text));
        }
    }
    insert(&mut details, "headers", found);
    let mut found = Map::new();
    let names: Vec<&String> = asked().flat_map(|capture| &capture.query).collect();
    if let Some(query) = uri.query().filter(|_| !names.is_empty()) {
        for (name, value) in form_pairs(query.as_bytes()) {
            if names.iter().any(|asked| **asked == name) {
                let text = truncate(&value, MAX_VALUE_BYTES);
                add(&mut found, &name, config.mask(&text));
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

fn add(found: &mut Map<String, Value>, name: &str, value: Cow<'_, str>) {
    let value = Value::String(value.into_owned());
    match found.get_mut(name) {
        None => _ = found.insert(name.to_owned(), value),
        Some(Value::Array(values)) => {
            if values.len() < MAX_VALUES {
                values.push(value);
            }
        }
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}
