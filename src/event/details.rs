//! The free-form part of an event.

/// Further facts of an event: a JSON object, possibly empty, never null.
pub type Details = serde_json::Map<String, serde_json::Value>;
