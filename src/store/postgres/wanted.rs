//! From a filter and a cursor to conditions in SQL with bound values.

use sqlx::postgres::{PgArguments, Postgres};
use uuid::Uuid;

use super::moment::Moment;
use crate::query::{Cursor, Filter};

/// What a read asks for: the events of `filter` that sort after `after`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a Filter,
    pub(super) after: Option<Cursor>,
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

impl<'a> Wanted<'a> {
    /// `WHERE ...`, to be bound by [`bind`](Self::bind) in the same order, from `$1` on; and the next number.
    pub(super) fn conditions(&self) -> (String, usize) {
        let filter = self.filter;
        let mut conditions = Conditions { sql: String::from("WHERE true"), next: 1 };
        conditions.when(filter.user_email.is_some(), "actor_user_email = $");
        conditions.when(filter.event_type.is_some(), "event_type = $");
        conditions.when(filter.since.is_some(), "created_at >= $");
        conditions.when(filter.until.is_some(), "created_at < $");
        conditions.when(filter.outcome.is_some(), "outcome = $");
        conditions.when(filter.route.is_some(), "resource_route = $");
        conditions.when(filter.remote_addr.is_some(), "actor_remote_addr = $");
        conditions.when(filter.phase.is_some(), "phase = $");
        if self.after.is_some() {
            let n = conditions.next;
            conditions.sql.push_str(&format!(" AND (created_at, event_id) < (${n}, ${})", n + 1));
            conditions.next += 2;
        }
        (conditions.sql, conditions.next)
    }

    /// Binds what [`conditions`](Self::conditions) left open.
    pub(super) fn bind<'q>(&self, mut query: Query<'q>) -> Query<'q>
    where
        'a: 'q,
    {
        let filter = self.filter;
        if let Some(user_email) = &filter.user_email {
            query = query.bind(user_email.as_str());
        }
        if let Some(event_type) = &filter.event_type {
            query = query.bind(event_type.as_str());
        }
        for moment in [filter.since, filter.until].into_iter().flatten() {
            query = query.bind(Moment(moment));
        }
        if let Some(outcome) = filter.outcome {
            query = query.bind(i32::from(outcome));
        }
        for text in [&filter.route, &filter.remote_addr].into_iter().flatten() {
            query = query.bind(text.as_str());
        }
        if let Some(phase) = filter.phase {
            query = query.bind(phase.as_str());
        }
        if let Some(after) = self.after {
            query = query.bind(Moment(after.created_at)).bind(Uuid::from(after.event_id));
        }
        query
    }

    /// Whether some text in the filter has U+0000, which no kept event has and PostgreSQL does not take.
    pub(super) fn is_impossible(&self) -> bool {
        let filter = self.filter;
        [&filter.user_email, &filter.route, &filter.remote_addr].into_iter().flatten().any(|text| text.contains('\0'))
    }
}

struct Conditions {
    sql: String,
    next: usize,
}

impl Conditions {
    fn when(&mut self, set: bool, condition: &str) {
        if set {
            self.sql.push_str(&format!(" AND {condition}{}", self.next));
            self.next += 1;
        }
    }
}
