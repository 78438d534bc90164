//! What an operator should know of the file.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::error::Doing as _;
use super::schema::VERSION;
use super::store::SqliteStore;
use crate::store::{Finding, StoreError};

pub(super) async fn inspect(store: &SqliteStore) -> Result<Vec<Finding>, StoreError> {
    let mut lease = store.readers.take(&store.config).await?;
    let done = ask(lease.db()).await;
    store.readers.finish(lease, done).await
}

async fn ask(db: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let row = sqlx::query(
        "SELECT sqlite_version(), (SELECT count(*) FROM audit_segments), \
         (SELECT coalesce(sum(events_n), 0) FROM audit_journal), (SELECT count(*) FROM audit_open_started), \
         (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)",
    )
    .fetch_one(db)
    .await
    .doing(DOING)?;
    let number = |column: usize| row.try_get::<i64, _>(column).doing(DOING);
    let sqlite: String = row.try_get(0).doing(DOING)?;
    let (segments, journal, open, bytes) = (number(1)?, number(2)?, number(3)?, number(4)?);
    let mut found = vec![
        Finding::fine("tables", format!("version {VERSION}; SQLite {sqlite}")),
        Finding::fine(
            "size",
            format!("{} MB; {segments} indexed segments, {journal} events not indexed yet", bytes / 1_000_000),
        ),
    ];
    if open > 0 {
        found.push(Finding::fine("open", format!("{open} requests have started and not ended")));
    }
    Ok(found)
}

const DOING: &str = "inspecting the file";
