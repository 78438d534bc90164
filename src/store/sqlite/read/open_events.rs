//! The `started` events that nothing has ended yet: a folded listing shows them.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;

use crate::query::Filter;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::id_blob::id_of;

/// The ids of the open events, for a folded filter; for any other filter nothing.
#[derive(Debug, Default)]
pub(crate) struct OpenEvents(HashSet<u128>);

impl OpenEvents {
    /// Reads the ids, if the filter is folded.
    pub(crate) async fn of(db: &mut SqliteConnection, filter: &Filter) -> Result<Self, StoreError> {
        if !filter.folded {
            return Ok(Self::default());
        }
        let ids: Vec<Vec<u8>> = sqlx::query_scalar("SELECT CAST(event_id AS BLOB) FROM audit_started")
            .fetch_all(db)
            .await
            .during("reading")?;
        // An id that is none is of no event.
        Ok(Self(ids.iter().filter_map(|id| id_of(id).ok()).collect()))
    }

    pub(crate) fn contains(&self, id: u128) -> bool {
        self.0.contains(&id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
