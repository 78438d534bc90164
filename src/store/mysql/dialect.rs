//! The dialect of MariaDB and MySQL, and its parameters.

use super::datetime::datetime;
use super::event_columns::text_column;
use super::identifiers::{Identifiers, STARTED};
use super::session::MysqlQuery;
use crate::query::{Cursor, Filter};
use crate::store::sql::{BindValue, Clause, Dialect};

pub(super) static DIALECT: Dialect = Dialect {
    text: text_column,
    digest: |_| None,
    // The JSON text of a string, of a boolean or of an integer. The bytes are compared, whatever the collation.
    detail: Some(
        "CAST(JSON_UNQUOTE(NULLIF(REGEXP_SUBSTR(JSON_EXTRACT(details, CONCAT('$.', JSON_QUOTE({key}))), \
         '^(\"(.|\\n)*\"|true|false|-?[0-9]+)$'), '')) AS BINARY)",
    ),
    numbered: false,
    text_literal: Some(literal),
    compares_rows: false,
    // The server makes a range of an index from a pattern of text, and misses characters above U+FFFF in it. Of bytes it
    // makes none; the clause has a range of its own.
    like: "LIKE BINARY",
    wildcard: '%',
    literal: |c, pattern| match c {
        '%' | '_' | '\\' => pattern.extend(['\\', c]),
        plain => pattern.push(plain),
    },
};

/// A text as a literal of hexadecimal digits: no setting of a session changes what it means.
pub(super) fn literal(text: &str) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 X'{digits}'")
}

/// The condition of a filter and a cursor on the events of a log.
pub(super) fn clause(names: &Identifiers, filter: &Filter, after: Option<Cursor>) -> Clause {
    let clause = Clause::new(&DIALECT, filter, after);
    if !filter.folded {
        return clause;
    }
    let started = names.side_table(STARTED);
    clause.and_also(&format!("(phase <> 'started' OR event_id IN (SELECT s.event_id FROM {started} AS s))"))
}

/// Binds the values of a clause.
pub(super) fn bind<'q>(mut query: MysqlQuery<'q>, clause: Clause) -> MysqlQuery<'q> {
    for value in clause.into_values() {
        query = match value {
            BindValue::Text(text) => query.bind(text),
            BindValue::Integer(integer) => query.bind(integer),
            BindValue::Timestamp(moment) => query.bind(datetime(moment)),
            BindValue::Id(id) => query.bind(id.to_bytes().to_vec()),
        };
    }
    query
}
