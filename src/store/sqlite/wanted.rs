//! From a filter and a cursor to conditions in SQL with bound values.

use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::segment::id_bytes;
use crate::query::{Cursor, Filter};

/// What a read asks for: the events of `filter` that sort after `after`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a Filter,
    pub(super) after: Option<Cursor>,
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

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
        let any = event_type.is_none()
            && user_email.is_none()
            && outcome.is_none()
            && route.is_none()
            && remote_addr.is_none()
            && phase.is_none();
        any && self.earliest() <= min_at
            && self.filter.until.is_none_or(|until| max_at < until.as_micros())
            && self.after.is_none_or(|after| max_at < after.created_at.as_micros())
    }

    /// `WHERE ...`, to be bound by [`bind`](Self::bind) in the same order.
    pub(super) fn conditions(&self) -> String {
        let filter = self.filter;
        // The listing of one user goes over the index of users whatever else is asked for: the plus sign keeps the
        // planner, which has no statistics, from the index of types.
        let of_type = if filter.user_email.is_some() { "+event_type = ?" } else { "event_type = ?" };
        let parts = [
            (filter.user_email.is_some(), "user_email = ?"),
            (filter.event_type.is_some(), of_type),
            (filter.since.is_some(), "created_at >= ?"),
            (filter.until.is_some(), "created_at < ?"),
            (filter.outcome.is_some(), "outcome = ?"),
            (filter.route.is_some(), "route = ?"),
            (filter.remote_addr.is_some(), "remote_addr = ?"),
            (filter.phase.is_some(), "phase = ?"),
            (self.after.is_some(), "(created_at, event_id) < (?, ?)"),
        ];
        let mut sql = String::from("WHERE true");
        for (_, part) in parts.iter().filter(|(set, _)| *set) {
            sql.push_str(" AND ");
            sql.push_str(part);
        }
        sql
    }

    /// Binds what [`conditions`](Self::conditions) left open.
    pub(super) fn bind<'q>(&self, mut query: Query<'q>) -> Query<'q> {
        let filter = self.filter;
        if let Some(user_email) = &filter.user_email {
            query = query.bind(user_email.clone());
        }
        if let Some(event_type) = &filter.event_type {
            query = query.bind(event_type.as_str().to_owned());
        }
        for moment in [filter.since, filter.until].into_iter().flatten() {
            query = query.bind(moment.as_micros());
        }
        if let Some(outcome) = filter.outcome {
            query = query.bind(i64::from(outcome));
        }
        for text in [&filter.route, &filter.remote_addr].into_iter().flatten() {
            query = query.bind(text.clone());
        }
        if let Some(phase) = filter.phase {
            query = query.bind(phase.as_str());
        }
        if let Some(after) = self.after {
            query = query.bind(after.created_at.as_micros()).bind(id_bytes(after.event_id.as_u128()));
        }
        query
    }
}
