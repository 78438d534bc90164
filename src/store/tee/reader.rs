//! The reading part: that of the member that is read.

use std::sync::Arc;

use tokio::time::timeout;

use super::NAME;
use super::delivery::Failure;
use super::lane::Lane;
use super::store::TeeStore;
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Field, Filter, PageQuery, ValueCount};
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture, StoredPage};

impl TeeStore {
    /// Returns the reading part. If an event can be acknowledged before the member that is read has it, waits for what that member
    /// was given, within its timeout.
    async fn reading(&self, operation: &'static str) -> Result<&dyn Reader, StoreError> {
        let lane = self.reading_lane(operation)?;
        if self.state.reads_may_lag {
            caught_up(lane, operation).await?;
        }
        lane.store.parts().reader.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, NAME, operation))
    }

    pub(super) fn reading_lane(&self, operation: &'static str) -> Result<&Arc<Lane>, StoreError> {
        self.state.reading_lane().ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, NAME, operation))
    }
}

/// Waits until a member has what it was given, within its timeout.
pub(super) async fn caught_up(lane: &Lane, operation: &'static str) -> Result<(), StoreError> {
    if !lane.is_open() {
        let failure = Failure::transient("it has not been reached since the start");
        return Err(error_of(lane, &failure, operation));
    }
    if lane.is_drained() {
        return Ok(());
    }
    timeout(lane.timeout, lane.drained()).await.map_err(|_| {
        let hint = format!("the member `{}` is {} events behind", lane.name, lane.view().events);
        StoreError::new(StoreErrorKind::Transient, NAME, operation).with_hint(hint)
    })
}

/// Returns the error of one member.
pub(super) fn error_of(lane: &Lane, failure: &Failure, operation: &'static str) -> StoreError {
    StoreError::new(failure.kind, NAME, operation).with_hint(format!("member `{}`: {}", lane.name, failure.text))
}

#[deny(clippy::missing_trait_methods)]
impl Reader for TeeStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move { self.reading("query").await?.query(query).await })
    }

    fn query_stored<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Option<StoredPage>> {
        Box::pin(async move { self.reading("query").await?.query_stored(query).await })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move { self.reading("count").await?.count(filter).await })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move { self.reading("top values").await?.top_values(filter, by, at_most).await })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move { self.reading("histogram").await?.histogram(filter, buckets).await })
    }

    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        let reader = self.state.reading_lane().and_then(|lane| lane.store.parts().reader);
        reader.map(|reader| reader.unindexed(filter)).unwrap_or_default()
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.reading("check of access").await?.check_access().await })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move { self.reading("get").await?.get(id).await })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move { self.reading("get").await?.get_of(id, user_email).await })
    }
}
