//! Reads: one statement each, so one snapshot.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::datetime::{MICROS, datetime, nearest};
use super::dialect::{bind, clause};
use super::error::{DuringOperation as _, NAME};
use super::event_columns::text_column;
use super::identifiers::Identifiers;
use super::row::{columns, event_of, id_of};
use super::session::MysqlQuery;
use super::store::MysqlStore;
use crate::event::{AuditEvent, EventId, Phase};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use crate::store::sql::{Clause, TextColumn};
use crate::store::unindexed_conditions::unindexed;
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for MysqlStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = list(&mut lease.db, &self.config.identifiers, query).await;
            lease.finish(result)
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = count(&mut lease.db, &self.config.identifiers, filter).await;
            lease.finish(result)
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = top_values(&mut lease.db, &self.config.identifiers, filter, by, at_most).await;
            lease.finish(result)
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = histogram(&mut lease.db, &self.config.identifiers, filter, buckets).await;
            lease.finish(result)
        })
    }

    /// No index has the phase: nearly every event is `completed`.
    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        let is_rare = filter.phase.included().iter().any(|phase| *phase != Phase::Completed);
        unindexed(filter).into_iter().chain(is_rare.then_some("phase")).collect()
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let sql = format!("SELECT {} FROM {} AS e LIMIT 0", columns(), self.config.identifiers.table());
            let asked = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *lease.db).await.during(DOING).map(drop);
            lease.finish(asked)
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = get(&mut lease.db, &self.config.identifiers, id, None).await;
            lease.finish(result)
        })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = get(&mut lease.db, &self.config.identifiers, id, Some(user_email)).await;
            lease.finish(result)
        })
    }
}

/// An event of a listing, or its position.
pub(super) trait Listed: Sized + Send {
    /// The columns that it is read from, of the table `e`.
    fn columns() -> String;

    fn of_row(row: &MySqlRow) -> Result<Self, StoreError>;
}

impl Listed for AuditEvent {
    fn columns() -> String {
        columns()
    }

    fn of_row(row: &MySqlRow) -> Result<Self, StoreError> {
        event_of(row, DOING)
    }
}

impl Listed for Cursor {
    fn columns() -> String {
        format!("e.event_id, {MICROS}")
    }

    fn of_row(row: &MySqlRow) -> Result<Self, StoreError> {
        let (created_at, _) = nearest(row.try_get(1).during(DOING)?);
        Ok(Self { created_at, event_id: id_of(row, 0, DOING)? })
    }
}

/// A page. Only times and ids are sorted, mostly by an index; then the rows of the page are fetched one by one.
pub(super) async fn list<T: Listed>(
    db: &mut MySqlConnection,
    names: &Identifiers,
    query: &PageQuery,
) -> Result<Vec<T>, StoreError> {
    let clause = clause(names, &query.filter, query.after);
    let sql = format!(
        "SELECT {columns} FROM (SELECT event_id AS page_id FROM {table} {condition} \
         ORDER BY created_at DESC, event_id DESC LIMIT ? OFFSET ?) AS page \
         JOIN {table} AS e ON e.event_id = page.page_id ORDER BY e.created_at DESC, e.event_id DESC",
        columns = T::columns(),
        table = names.table(),
        condition = clause.sql(),
    );
    let rows = bind(prepared(sql, &clause), clause)
        .bind(i64::try_from(query.limit).unwrap_or(i64::MAX))
        .bind(i64::try_from(query.skip).unwrap_or(i64::MAX))
        .fetch_all(db)
        .await
        .during(DOING)?;
    rows.iter().map(T::of_row).collect()
}

async fn count(db: &mut MySqlConnection, names: &Identifiers, filter: &Filter) -> Result<u64, StoreError> {
    let clause = clause(names, filter, None);
    // Of a column that an appender may not read: an account that sees ids alone gets no count.
    let sql = format!("SELECT COUNT(created_at) FROM {} {}", names.table(), clause.sql());
    let row = bind(prepared(sql, &clause), clause).fetch_one(db).await.during(DOING)?;
    let counted: i64 = row.try_get(0).during(DOING)?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

async fn top_values(
    db: &mut MySqlConnection,
    names: &Identifiers,
    filter: &Filter,
    by: Field,
    at_most: usize,
) -> Result<Vec<ValueCount>, StoreError> {
    let clause = clause(names, filter, None);
    let TextColumn::One(value) = text_column(by) else { return Err(uncounted(by)) };
    let sql = format!(
        "SELECT CAST({value} AS BINARY), COUNT(*) AS events FROM {} {} \
         GROUP BY {value} ORDER BY events DESC, {value} IS NULL, CAST({value} AS BINARY) LIMIT ?",
        names.table(),
        clause.sql(),
    );
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let query = bind(prepared(sql, &clause), clause).bind(limit);
    let rows = query.fetch_all(db).await.during(DOING)?;
    let value_count = |row: &MySqlRow| -> Result<ValueCount, sqlx::Error> {
        let (value, events): (Option<&[u8]>, i64) = (row.try_get(0)?, row.try_get(1)?);
        let value = value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Ok(ValueCount { value, count: u64::try_from(events).unwrap_or(0) })
    };
    rows.iter().map(|row| value_count(row).during(DOING)).collect()
}

/// A statement that stays prepared if other values have its text. The driver closes any other by a message that nobody answers, and leaves
/// Nagle's algorithm on: the next statement of the session would wait 40 ms for the server's delayed acknowledgement.
fn prepared(sql: String, clause: &Clause) -> MysqlQuery<'static> {
    sqlx::query(AssertSqlSafe(sql)).persistent(clause.is_reusable())
}

fn uncounted(by: Field) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, NAME, DOING).with_hint(format!("events are not counted by `{by}`"))
}

async fn histogram(
    db: &mut MySqlConnection,
    names: &Identifiers,
    filter: &Filter,
    buckets: &Buckets,
) -> Result<Vec<u64>, StoreError> {
    let filter = buckets.confine(filter);
    let clause = clause(names, &filter, None);
    let sql = format!(
        "SELECT TIMESTAMPDIFF(MICROSECOND, '{}', created_at) DIV {} AS bucket, COUNT(*) FROM {} {} GROUP BY bucket",
        datetime(buckets.start()),
        buckets.width_micros(),
        names.table(),
        clause.sql(),
    );
    let query = bind(sqlx::query(AssertSqlSafe(sql)).persistent(false), clause);
    let rows = query.fetch_all(db).await.during(DOING)?;
    let mut counts = vec![0; buckets.len()];
    for row in &rows {
        let (bucket, events): (Option<i64>, i64) = (row.try_get(0).during(DOING)?, row.try_get(1).during(DOING)?);
        // A row with a date that is none counts as one of the first time of an event.
        let bucket = usize::try_from(bucket.unwrap_or(0).max(0)).unwrap_or(usize::MAX);
        if let Some(count) = counts.get_mut(bucket) {
            *count += u64::try_from(events).unwrap_or(0);
        }
    }
    Ok(counts)
}

async fn get(
    db: &mut MySqlConnection,
    names: &Identifiers,
    id: EventId,
    user_email: Option<&str>,
) -> Result<Option<AuditEvent>, StoreError> {
    let of_user = if user_email.is_some() { " AND e.actor_user_email = ?" } else { "" };
    let sql = format!("SELECT {} FROM {} AS e WHERE e.event_id = ?{of_user}", columns(), names.table());
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes().to_vec());
    if let Some(user_email) = user_email {
        query = query.bind(user_email);
    }
    let rows = query.fetch_all(db).await.during(DOING)?;
    rows.first().map(|row| event_of(row, DOING)).transpose()
}

const DOING: &str = "reading";
