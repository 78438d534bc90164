//! Details as documents of BSON: a copy for other readers and for filters. The event's text is what counts.

use mongodb::bson::{Bson, Document};
use serde_json::Value;

use crate::event::Details;

/// Copies details into a document.
///
/// BSON has no integers above `i64::MAX`: these become floating-point numbers. A name must not have U+0000 and, before
/// MongoDB 5.0, not begin with `$`; they become U+2400 and U+FF04, which look the same.
pub(super) fn details_document(details: &Details) -> Document {
    details.iter().map(|(name, value)| (stored_name(name), copy(value, 1))).collect()
}

fn copy(value: &Value, depth: usize) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::String(text) => Bson::String(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer_of(integer),
            None => Bson::Double(number.as_f64().unwrap_or(0.0)),
        },
        // A document has 100 levels at the most.
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => Bson::String(value.to_string()),
        Value::Array(values) => Bson::Array(values.iter().map(|value| copy(value, depth + 1)).collect()),
        Value::Object(values) => {
            Bson::Document(values.iter().map(|(name, value)| (stored_name(name), copy(value, depth + 1))).collect())
        }
    }
}

/// The smallest type that has the integer, as other drivers write it.
pub(super) fn integer_of(integer: i64) -> Bson {
    i32::try_from(integer).map_or(Bson::Int64(integer), Bson::Int32)
}

fn stored_name(name: &str) -> String {
    let name = name.replace('\0', "\u{2400}");
    match name.strip_prefix('$') {
        Some(rest) => format!("\u{FF04}{rest}"),
        None => name,
    }
}

/// Reads details that another program has written.
pub(super) fn details_of(document: &Document) -> Details {
    document.iter().map(|(name, value)| (name.clone(), json_of(value))).collect()
}

/// Returns a value of BSON as JSON; one of a type that JSON does not have as its text.
pub(super) fn json_of(value: &Bson) -> Value {
    match value {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(value) => (*value).into(),
        Bson::Int32(value) => (*value).into(),
        Bson::Int64(value) => (*value).into(),
        Bson::Double(value) => (*value).into(),
        Bson::String(text) => text.as_str().into(),
        Bson::Array(values) => values.iter().map(json_of).collect(),
        Bson::Document(document) => Value::Object(details_of(document)),
        other => other.to_string().into(),
    }
}

const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_bson_does_not_take_is_replaced() {
        let details = json!({"$where": {"a.b": [u64::MAX, -1, 1.5, null, true]}, "a\0b": i64::MIN, "": {}});
        let copied = details_document(details.as_object().expect("an object"));
        assert_eq!(copied.keys().collect::<Vec<_>>(), ["", "\u{FF04}where", "a\u{2400}b"]);
        let inner = copied.get_document("\u{FF04}where").expect("a document").get_array("a.b").expect("an array");
        assert_eq!(inner[0], Bson::Double(u64::MAX as f64));
        assert_eq!(inner[1], Bson::Int32(-1));
        assert_eq!(copied.get("a\u{2400}b"), Some(&Bson::Int64(i64::MIN)));
    }

    #[test]
    fn deep_values_become_text() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let details = json!({ "deep": deep });
        let copied = details_document(details.as_object().expect("an object"));
        let bytes = mongodb::bson::serialize_to_vec(&copied).expect("it is encoded");
        assert!(String::from_utf8_lossy(&bytes).contains("[[[[1]]]]"));
    }
}
