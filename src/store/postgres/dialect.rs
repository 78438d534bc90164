//! The dialect of PostgreSQL, and its parameters.

use uuid::Uuid;

use super::session::PgQuery;
use super::timestamptz::Timestamptz;
use crate::store::sql::{BindValue, Clause, ColumnNames, Dialect};

pub(super) static DIALECT: Dialect = Dialect {
    columns: ColumnNames {
        event_type: "event_type",
        user_email: "actor_user_email",
        remote_addr: "actor_remote_addr",
        route: "resource_route",
    },
    numbered: true,
    like: "LIKE",
    wildcard: '%',
    literal: |c, pattern| match c {
        '%' | '_' | '\\' => pattern.extend(['\\', c]),
        plain => pattern.push(plain),
    },
};

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
