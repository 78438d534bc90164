//! The dialect of DuckDB, and its parameters.

use super::event_columns::text_column;
use super::value::Value;
use crate::query::{Cursor, Filter};
use crate::store::sql::{Clause, Dialect};

pub(super) static DIALECT: Dialect = Dialect {
    text: text_column,
    digest: |_| None,
    // A JSON pointer (RFC 6901): a name that begins with `$` would be a path otherwise.
    detail: Some(
        "(CASE WHEN json_type(details, '/' || replace(replace({key}, '~', '~0'), '/', '~1')) \
         IN ('VARCHAR', 'BOOLEAN', 'UBIGINT', 'BIGINT') \
         THEN json_extract_string(details, '/' || replace(replace({key}, '~', '~0'), '/', '~1')) END)",
    ),
    numbered: true,
    text_literal: None,
    compares_rows: false,
    // LIKE has no escapes unless each pattern says so.
    like: "GLOB",
    wildcard: '*',
    literal: |c, pattern| match c {
        '*' | '?' | '[' => pattern.extend(['[', c, ']']),
        '\\' => pattern.push_str("\\\\"),
        plain => pattern.push(plain),
    },
};

/// The condition of a filter and a cursor on the events of a log, and the values of its parameters.
pub(super) fn clause(filter: &Filter, after: Option<Cursor>) -> (String, Vec<Value>) {
    let mut clause = Clause::new(&DIALECT, filter, after);
    if filter.folded {
        clause =
            clause.and_also("(phase <> 'started' OR event_id IN (SELECT s.event_id FROM audit_events_started AS s))");
    }
    let sql = clause.sql().to_owned();
    (sql, clause.into_values().into_iter().map(Value::from).collect())
}
