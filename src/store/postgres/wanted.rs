//! What a read asks for, as this store asks for it.

use sqlx::postgres::{PgArguments, Postgres};
use uuid::Uuid;

use super::moment::Moment;
use crate::store::sql::{Clause, Columns, Dialect, Value};

pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

pub(super) static DIALECT: Dialect = Dialect {
    columns: Columns {
        event_type: "event_type",
        user_email: "actor_user_email",
        remote_addr: "actor_remote_addr",
        route: "resource_route",
    },
    numbered: true,
    like: "LIKE",
    any_run: '%',
    literal: |c, pattern| match c {
        '%' | '_' | '\\' => pattern.extend(['\\', c]),
        plain => pattern.push(plain),
    },
};

/// Binds the values of a clause.
pub(super) fn bind<'q>(mut query: Query<'q>, clause: Clause) -> Query<'q> {
    for value in clause.into_values() {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(integer) => query.bind(integer),
            Value::Moment(moment) => query.bind(Moment(moment)),
            Value::Id(id) => query.bind(Uuid::from(id)),
        };
    }
    query
}
