//! In what the databases differ.

use crate::query::Field;

/// The dialect of a database.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The place of a field with text.
    pub(crate) text: fn(Field) -> TextColumn,
    /// The digest of a column by which an index finds whole values, if it has one; `{value}` stands for what is digested.
    pub(crate) digest: fn(&str) -> Option<&'static str>,
    /// The value of a detail as text, where `{key}` stands for the key; null if it cannot be compared. None: tested otherwise.
    pub(crate) detail: Option<&'static str>,
    /// True if parameters are numbered (`$1`), false if they are not (`?`).
    pub(crate) numbered: bool,
    /// Writes a text as a literal of hexadecimal digits, if parameters have no numbers and a text is mentioned several times.
    pub(crate) text_literal: Option<fn(&str) -> String>,
    /// True if an index serves a comparison of rows, `(a, b) < (x, y)`.
    pub(crate) compares_rows: bool,
    /// The operator of patterns, which tells upper case from lower case.
    pub(crate) like: &'static str,
    /// Any run of characters, in such a pattern.
    pub(crate) wildcard: char,
    /// Writes a literal character, escaped if necessary.
    pub(crate) literal: fn(char, &mut String),
}

/// The place of a field with text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TextColumn {
    /// A column, or an expression, that is null where the event has no value.
    One(&'static str),
    /// A list of values: an item of `FROM`, the value of one of its rows, and conditions, if there are any, of which one holds
    /// for an event with a whole value, with `{value}` in its place. An index answers each.
    #[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
    List { rows: &'static str, value: &'static str, indexed: &'static [&'static str] },
    /// None: the store tests the condition otherwise.
    #[cfg(feature = "sqlite")]
    Elsewhere,
}
