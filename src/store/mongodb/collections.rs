//! The names of the log's collections.

use crate::store::StoreError;

use super::error::config;

/// The collection of the events, and those beside it.
#[derive(Debug, Clone)]
pub(super) struct Collections {
    pub(super) database: String,
    pub(super) events: String,
    /// The open `started` events.
    pub(super) started: String,
    /// The writers, and the documents `health` and `schema`.
    pub(super) writers: String,
}

impl Collections {
    pub(super) fn new(database: &str, events: &str) -> Result<Self, StoreError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_name = !events.is_empty()
            && events.len() <= MAX_BYTES
            && events.chars().all(is_plain)
            && !events.starts_with('.')
            && !events.ends_with('.')
            && !events.starts_with("system.");
        if !is_name {
            return Err(config(format!(
                "the name of the collection is not possible: expected up to {MAX_BYTES} letters, digits, `_`, `-` and `.`"
            )));
        }
        Ok(Self {
            database: database.to_owned(),
            events: events.to_owned(),
            started: format!("{events}_started"),
            writers: format!("{events}_writers"),
        })
    }

    /// All three names.
    pub(super) fn all(&self) -> [&str; 3] {
        [&self.events, &self.started, &self.writers]
    }
}

/// The longest name: the server takes 255 bytes with the database, or 120 before version 4.4.
const MAX_BYTES: usize = 64;
pub(super) const DEFAULT_COLLECTION: &str = "audit_events";
