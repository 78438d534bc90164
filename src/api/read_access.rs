//! The only way from a request to events and back to a response.
//!
//! ```text
//! request ── answer ──▶ Admitted ── confine ──▶ Confined ── record ──▶ Recorded ──▶ response
//!            the gate              own events  reads      audit.read
//! ```
//!
//! Each step consumes the one before it or is made by it. [`Admitted`] reads nothing, [`Confined`] reads through
//! [`ConfinedFilter`]s only, and the routes take only handlers that return a [`Recorded`] response.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::access_log::{AccessEvent, ExportAccess};
use super::confined_filter::{ConfinedFilter, ConfinedQuery};
use super::error::ApiError;
use super::operation::Operation;
use super::query_params::Params;
use super::state::ApiState;
use super::timeout_reader::TimeoutReader;
use super::with_timeout::{Interrupted, with_timeout};
use super::{Caller, GateError};
use crate::event::{AuditEvent, EventId, Timestamp};
#[cfg(feature = "viewer")]
use crate::query::ValueCount;
use crate::query::{Buckets, Field, Statistics, StatisticsQuery};
#[cfg(feature = "seal")]
use crate::seal::TlogProof;
#[cfg(feature = "seal")]
use crate::sealing::{EventSeal, SealState, prove, seal_state};
use crate::store::{AuditStore, Reader as _, StoreError, StoreErrorKind, StoredPage, statistics};

/// A handler of the API or a page of the viewer: from an admitted request to a recorded response.
///
/// Nothing else can be mounted, so a handler that leaves out a step does not compile.
pub(crate) trait ReadHandler<Q>: Clone + Send + Sync + 'static {
    fn call(&self, request: Q) -> impl Future<Output = Result<Recorded<Response>, ApiError>> + Send;
}

impl<Q, H, F> ReadHandler<Q> for H
where
    H: Fn(Q) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Recorded<Response>, ApiError>> + Send,
{
    fn call(&self, request: Q) -> impl Future<Output = Result<Recorded<Response>, ApiError>> + Send {
        self(request)
    }
}

/// A request that the gate let through: there is a readable store, and the caller is known. It reads nothing.
#[derive(Debug)]
pub(crate) struct Admitted(Request);

/// A request that reads only what its caller may see.
#[derive(Debug)]
pub(crate) struct Confined {
    request: Request,
    reader: TimeoutReader,
    filter: ConfinedFilter,
}

/// A value that may be shown: the reading is durable in the log of readings, if there is one.
#[derive(Debug)]
pub(crate) struct Recorded<T>(T);

#[derive(Debug)]
struct Request {
    api: Arc<ApiState>,
    store: Arc<dyn AuditStore>,
    caller: Caller,
    operation: &'static Operation,
    head: Parts,
    /// The id in the path, if it can be read.
    id: Result<EventId, String>,
}

impl Admitted {
    /// The first two errors: no store, then no caller.
    pub(crate) async fn admit(
        api: Arc<ApiState>,
        operation: &'static Operation,
        mut head: Parts,
    ) -> Result<Self, ApiError> {
        let store = api.readable_store().ok_or(ApiError::NoStore)?;
        let caller = match with_timeout(api.timeout, async { api.gate.caller(&head).await }).await {
            Ok(Ok(Some(caller))) if !caller.name().is_empty() => caller,
            Ok(Ok(_)) => return Err(ApiError::Unauthenticated { challenge: api.gate.challenge() }),
            Ok(Err(error)) => return Err(gate_failed("it returned an error", Some(&error))),
            Err(Interrupted::Panicked) => return Err(gate_failed("it panicked", None)),
            Err(Interrupted::TimedOut) => return Err(gate_failed("it timed out", None)),
        };
        let id = path_id(&mut head).await;
        Ok(Self(Request { api, store, caller, operation, head, id }))
    }

    /// The third error: a parameter that is not valid.
    pub(crate) fn params(&self) -> Result<Params, ApiError> {
        Params::from_query(self.0.head.uri.query(), self.0.operation, &self.0.caller, Timestamp::now())
    }

    /// The id in the path; one that is not valid is the third error, too.
    pub(crate) fn id(&self) -> Result<EventId, ApiError> {
        self.0.id.clone().map_err(ApiError::BadRequest)
    }

    /// Returns the head of the request, for the viewer's links.
    #[cfg(feature = "viewer")]
    pub(crate) fn head(&self) -> &Parts {
        &self.0.head
    }

    /// The fourth error: a filter that names another user. The store is not asked then.
    pub(crate) async fn confine(self, params: &Params) -> Result<Confined, ApiError> {
        let Self(request) = self;
        match ConfinedFilter::new(params.filter.clone(), &request.caller) {
            Ok(filter) => {
                let reader = TimeoutReader::new(Arc::clone(&request.store), request.api.timeout);
                Ok(Confined { request, reader, filter })
            }
            Err(_) => {
                let event = request.access_event().params(params).rejected(ApiError::Forbidden.status());
                request.record(event).await?;
                Err(ApiError::Forbidden)
            }
        }
    }
}

impl Confined {
    /// The filter of the request, confined to what the caller may see.
    pub(crate) fn filter(&self) -> &ConfinedFilter {
        &self.filter
    }

    /// Everything that the caller may see.
    #[cfg(feature = "viewer")]
    pub(crate) fn everything(&self) -> ConfinedFilter {
        ConfinedFilter::everything(&self.request.caller)
    }

    /// Returns the caller.
    pub(crate) fn caller(&self) -> &Caller {
        &self.request.caller
    }

    /// The access event of this request.
    pub(crate) fn access_event(&self) -> AccessEvent {
        self.request.access_event()
    }

    /// Returns the names of the filters that the store has no index for.
    pub(crate) fn unindexed(&self) -> Vec<&'static str> {
        self.reader.unindexed(self.filter())
    }

    /// True if the store has an index for each condition of the filter.
    #[cfg(feature = "viewer")]
    pub(crate) fn has_indexes_for(&self, filter: &ConfinedFilter) -> bool {
        self.reader.unindexed(filter).is_empty()
    }

    pub(crate) async fn query(&self, query: &ConfinedQuery) -> Result<Vec<AuditEvent>, ApiError> {
        self.reader.query(query).await.map_err(store_failed)
    }

    /// Returns the page as the store keeps it, if it keeps JSON.
    pub(crate) async fn query_stored(&self, query: &ConfinedQuery) -> Result<Option<StoredPage>, ApiError> {
        self.reader.query_stored(query).await.map_err(store_failed)
    }

    /// Counts by these fields, and over time in at most `max_buckets` buckets of a round width.
    pub(crate) async fn statistics(
        &self,
        filter: &ConfinedFilter,
        by: &[Field],
        top: usize,
        max_buckets: usize,
    ) -> Result<Statistics, ApiError> {
        let (since, until) = (filter.since.unwrap_or(Timestamp::MIN), filter.until.unwrap_or(Timestamp::MAX));
        let buckets = Buckets::covering(since, until, max_buckets);
        let query = StatisticsQuery::new((**filter).clone()).by(by.iter().copied()).top(top).buckets(buckets);
        statistics(&self.reader, &query).await.map_err(store_failed)
    }

    pub(crate) async fn count(&self, filter: &ConfinedFilter) -> Result<u64, ApiError> {
        self.reader.count(filter).await.map_err(store_failed)
    }

    #[cfg(feature = "viewer")]
    pub(crate) async fn top_values(
        &self,
        filter: &ConfinedFilter,
        by: Field,
        at_most: usize,
    ) -> Result<Vec<ValueCount>, ApiError> {
        self.reader.top_values(filter, by, at_most).await.map_err(store_failed)
    }

    /// Returns the event, if the caller may see it. One query has the id and the caller's name, so that another
    /// user's event costs as much as a missing one.
    pub(crate) async fn get(&self, id: EventId) -> Result<Option<AuditEvent>, ApiError> {
        let Some(own) = self.caller().own_name() else { return self.reader.get(id).await.map_err(store_failed) };
        let event = self.reader.get_of(id, own).await.map_err(store_failed)?;
        // A store may compare names by a rule of its own.
        Ok(event.filter(|event| event.actor.user_email.as_deref() == Some(own)))
    }

    /// Returns the event, or records `access` as a reading of nothing and returns the fifth error.
    pub(crate) async fn find(&self, id: EventId, access: &AccessEvent) -> Result<AuditEvent, ApiError> {
        if let Some(event) = self.get(id).await? {
            return Ok(event);
        }
        self.request.record(access.clone().rejected(ApiError::NotFound.status())).await?;
        Err(ApiError::NotFound)
    }

    /// Returns the state in the seal of an event that the caller may see.
    #[cfg(feature = "seal")]
    pub(crate) async fn seal_state(&self, event: &AuditEvent) -> Result<SealState, ApiError> {
        self.bounded("seal state", seal_state(&*self.request.store, event)).await
    }

    /// Returns the proof of an event that the caller may see. None if it has no leaf, or another one.
    #[cfg(feature = "seal")]
    pub(crate) async fn prove(&self, event: &AuditEvent) -> Result<Option<TlogProof>, ApiError> {
        if self.seal_state(event).await?.state != EventSeal::Sealed {
            return Ok(None);
        }
        let proof = self.bounded("prove", prove(&*self.request.store, event.event_id)).await?;
        Ok(proof.map(|proven| proven.proof))
    }

    #[cfg(feature = "seal")]
    async fn bounded<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        let error = |kind| StoreError::new(kind, self.request.store.capabilities().name, operation);
        let done = with_timeout(self.request.api.timeout, work).await.unwrap_or_else(|interrupted| {
            Err(match interrupted {
                Interrupted::TimedOut => error(StoreErrorKind::Transient).with_hint("it did not answer in time"),
                Interrupted::Panicked => error(StoreErrorKind::Permanent).with_hint("it panicked"),
            })
        });
        done.map_err(store_failed)
    }

    /// Records the reading, if readings are recorded. An error shows nothing.
    pub(crate) async fn record<T>(&self, access: AccessEvent, shown: T) -> Result<Recorded<T>, ApiError> {
        self.request.record(access).await?;
        Ok(Recorded(shown))
    }

    /// Records the beginning of an export, if readings are recorded.
    pub(crate) async fn record_export(&self, access: AccessEvent) -> Result<Recorded<Option<ExportAccess>>, ApiError> {
        let Some(log) = &self.request.api.read_log else { return Ok(Recorded(None)) };
        let export = ExportAccess::begin(log, access).await.map_err(|_| ApiError::ReadNotRecorded)?;
        Ok(Recorded(Some(export)))
    }
}

impl<T> Recorded<T> {
    /// Makes a response, or a part of one, of the recorded value.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Recorded<U> {
        Recorded(make(self.0))
    }

    /// Makes a response of the recorded value.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn try_map<U>(self, make: impl FnOnce(T) -> Result<U, ApiError>) -> Result<Recorded<U>, ApiError> {
        make(self.0).map(Recorded)
    }
}

#[cfg(feature = "viewer")]
impl Recorded<Response> {
    /// A redirection, which shows no event and is no reading.
    pub(crate) fn redirection(location: http::HeaderValue) -> Self {
        let mut response = http::StatusCode::SEE_OTHER.into_response();
        response.headers_mut().insert(http::header::LOCATION, location);
        Self(response)
    }
}

impl IntoResponse for Recorded<Response> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Request {
    fn access_event(&self) -> AccessEvent {
        AccessEvent::of(&self.caller, &self.head, self.operation)
    }

    async fn record(&self, access: AccessEvent) -> Result<(), ApiError> {
        match &self.api.read_log {
            Some(log) => log.record(access.into_event()).await.map(drop).map_err(|_| ApiError::ReadNotRecorded),
            None => Ok(()),
        }
    }
}

/// Reads the id in the path. An error is told after those of the gate and of the parameters.
async fn path_id(head: &mut Parts) -> Result<EventId, String> {
    let params = RawPathParams::from_request_parts(head, &()).await;
    let params = params.map_err(|_| "event_id: it is not UTF-8: expected a UUID".to_owned())?;
    let text = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
    text.parse().map_err(|error| format!("{error}"))
}

fn gate_failed(why: &'static str, error: Option<&GateError>) -> ApiError {
    let error = error.map(|error| &**error as &(dyn std::error::Error + 'static));
    tracing::error!(why, error, "the audit API's gate failed; nothing is shown");
    ApiError::GateFailed
}

fn store_failed(error: StoreError) -> ApiError {
    tracing::error!(error = &error as &dyn std::error::Error, "the audit store cannot be read");
    match error.kind() {
        StoreErrorKind::Transient => ApiError::StoreUnavailable,
        StoreErrorKind::Denied => ApiError::StoreDenied,
        _ => ApiError::StoreFailed,
    }
}

/// Checks of the compiler's. The types are private to the crate, so that a compile-fail test outside of it cannot name
/// them; here a step that can be left out is an error of this module.
#[cfg(test)]
mod tests {
    use std::future::Ready;

    use super::*;

    /// Compiles only if the type does not implement the trait: else it is ambiguous which `_` is meant.
    macro_rules! assert_not {
        ($type:ty : $($trait:tt)+) => {
            const _: fn() = || {
                trait Ambiguous<A> {
                    fn check() {}
                }
                impl<T: ?Sized> Ambiguous<()> for T {}
                struct Implements;
                impl<T: ?Sized + $($trait)+> Ambiguous<Implements> for T {}
                let _ = <$type as Ambiguous<_>>::check;
            };
        };
    }

    type Handler<Answer> = fn(Admitted) -> Ready<Result<Answer, ApiError>>;

    const _: fn() = || {
        fn is_handler<H: ReadHandler<Admitted>>() {}
        is_handler::<Handler<Recorded<Response>>>();
    };
    // A handler that does not record, or answers with what it has read.
    assert_not!(Handler<Response>: ReadHandler<Admitted>);
    assert_not!(Handler<Vec<AuditEvent>>: ReadHandler<Admitted>);
    assert_not!(Handler<Recorded<Vec<AuditEvent>>>: ReadHandler<Admitted>);
    // A handler that skips the gate.
    assert_not!(fn(Arc<ApiState>) -> Ready<Result<Recorded<Response>, ApiError>>: ReadHandler<Admitted>);
    assert_not!(fn(Confined) -> Ready<Result<Recorded<Response>, ApiError>>: ReadHandler<Admitted>);
    // No step but the last is an answer, and none comes twice.
    assert_not!(Admitted: IntoResponse);
    assert_not!(Confined: IntoResponse);
    assert_not!(Recorded<Vec<AuditEvent>>: IntoResponse);
    assert_not!(Admitted: Clone);
    assert_not!(Recorded<Response>: Clone);

    /// Methods of the type come before methods of a trait: if `Admitted` could read, the types below would differ.
    #[test]
    fn an_admitted_request_reads_nothing() {
        trait Reads {
            fn query(&self) {}
            fn count(&self) {}
            fn get(&self) {}
            fn find(&self) {}
            fn top_values(&self) {}
            fn histogram(&self) {}
            fn reader(&self) {}
            fn record(&self) {}
        }
        impl Reads for Admitted {}
        let _: fn(&Admitted) -> [(); 8] = |it| {
            [it.query(), it.count(), it.get(), it.find(), it.top_values(), it.histogram(), it.reader(), it.record()]
        };
    }
}
