//! In what the databases differ.

use crate::query::Field;

/// The dialect of a database.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) columns: ColumnNames,
    /// True if parameters are numbered (`$1`), false if they are not (`?`).
    pub(crate) numbered: bool,
    /// The operator of patterns, which tells upper case from lower case.
    pub(crate) like: &'static str,
    /// Any run of characters, in such a pattern.
    pub(crate) wildcard: char,
    /// Writes a literal character, escaped if necessary.
    pub(crate) literal: fn(char, &mut String),
}

/// The names of the columns.
#[derive(Debug)]
pub(crate) struct ColumnNames {
    pub(crate) event_type: &'static str,
    pub(crate) user_email: &'static str,
    pub(crate) remote_addr: &'static str,
    pub(crate) route: &'static str,
}

impl ColumnNames {
    /// The column of a field.
    pub(crate) fn of(&self, field: Field) -> &'static str {
        match field {
            Field::EventType => self.event_type,
            Field::UserEmail => self.user_email,
            Field::RemoteAddr => self.remote_addr,
            Field::Route => self.route,
            Field::Outcome => "outcome",
            Field::Phase => "phase",
        }
    }
}
