//! Reads: one statement each, so one snapshot.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::dialect::{bind, clause};
use super::error::{DuringOperation as _, NAME};
use super::event_columns::text_column;
use super::grants::Right;
use super::identifiers::Identifiers;
use super::privileges::{check_may_read, explained};
use super::row::{columns, event_of};
use super::session::PgQuery;
use super::store::PostgresStore;
use super::timestamptz::Timestamptz;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use crate::store::sql::{Clause, TextColumn};
use crate::store::unindexed_conditions::unindexed;
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for PostgresStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = list(&mut lease.db, &self.config.identifiers, query).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Read, result).await;
            lease.finish(result)
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = count(&mut lease.db, &self.config.identifiers, filter).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Read, result).await;
            lease.finish(result)
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = top_values(&mut lease.db, &self.config.identifiers, filter, by, at_most).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Read, result).await;
            lease.finish(result)
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = activity(&mut lease.db, &self.config.identifiers, filter, buckets).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Read, result).await;
            lease.finish(result)
        })
    }

    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        unindexed(filter)
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = check_may_read(&mut lease.db, &self.config.identifiers).await;
            lease.finish(result)
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = get(&mut lease.db, &self.config.identifiers, id, &Filter::default()).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Read, result).await;
            lease.finish(result)
        })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let of_user = Filter { user_email: user_email.into(), ..Filter::default() };
            let result = get(&mut lease.db, &self.config.identifiers, id, &of_user).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Read, result).await;
            lease.finish(result)
        })
    }
}

/// A page in the order of the times that events can have.
///
/// The index has the times of the rows: `infinity`, 10000-01-01 and 9999-12-31T23:59:59.999999 are three of them and one of
/// an event's. A page that has no event at either end of time is the same in both orders, and so are all but a few pages
/// of a log that somebody has filled with such rows. Only those few are read part by part.
pub(super) async fn list<T: Listed>(
    db: &mut PgConnection,
    names: &Identifiers,
    query: &PageQuery,
) -> Result<Vec<T>, StoreError> {
    if query.after.is_none_or(|after| is_within_time(after.created_at)) {
        let ordinary = Part { clause: clause(names, &query.filter, query.after), span: "", ids_below: None };
        let events: Vec<T> = ordinary.read(db, names, query.skip, query.limit).await?;
        if events.iter().all(|event| is_within_time(event.time())) {
            return Ok(events);
        }
    }
    let mut events = Vec::new();
    let mut skip = query.skip;
    for part in parts(names, query) {
        let part_events: Vec<T> = part.read(db, names, skip, query.limit - events.len()).await?;
        if skip > 0 {
            skip = if part_events.is_empty() { skip.saturating_sub(part.count(db, names).await?) } else { 0 };
        }
        events.extend(part_events);
        if events.len() == query.limit {
            break;
        }
    }
    Ok(events)
}

/// An event of a listing, or its position.
pub(super) trait Listed: Sized + Send {
    /// The columns that it is read from, of the table `e`.
    fn columns() -> String;

    fn of_row(row: &PgRow) -> Result<Self, StoreError>;

    fn time(&self) -> Timestamp;
}

impl Listed for AuditEvent {
    fn columns() -> String {
        columns()
    }

    fn of_row(row: &PgRow) -> Result<Self, StoreError> {
        event_of(row, DOING)
    }

    fn time(&self) -> Timestamp {
        self.created_at
    }
}

impl Listed for Cursor {
    fn columns() -> String {
        "e.created_at, e.event_id".to_owned()
    }

    fn of_row(row: &PgRow) -> Result<Self, StoreError> {
        let Timestamptz(created_at) = row.try_get(0).during(DOING)?;
        let id: Uuid = row.try_get(1).during(DOING)?;
        Ok(Self { created_at, event_id: id.into() })
    }

    fn time(&self) -> Timestamp {
        self.created_at
    }
}

/// A part of a listing with one order.
struct Part {
    clause: Clause,
    /// A further condition.
    span: &'static str,
    /// Every event of the part has one time: only those with smaller ids are left.
    ids_below: Option<Option<Uuid>>,
}

/// The events at the end of time, those within it, and those at its beginning, as far as they come after the cursor.
fn parts(names: &Identifiers, query: &PageQuery) -> Vec<Part> {
    let at = |time| query.after.filter(|after| after.created_at == time).map(|after| Uuid::from(after.event_id));
    let part = |span, after, ids_below| Part { clause: clause(names, &query.filter, after), span, ids_below };
    let is_after = |time| query.after.is_some_and(|after| after.created_at < time);
    let mut parts = Vec::new();
    if !is_after(Timestamp::MAX) {
        parts.push(part(AT_END, None, Some(at(Timestamp::MAX))));
    }
    if !is_after(LEAST_WITHIN) {
        parts.push(part(WITHIN, query.after.filter(|after| is_within_time(after.created_at)), None));
    }
    parts.push(part(AT_BEGINNING, None, Some(at(Timestamp::MIN))));
    parts
}

impl Part {
    async fn read<T: Listed>(
        &self,
        db: &mut PgConnection,
        names: &Identifiers,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let (table, condition, columns) = (names.table(), self.condition(self.clause.sql()), T::columns());
        let order = match self.ids_below {
            None => "ORDER BY created_at DESC, event_id DESC",
            Some(_) => "ORDER BY event_id DESC",
        };
        let next = self.next_parameter();
        let mut bounds = format!("LIMIT ${next}");
        if skip > 0 {
            bounds.push_str(&format!(" OFFSET ${}", next + 1));
        }
        let sql = if self.clause.is_index_ordered() {
            format!("SELECT {columns} FROM {table} AS e {condition} {order} {bounds}")
        } else {
            let page_order = match self.ids_below {
                None => "ORDER BY page.created_at DESC, page.event_id DESC",
                Some(_) => "ORDER BY page.event_id DESC",
            };
            // Every matching row may be sorted for each page. So only times and ids are, from the index; then the rows of the
            // page are fetched one by one.
            let positions = match &*self.clause.branches() {
                [] => format!("SELECT created_at, event_id FROM {table} {condition} {order} {bounds}"),
                branches => {
                    // Of each branch no more than the page can have: one whose index is in order ends there.
                    let reach = if skip > 0 { next + 2 } else { next };
                    let branches = branches.iter().map(|branch| {
                        let condition = self.condition(branch);
                        format!("(SELECT created_at, event_id FROM {table} {condition} {order} LIMIT ${reach})")
                    });
                    let branches = branches.collect::<Vec<_>>().join(" UNION ALL ");
                    format!("SELECT created_at, event_id FROM ({branches}) AS branches {order} {bounds}")
                }
            };
            format!(
                "SELECT e.* FROM ({positions}) AS page \
                 CROSS JOIN LATERAL (SELECT {columns} FROM {table} AS e WHERE e.event_id = page.event_id OFFSET 0) AS e \
                 {page_order}"
            )
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut asked = self.bind(sqlx::query(AssertSqlSafe(sql))).bind(limit);
        if skip > 0 {
            let skip = i64::try_from(skip).unwrap_or(i64::MAX);
            asked = asked.bind(skip);
            if !self.clause.branches().is_empty() {
                asked = asked.bind(skip.saturating_add(limit));
            }
        }
        let rows = asked.fetch_all(db).await.during(DOING)?;
        rows.iter().map(T::of_row).collect()
    }

    async fn count(&self, db: &mut PgConnection, names: &Identifiers) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {} {}", names.table(), self.condition(self.clause.sql()));
        let row = self.bind(sqlx::query(AssertSqlSafe(sql))).fetch_one(db).await.during(DOING)?;
        let count: i64 = row.try_get(0).during(DOING)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The condition of a clause with this text.
    fn condition(&self, sql: &str) -> String {
        let below = match self.ids_below {
            Some(Some(_)) => format!(" AND event_id < ${}", self.clause.next_parameter()),
            _ => String::new(),
        };
        format!("{sql}{}{below}", self.span)
    }

    fn bind<'q>(&self, query: PgQuery<'q>) -> PgQuery<'q> {
        let query = bind(query, self.clause.clone());
        match self.ids_below {
            Some(Some(id)) => query.bind(id),
            _ => query,
        }
    }

    fn next_parameter(&self) -> usize {
        self.clause.next_parameter() + usize::from(matches!(self.ids_below, Some(Some(_))))
    }
}

/// Returns true for a time that no other time is taken for.
fn is_within_time(time: Timestamp) -> bool {
    LEAST_WITHIN <= time && time < Timestamp::MAX
}

/// The first time after [`Timestamp::MIN`].
const LEAST_WITHIN: Timestamp = Timestamp::from_micros(Timestamp::MIN.as_micros() + 1).expect("it is in range");
const AT_END: &str = " AND created_at >= '9999-12-31 23:59:59.999999+00'::pg_catalog.timestamptz";
const WITHIN: &str = " AND created_at < '9999-12-31 23:59:59.999999+00'::pg_catalog.timestamptz \
    AND created_at > '0001-01-01 00:00:00+00'::pg_catalog.timestamptz";
const AT_BEGINNING: &str = " AND created_at <= '0001-01-01 00:00:00+00'::pg_catalog.timestamptz";

async fn count(db: &mut PgConnection, names: &Identifiers, filter: &Filter) -> Result<u64, StoreError> {
    let clause = clause(names, filter, None);
    // Of a column that an appender may not read: an account that sees ids alone gets no count.
    let sql = format!("SELECT count(created_at) FROM {} {}", names.table(), clause.sql());
    let row = bind(sqlx::query(AssertSqlSafe(sql)), clause).fetch_one(db).await.during(DOING)?;
    let counted: i64 = row.try_get(0).during(DOING)?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

async fn top_values(
    db: &mut PgConnection,
    names: &Identifiers,
    filter: &Filter,
    by: Field,
    at_most: usize,
) -> Result<Vec<ValueCount>, StoreError> {
    let clause = clause(names, filter, None);
    let TextColumn::One(value) = text_column(by) else { return Err(uncounted(by)) };
    let sql = format!(
        "SELECT {value}::text COLLATE \"C\" AS value, count(*) AS events FROM {} {} \
         GROUP BY 1 ORDER BY events DESC, value ASC NULLS LAST LIMIT ${}",
        names.table(),
        clause.sql(),
        clause.next_parameter(),
    );
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let rows = bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(limit).fetch_all(db).await.during(DOING)?;
    let value_count = |row: &PgRow| -> Result<ValueCount, sqlx::Error> {
        let events: i64 = row.try_get(1)?;
        Ok(ValueCount { value: row.try_get(0)?, count: u64::try_from(events).unwrap_or(0) })
    };
    rows.iter().map(|row| value_count(row).during(DOING)).collect()
}

async fn activity(
    db: &mut PgConnection,
    names: &Identifiers,
    filter: &Filter,
    buckets: &Buckets,
) -> Result<Vec<u64>, StoreError> {
    let filter = buckets.confine(filter);
    let clause = clause(names, &filter, None);
    let next = clause.next_parameter();
    let sql = format!(
        "SELECT date_bin(${next}::text::interval, LEAST(GREATEST(created_at, ${0}), '9999-12-31 23:59:59.999999+00'::timestamptz), ${0}) AS begin, count(*) \
         FROM {1} {2} GROUP BY 1",
        next + 1,
        names.table(),
        clause.sql(),
    );
    let rows = bind(sqlx::query(AssertSqlSafe(sql)), clause)
        .bind(format!("{} microseconds", buckets.width_micros()))
        .bind(Timestamptz(buckets.start()))
        .fetch_all(db)
        .await
        .during(DOING)?;
    let mut counts = vec![0; buckets.len()];
    for row in &rows {
        let (Timestamptz(begin), events) = (row.try_get(0).during(DOING)?, row.try_get::<i64, _>(1).during(DOING)?);
        if let Some(count) = buckets.index_of(begin).and_then(|bucket| counts.get_mut(bucket)) {
            *count += u64::try_from(events).unwrap_or(0);
        }
    }
    Ok(counts)
}

async fn get(
    db: &mut PgConnection,
    names: &Identifiers,
    id: EventId,
    filter: &Filter,
) -> Result<Option<AuditEvent>, StoreError> {
    let clause = clause(names, filter, None);
    let sql = format!(
        "SELECT {} FROM {} AS e {} AND e.event_id = ${}",
        columns(),
        names.table(),
        clause.sql(),
        clause.next_parameter()
    );
    let row =
        bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(Uuid::from(id)).fetch_optional(db).await.during(DOING)?;
    row.map(|row| event_of(&row, DOING)).transpose()
}

fn uncounted(by: Field) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, NAME, DOING).with_hint(format!("events are not counted by {by}"))
}

const DOING: &str = "reading";
