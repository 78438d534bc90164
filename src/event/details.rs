//! The free-form part of an event.

/// What an event says beyond its fixed fields: a JSON object, possibly empty, never null.
pub type Details = serde_json::Map<String, serde_json::Value>;
