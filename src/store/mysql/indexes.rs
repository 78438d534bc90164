//! The indexes of the events, and those of them that are missing.

use sqlx::mysql::MySqlConnection;

use super::error::DuringOperation as _;
use super::identifiers::{Identifiers, quote_identifier};
use super::session::execute;
use crate::store::StoreError;

/// An index: its name, and its columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index {
    pub(super) name: &'static str,
    columns: &'static str,
}

impl Index {
    /// The index behind `KEY` or `ADD INDEX`.
    pub(super) fn definition(self) -> String {
        format!("{} ({})", quote_identifier(self.name), self.columns)
    }
}

const fn index(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns }
}

/// Those with a time end in the order of a listing. The id, which is the key, is at the end of every index anyway, but of a
/// partitioned table the server does not see that, and would sort all rows for each page.
pub(super) const INDEXES: [Index; 10] = [
    index("by_time", "created_at, event_id"),
    index("by_event_type", "event_type, created_at, event_id"),
    index("by_user_email", "actor_user_email, created_at, event_id"),
    index("by_remote_addr", "actor_remote_addr, created_at, event_id"),
    index("by_route", "resource_route, created_at, event_id"),
    index("by_outcome", "outcome, created_at, event_id"),
    index("by_target", "target, created_at, event_id"),
    // The rows with several targets: in all others it is null.
    index("by_targets", "all_targets(1)"),
    index("by_request_id", "request_id"),
    index("by_trace_id", "trace_id"),
];

/// The indexes that are not there.
pub(super) async fn missing(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Index>, StoreError> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT CAST(INDEX_NAME AS CHAR) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
    )
    .bind(names.database())
    .bind(names.unquoted(""))
    .fetch_all(db)
    .await
    .during(DOING)?;
    Ok(INDEXES.into_iter().filter(|index| !found.iter().any(|name| name == index.name)).collect())
}

/// Creates the missing indexes while others append.
pub(super) async fn complete(db: &mut MySqlConnection, names: &Identifiers) -> Result<(), StoreError> {
    for index in missing(db, names).await? {
        let sql =
            format!("ALTER TABLE {} ADD INDEX {}, ALGORITHM=INPLACE, LOCK=NONE", names.table(), index.definition());
        execute(db, sql).await?;
    }
    Ok(())
}

const DOING: &str = "making indexes";
