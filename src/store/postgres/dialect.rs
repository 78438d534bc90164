//! The dialect of PostgreSQL, and its parameters.

use uuid::Uuid;

use super::event_columns::{DIGEST, text_column};
use super::identifiers::{Identifiers, STARTED};
use super::session::PgQuery;
use super::timestamptz::Timestamptz;
use crate::query::{Cursor, Filter};
use crate::store::sql::{BindValue, Clause, Dialect};

pub(super) static DIALECT: Dialect = Dialect {
    text: text_column,
    digest: |column| matches!(column, "request_id" | "trace_id").then_some(DIGEST),
    // The server writes a number with a fraction in its own way.
    detail: Some(
        "(CASE pg_catalog.jsonb_typeof(details -> {key}) WHEN 'string' THEN details ->> {key} \
         WHEN 'boolean' THEN details ->> {key} \
         WHEN 'number' THEN pg_catalog.substring(details ->> {key}, '^-?[0-9]+$') END) COLLATE \"C\"",
    ),
    numbered: true,
    text_literal: None,
    compares_rows: true,
    like: "LIKE",
    wildcard: '%',
    literal: |c, pattern| match c {
        '%' | '_' | '\\' => pattern.extend(['\\', c]),
        plain => pattern.push(plain),
    },
};

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
pub(super) fn bind<'q>(mut query: PgQuery<'q>, clause: Clause) -> PgQuery<'q> {
    for value in clause.into_values() {
        query = match value {
            BindValue::Text(text) => query.bind(text),
            BindValue::Integer(integer) => query.bind(integer),
            BindValue::Timestamp(moment) => query.bind(Timestamptz(moment)),
            BindValue::Id(id) => query.bind(Uuid::from(id)),
        };
    }
    query
}
