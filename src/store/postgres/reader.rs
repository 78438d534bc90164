//! What a reader asks: one statement each, so one snapshot.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::access::{check_may_read, explained};
use super::dialect::{DIALECT, bind};
use super::error::DuringOperation as _;
use super::grants::Right;
use super::identifiers::Identifiers;
use super::row::{COLUMNS, event_of};
use super::store::PostgresStore;
use super::timestamptz::Timestamptz;
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use crate::store::sql::Clause;
use crate::store::{Reader, StoreError, StoreFuture};

impl Reader for PostgresStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = list(&mut lease.db, &self.config.identifiers, query).await;
            let done = explained(&mut lease.db, &self.config.identifiers, Right::Read, done).await;
            lease.finish(done)
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = count(&mut lease.db, &self.config.identifiers, filter).await;
            let done = explained(&mut lease.db, &self.config.identifiers, Right::Read, done).await;
            lease.finish(done)
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = tally(&mut lease.db, &self.config.identifiers, filter, by, at_most).await;
            let done = explained(&mut lease.db, &self.config.identifiers, Right::Read, done).await;
            lease.finish(done)
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = activity(&mut lease.db, &self.config.identifiers, filter, buckets).await;
            let done = explained(&mut lease.db, &self.config.identifiers, Right::Read, done).await;
            lease.finish(done)
        })
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = check_may_read(&mut lease.db, &self.config.identifiers).await;
            lease.finish(done)
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = get(&mut lease.db, &self.config.identifiers, id, &Filter::default()).await;
            let done = explained(&mut lease.db, &self.config.identifiers, Right::Read, done).await;
            lease.finish(done)
        })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let of_user = Filter { user_email: user_email.into(), ..Filter::default() };
            let done = get(&mut lease.db, &self.config.identifiers, id, &of_user).await;
            let done = explained(&mut lease.db, &self.config.identifiers, Right::Read, done).await;
            lease.finish(done)
        })
    }
}

async fn list(db: &mut PgConnection, names: &Identifiers, query: &PageQuery) -> Result<Vec<AuditEvent>, StoreError> {
    let clause = Clause::new(&DIALECT, &query.filter, query.after);
    let next = clause.next_parameter();
    let (table, clause_sql) = (names.table(), clause.sql());
    let newest = "ORDER BY created_at DESC, event_id DESC";
    let mut part = format!("LIMIT ${next}");
    if query.skip > 0 {
        part.push_str(&format!(" OFFSET ${}", next + 1));
    }
    let sql = if clause.is_index_ordered() {
        format!("SELECT {COLUMNS} FROM {table} AS e {clause_sql} {newest} {part}")
    } else {
        // All of them are sorted for each page: only their places, which the index has, and then the page is fetched,
        // row by row.
        format!(
            "SELECT e.* FROM (SELECT created_at, event_id FROM {table} {clause_sql} {newest} {part}) AS page \
             CROSS JOIN LATERAL (SELECT {COLUMNS} FROM {table} AS e WHERE e.event_id = page.event_id OFFSET 0) AS e \
             ORDER BY page.created_at DESC, page.event_id DESC"
        )
    };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut asked = bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(limit);
    if query.skip > 0 {
        asked = asked.bind(i64::try_from(query.skip).unwrap_or(i64::MAX));
    }
    let rows = asked.fetch_all(&mut *db).await.during(DOING)?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        events.push(event_of(row, DOING)?);
    }
    // What has no place in time that an event can have is put at the end of time. It is not met there for ever.
    if let Some(after) = query.after {
        events.retain(|event| Cursor::of(event) < after);
    }
    Ok(events)
}

async fn count(db: &mut PgConnection, names: &Identifiers, filter: &Filter) -> Result<u64, StoreError> {
    let clause = Clause::new(&DIALECT, filter, None);
    // Whoever may see no more than which ids there are is not told how many.
    let sql = format!("SELECT count(created_at) FROM {} {}", names.table(), clause.sql());
    let row = bind(sqlx::query(AssertSqlSafe(sql)), clause).fetch_one(db).await.during(DOING)?;
    let counted: i64 = row.try_get(0).during(DOING)?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

async fn tally(
    db: &mut PgConnection,
    names: &Identifiers,
    filter: &Filter,
    by: Field,
    at_most: usize,
) -> Result<Vec<ValueCount>, StoreError> {
    let clause = Clause::new(&DIALECT, filter, None);
    let sql = format!(
        "SELECT {}::text COLLATE \"C\" AS value, count(*) AS events FROM {} {} \
         GROUP BY 1 ORDER BY events DESC, value ASC NULLS LAST LIMIT ${}",
        DIALECT.columns.of(by),
        names.table(),
        clause.sql(),
        clause.next_parameter(),
    );
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let rows = bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(limit).fetch_all(db).await.during(DOING)?;
    let tally = |row: &PgRow| -> Result<ValueCount, sqlx::Error> {
        let events: i64 = row.try_get(1)?;
        Ok(ValueCount { value: row.try_get(0)?, count: u64::try_from(events).unwrap_or(0) })
    };
    rows.iter().map(|row| tally(row).during(DOING)).collect()
}

async fn activity(
    db: &mut PgConnection,
    names: &Identifiers,
    filter: &Filter,
    buckets: &Buckets,
) -> Result<Vec<u64>, StoreError> {
    let filter = buckets.confine(filter);
    let clause = Clause::new(&DIALECT, &filter, None);
    let next = clause.next_parameter();
    let sql = format!(
        "SELECT date_bin(${next}::text::interval, created_at, ${}) AS begin, count(*) FROM {} {} GROUP BY 1",
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
    let clause = Clause::new(&DIALECT, filter, None);
    let sql = format!(
        "SELECT {COLUMNS} FROM {} AS e {} AND e.event_id = ${}",
        names.table(),
        clause.sql(),
        clause.next_parameter()
    );
    let row =
        bind(sqlx::query(AssertSqlSafe(sql)), clause).bind(Uuid::from(id)).fetch_optional(db).await.during(DOING)?;
    row.map(|row| event_of(&row, DOING)).transpose()
}

const DOING: &str = "reading";
