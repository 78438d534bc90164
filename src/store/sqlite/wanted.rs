//! What a read asks for, as this store asks for it.

use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::segment::id_bytes;
use crate::query::{Cursor, Field, Filter};
use crate::store::sql::{Clause, Columns, Dialect, Value};

/// What a read asks for: the events of `filter` that sort after `after`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a Filter,
    pub(super) after: Option<Cursor>,
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// `LIKE` would not tell upper case from lower case.
const DIALECT: Dialect = Dialect {
    columns: Columns { event_type: "event_type", user_email: "user_email", remote_addr: "remote_addr", route: "route" },
    numbered: false,
    like: "GLOB",
    any_run: '*',
    literal: |c, pattern| match c {
        '*' | '?' | '[' => pattern.extend(['[', c, ']']),
        plain => pattern.push(plain),
    },
};

/// While a user is asked for, the listing goes over the index of users whatever else is asked for: the plus sign keeps
/// the planner, which has no statistics, from the index of types.
const OF_A_USER: Dialect = Dialect { columns: Columns { event_type: "+event_type", ..DIALECT.columns }, ..DIALECT };

impl Wanted<'_> {
    /// The earliest moment that can be wanted.
    pub(super) fn earliest(&self) -> i64 {
        self.filter.since.map_or(i64::MIN, |since| since.as_micros())
    }

    /// The first moment from which on nothing can be wanted.
    pub(super) fn end(&self) -> i64 {
        let until = self.filter.until.map_or(i64::MAX, |until| until.as_micros());
        // An event of the cursor's own moment may still come after it, by a smaller id.
        let after =
            self.after.map_or(i64::MAX, |after| after.created_at.as_micros() + i64::from(after.event_id.as_u128() > 0));
        until.min(after)
    }

    /// Whether every event between these moments is wanted.
    pub(super) fn takes_all(&self, min_at: i64, max_at: i64) -> bool {
        let Filter { event_type, user_email, since: _, until: _, outcome, route, remote_addr, phase } = self.filter;
        let any = [event_type, user_email, route, remote_addr].into_iter().all(|condition| condition.is_none())
            && outcome.is_none()
            && phase.is_none();
        any && self.earliest() <= min_at
            && self.filter.until.is_none_or(|until| max_at < until.as_micros())
            && self.after.is_none_or(|after| max_at < after.created_at.as_micros())
    }

    /// `WHERE ...` and its values.
    pub(super) fn clause(&self) -> Clause {
        let of_a_user = !self.filter.user_email.wanted().is_empty();
        Clause::new(if of_a_user { &OF_A_USER } else { &DIALECT }, self.filter, self.after)
    }
}

/// Binds the values of a clause.
pub(super) fn bind<'q>(mut query: Query<'q>, clause: Clause) -> Query<'q> {
    for value in clause.into_values() {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(integer) => query.bind(i64::from(integer)),
            Value::Moment(moment) => query.bind(moment.as_micros()),
            Value::Id(id) => query.bind(id_bytes(id.as_u128())),
        };
    }
    query
}

/// The column of a field.
pub(super) fn column(field: Field) -> &'static str {
    DIALECT.columns.of(field)
}
