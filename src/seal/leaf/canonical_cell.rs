//! Canonical JSON of the fixed cells, written without a value in between.

use crate::seal::canonical_json::{write_integer, write_string};

/// Writes an object whose members are given in the order of their names. Absent members are left out, and an object without
/// any is null.
pub(super) struct CellObject<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> CellObject<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Begins a member of the format; its value is to follow.
    pub(super) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        // Nothing in the names of the format is to be escaped.
        self.out.extend_from_slice(if self.out.len() == self.start { b"{\"" } else { b",\"" });
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(super) fn text(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            write_string(value, self.name(name));
        }
        self
    }

    pub(super) fn integer(mut self, name: &str, value: Option<u64>) -> Self {
        if let Some(value) = value {
            write_integer(value, self.name(name));
        }
        self
    }

    pub(super) fn end(self) {
        self.out.extend_from_slice(if self.out.len() == self.start { b"null" } else { b"}" });
    }
}

/// Writes a string, or null.
pub(super) fn write_text(value: Option<&str>, out: &mut Vec<u8>) {
    match value {
        Some(text) => write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}
