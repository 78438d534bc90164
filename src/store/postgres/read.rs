//! What a reader asks: one statement each, so one snapshot.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::Doing as _;
use super::names::Names;
use super::store::PostgresStore;
use super::wanted::Wanted;
use crate::event::{AuditEvent, EventId};
use crate::query::{Filter, Query};
use crate::store::{Reader, StoreError, StoreFuture};

impl Reader for PostgresStore {
    fn query<'a>(&'a self, query: &'a Query) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = list(&mut lease.db, &self.config.names, query).await;
            lease.settle(done)
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = count(&mut lease.db, &self.config.names, filter).await;
            lease.settle(done)
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let done = get(&mut lease.db, &self.config.names, id).await;
            lease.settle(done)
        })
    }
}

async fn list(db: &mut PgConnection, names: &Names, query: &Query) -> Result<Vec<AuditEvent>, StoreError> {
    let wanted = Wanted { filter: &query.filter, after: query.after };
    if wanted.is_impossible() {
        return Ok(Vec::new());
    }
    let (conditions, next) = wanted.conditions();
    let mut sql = format!(
        "SELECT event FROM {} {conditions} ORDER BY created_at DESC, event_id DESC LIMIT ${next}",
        names.table()
    );
    if query.skip > 0 {
        sql.push_str(&format!(" OFFSET ${}", next + 1));
    }
    let mut asked = wanted.bind(sqlx::query(AssertSqlSafe(sql))).bind(i64::try_from(query.limit).unwrap_or(i64::MAX));
    if query.skip > 0 {
        asked = asked.bind(i64::try_from(query.skip).unwrap_or(i64::MAX));
    }
    let rows = asked.fetch_all(db).await.doing(DOING)?;
    rows.iter().map(event_of).collect()
}

async fn count(db: &mut PgConnection, names: &Names, filter: &Filter) -> Result<u64, StoreError> {
    let wanted = Wanted { filter, after: None };
    if wanted.is_impossible() {
        return Ok(0);
    }
    let (conditions, _) = wanted.conditions();
    let sql = format!("SELECT count(*) FROM {} {conditions}", names.table());
    let row = wanted.bind(sqlx::query(AssertSqlSafe(sql))).fetch_one(db).await.doing(DOING)?;
    let counted: i64 = sqlx::Row::try_get(&row, 0).doing(DOING)?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

async fn get(db: &mut PgConnection, names: &Names, id: EventId) -> Result<Option<AuditEvent>, StoreError> {
    let sql = format!("SELECT event FROM {} WHERE event_id = $1", names.table());
    let row = sqlx::query(AssertSqlSafe(sql)).bind(Uuid::from(id)).fetch_optional(db).await.doing(DOING)?;
    row.as_ref().map(event_of).transpose()
}

fn event_of(row: &sqlx::postgres::PgRow) -> Result<AuditEvent, StoreError> {
    let text: &str = sqlx::Row::try_get(row, 0).doing(DOING)?;
    serde_json::from_str(text).doing(DOING)
}

const DOING: &str = "reading";
