//! A reader whose every call ends in time.

use std::sync::Arc;
use std::time::Duration;

use super::with_timeout::{Interrupted, with_timeout};
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Field, Filter, PageQuery, ValueCount};
use crate::store::{AuditStore, Reader, StoreError, StoreErrorKind, StoreFuture, StoredPage};

/// The reader of a store, bounded: a call that hangs or panics becomes an error.
#[derive(Debug)]
pub(super) struct TimeoutReader {
    store: Arc<dyn AuditStore>,
    timeout: Duration,
}

impl TimeoutReader {
    pub(super) fn new(store: Arc<dyn AuditStore>, timeout: Duration) -> Self {
        Self { store, timeout }
    }

    fn bounded<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        call: impl FnOnce(&'a dyn Reader) -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let error = |kind| StoreError::new(kind, self.store.capabilities().name, operation);
            let Some(reader) = self.store.parts().reader else { return Err(error(StoreErrorKind::Unsupported)) };
            match with_timeout(self.timeout, async { call(reader).await }).await {
                Ok(result) => result,
                Err(Interrupted::TimedOut) => {
                    Err(error(StoreErrorKind::Transient).with_hint("it did not answer in time"))
                }
                Err(Interrupted::Panicked) => Err(error(StoreErrorKind::Permanent).with_hint("it panicked")),
            }
        })
    }
}

/// Lists every method: one that is missing here would be unbounded.
#[deny(clippy::missing_trait_methods)]
impl Reader for TimeoutReader {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        self.bounded("query", |reader| reader.query(query))
    }

    fn query_stored<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Option<StoredPage>> {
        self.bounded("query", |reader| reader.query_stored(query))
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        self.bounded("count", |reader| reader.count(filter))
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        self.bounded("count by value", move |reader| reader.top_values(filter, by, at_most))
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        self.bounded("count by time", |reader| reader.histogram(filter, buckets))
    }

    /// Asks no database, so that it needs no bound.
    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        self.store.parts().reader.map(|reader| reader.unindexed(filter)).unwrap_or_default()
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        self.bounded("check access", |reader| reader.check_access())
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        self.bounded("get", move |reader| reader.get(id))
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        self.bounded("get", move |reader| reader.get_of(id, user_email))
    }
}
