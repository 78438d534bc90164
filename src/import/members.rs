//! The members of a foreign record, taken one after the other.

use serde_json::{Map, Value, json};

use super::{ImportFormat, ImportNote};
use crate::event::{CompactText, Details};

/// The members of a foreign record, and what became of them.
#[derive(Debug)]
pub(super) struct Members {
    members: Map<String, Value>,
    unmapped: Map<String, Value>,
    pub(super) notes: Vec<ImportNote>,
}

/// The detail that says where an event came from, with what had no field.
const IMPORTED: &str = "imported";

impl Members {
    pub(super) fn new(members: Map<String, Value>) -> Self {
        Self { members, unmapped: Map::new(), notes: Vec::new() }
    }

    /// Takes a member; null is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<CompactText> {
        match self.take(name)? {
            Value::String(text) => Some(text.into()),
            other => {
                self.reject(name, other);
                None
            }
        }
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &'static str) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(members) => Some(members),
            other => {
                self.reject(name, other);
                None
            }
        }
    }

    /// Keeps a value that does not fit its field.
    pub(super) fn reject(&mut self, name: &'static str, value: Value) {
        self.notes.push(ImportNote::BadValue(name));
        self.unmapped.insert(name.to_owned(), value);
    }

    /// Keeps a value beside its field.
    pub(super) fn keep(&mut self, name: &str, value: Value) {
        self.unmapped.insert(name.to_owned(), value);
    }

    /// Keeps what is left, below a name if there is one.
    pub(super) fn keep_rest_of(&mut self, name: &str, rest: Map<String, Value>) {
        for (key, value) in rest {
            let name = format!("{name}.{key}");
            self.notes.push(ImportNote::UnknownMember(noted(&name)));
            self.unmapped.insert(name, value);
        }
    }

    /// Returns the members that were not taken, and the values that did not fit.
    pub(super) fn into_rest(self) -> (Map<String, Value>, Map<String, Value>) {
        (self.members, self.unmapped)
    }

    /// Writes the origin into the details, with everything that has no field.
    pub(super) fn finish(mut self, format: ImportFormat, details: &mut Details) -> Vec<ImportNote> {
        for (name, value) in std::mem::take(&mut self.members) {
            self.notes.push(ImportNote::UnknownMember(noted(&name)));
            self.unmapped.insert(name, value);
        }
        // The record's own detail of this name.
        if let Some(own) = details.remove(IMPORTED) {
            self.unmapped.insert(format!("details.{IMPORTED}"), own);
        }
        let mut imported = json!({ "from": format.as_str() });
        if !self.unmapped.is_empty() {
            imported["unmapped"] = Value::Object(self.unmapped);
        }
        details.insert(IMPORTED.into(), imported);
        self.notes
    }
}

/// A name as a note has it: a report stays short.
fn noted(name: &str) -> String {
    crate::event::excerpt(name)
}
