//! A request that came through the gate.

use std::sync::Arc;

use http::request::Parts;

use super::access_log::AccessEvent;
use super::error::ApiError;
use super::operation::Operation;
use super::params::Params;
use super::state::ApiState;
use super::timeout::{Interrupted, with_timeout};
use super::{Caller, GateError};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Buckets, Condition, Field, Filter, PageQuery, ValueCount};
use crate::store::{AuditStore, Reader, StoreErrorKind, StoreFuture};

/// A request that came through the gate: there is a store, and somebody is asking. Its methods are the only way from
/// a request to the store.
#[derive(Debug)]
pub(crate) struct Admitted {
    api: Arc<ApiState>,
    store: Arc<dyn AuditStore>,
    pub(crate) caller: Caller,
    pub(crate) operation: &'static Operation,
    pub(crate) head: Parts,
}

impl Admitted {
    /// The first two refusals: no store, then nobody asking.
    pub(crate) async fn admit(
        api: Arc<ApiState>,
        operation: &'static Operation,
        head: Parts,
    ) -> Result<Self, ApiError> {
        let store = api.readable_store().ok_or(ApiError::NoStore)?;
        let caller = match with_timeout(api.timeout, async { api.gate.caller(&head).await }).await {
            Ok(Ok(Some(caller))) if !caller.name().is_empty() => caller,
            Ok(Ok(_)) => return Err(ApiError::Unauthenticated { challenge: api.gate.challenge() }),
            Ok(Err(error)) => return Err(gate_failed("it returned an error", Some(&error))),
            Err(Interrupted::Panicked) => return Err(gate_failed("it panicked", None)),
            Err(Interrupted::TimedOut) => return Err(gate_failed("it timed out", None)),
        };
        Ok(Self { api, store, caller, operation, head })
    }

    /// The third: a question that makes no sense.
    pub(crate) fn params(&self) -> Result<Params, ApiError> {
        Params::from_query(self.head.uri.query(), self.operation, &self.caller, Timestamp::now())
    }

    /// The fourth: who is no administrator asks for their own events, by name or by default. The store is not asked.
    pub(crate) async fn confine(&self, asked: &Params) -> Result<Filter, ApiError> {
        let mut filter = asked.filter.clone();
        let Some(own) = self.caller.own_name() else { return Ok(filter) };
        let theirs = Condition::from(own);
        match &filter.user_email {
            any if any.is_empty() => filter.user_email = theirs,
            name if *name == theirs => {}
            _ => {
                self.record(self.access_event().asked(asked).rejected(ApiError::Forbidden.status())).await?;
                return Err(ApiError::Forbidden);
            }
        }
        Ok(filter)
    }

    pub(crate) async fn query(&self, query: &PageQuery) -> Result<Vec<AuditEvent>, ApiError> {
        self.read(|reader| reader.query(query)).await
    }

    pub(crate) async fn count(&self, filter: &Filter) -> Result<u64, ApiError> {
        self.read(|reader| reader.count(filter)).await
    }

    pub(crate) async fn top_values(
        &self,
        filter: &Filter,
        by: Field,
        at_most: usize,
    ) -> Result<Vec<ValueCount>, ApiError> {
        self.read(|reader| reader.top_values(filter, by, at_most)).await
    }

    pub(crate) async fn histogram(&self, filter: &Filter, buckets: &Buckets) -> Result<Vec<u64>, ApiError> {
        self.read(|reader| reader.histogram(filter, buckets)).await
    }

    /// The event, if the caller may see it. The store is asked one question, with the caller's name in it: it does not
    /// know an event of another from none.
    pub(crate) async fn get(&self, id: EventId) -> Result<Option<AuditEvent>, ApiError> {
        let Some(own) = self.caller.own_name() else { return self.read(|reader| reader.get(id)).await };
        let found = self.read(|reader| reader.get_of(id, own)).await?;
        // Whatever a store makes of the name.
        Ok(found.filter(|event| event.actor.user_email.as_deref() == Some(own)))
    }

    /// The event of this request, for what is read by it.
    pub(crate) fn access_event(&self) -> AccessEvent {
        AccessEvent::of(&self.caller, &self.head, self.operation)
    }

    /// Records that this was read, if readings are recorded. What is not recorded is not shown.
    pub(crate) async fn record(&self, record: AccessEvent) -> Result<(), ApiError> {
        match &self.api.read_log {
            Some(log) => log.record(record.into_event()).await.map(drop).map_err(|_| ApiError::ReadNotRecorded),
            None => Ok(()),
        }
    }

    /// The log that readings are recorded in, if they are.
    pub(crate) fn read_log(&self) -> Option<&crate::AuditLog> {
        self.api.read_log.as_ref()
    }

    async fn read<'a, T>(&'a self, ask: impl FnOnce(&'a dyn Reader) -> StoreFuture<'a, T>) -> Result<T, ApiError> {
        let reader = self.store.reader().ok_or(ApiError::NoStore)?;
        let (refusal, why) = match with_timeout(self.api.timeout, async { ask(reader).await }).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                let refusal = match error.kind() {
                    StoreErrorKind::Transient => ApiError::StoreUnavailable,
                    StoreErrorKind::Denied => ApiError::StoreDenied,
                    _ => ApiError::StoreFailed,
                };
                tracing::error!(error = &error as &dyn std::error::Error, "the audit store cannot be read");
                return Err(refusal);
            }
            Err(Interrupted::TimedOut) => (ApiError::StoreUnavailable, "it did not answer in time"),
            Err(Interrupted::Panicked) => (ApiError::StoreFailed, "it panicked"),
        };
        tracing::error!(store = self.store.capabilities().name, why, "the audit store cannot be read");
        Err(refusal)
    }
}

fn gate_failed(why: &'static str, error: Option<&GateError>) -> ApiError {
    let error = error.map(|error| &**error as &(dyn std::error::Error + 'static));
    tracing::error!(why, error, "the audit API's gate failed; nothing is shown");
    ApiError::GateFailed
}
