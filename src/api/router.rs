//! The API, to be mounted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::map_response;
use axum::routing;

use super::operation::Operation;
use super::{Gate, count, export, get, list, openapi, response, stats};
use crate::AuditLog;
use crate::store::{AuditStore, StoreError, StoreErrorKind};

/// The read API over a store, behind a gate; [the module](super) says what it answers.
#[derive(Debug)]
pub struct AuditApi(ApiState);

/// What every handler knows.
pub(crate) struct ApiState {
    store: Option<Arc<dyn AuditStore>>,
    pub(crate) gate: Box<dyn Gate>,
    /// Where readings are recorded, if they are.
    pub(crate) read_log: Option<AuditLog>,
    pub(crate) timeout: Duration,
}

impl AuditApi {
    /// The default timeout of the gate and of each query.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// The API over the store of this log. Where auditing is off, or the store cannot be read, it answers 501.
    pub fn new(log: &AuditLog, gate: impl Gate) -> Self {
        Self(ApiState::new(log.store().cloned(), gate))
    }

    /// The API over a store that nobody writes here.
    pub fn from_store(store: Arc<dyn AuditStore>, gate: impl Gate) -> Self {
        Self(ApiState::new(Some(store), gate))
    }

    /// Records every reading in `log`, too: who, with which filters, how many events, as an event of type
    /// [`audit.read`](super::AUDIT_READ). It is durable before anything is shown; where it cannot be written, nothing
    /// is shown, and the answer is 503. Off by default. With a log that is off, every answer is 501.
    ///
    /// An export is recorded as `started` before its first byte, and as `completed` before its last, or after it broke
    /// off. What was refused as malformed or anonymous is no reading.
    #[must_use]
    pub fn record_reads(mut self, log: &AuditLog) -> Self {
        self.0.read_log = Some(log.clone());
        self
    }

    /// Sets the timeout of the gate and of each query, after which the response is 503.
    #[must_use]
    pub fn timeout(mut self, deadline: Duration) -> Self {
        self.0.timeout = deadline;
        self
    }

    /// Checks that events can be read with the rights that the store was opened with, without reading one: an account
    /// that may only append cannot. Without this, [`router`](Self::router) writes a warning when it is called within a
    /// tokio runtime, and each request is answered with 500.
    ///
    /// # Errors
    /// If they cannot: the error names the right to give. Where auditing is off there is nothing to check.
    ///
    /// ```
    /// # use tower_audit::AuditLog;
    /// # use tower_audit::api::{AuditApi, Caller, gate_fn};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let log = AuditLog::open("memory:").await?;
    /// let api = AuditApi::new(&log, gate_fn(|_| Ok(Some(Caller::user("alice")))));
    /// api.check().await?;
    /// let app: axum::Router = api.router("/audit");
    /// # let _ = app;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn check(&self) -> Result<(), StoreError> {
        self.0.check_access().await
    }

    /// The routes, below `at`: `/audit`, or nothing for the root. Merge them into the app's router; that may be nested
    /// under any prefix.
    ///
    /// # Panics
    /// If `at` does not begin with `/`, or is no path that axum takes.
    pub fn router<S>(self, at: &str) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let at = at.trim_end_matches('/');
        let api = Arc::new(self.0);
        api.warn_if_denied("read API");
        let mut router = Router::new();
        for (operation, handler) in [
            (Operation::LIST, routing::get(list::list)),
            (Operation::COUNT, routing::get(count::count)),
            (Operation::EXPORT, routing::get(export::export)),
            (Operation::STATS, routing::get(stats::stats)),
            (Operation::GET, routing::get(get::get)),
        ] {
            if operation.path == "/" && !at.is_empty() {
                router = router.route(at, handler.clone());
            }
            router = router.route(&format!("{at}{}", operation.path), handler);
        }
        router
            .route(&format!("{at}/openapi.json"), routing::get(openapi::serve))
            .layer(map_response(response::reject_method))
            .layer(map_response(response::with_security_headers))
            .with_state(api)
    }
}

impl ApiState {
    pub(crate) fn new(store: Option<Arc<dyn AuditStore>>, gate: impl Gate) -> Self {
        Self { store, gate: Box::new(gate), read_log: None, timeout: AuditApi::DEFAULT_TIMEOUT }
    }

    /// The store, if there is one, if it can be read, and if readings that must be recorded can be.
    pub(crate) fn readable_store(&self) -> Option<Arc<dyn AuditStore>> {
        if self.read_log.as_ref().is_some_and(AuditLog::is_off) {
            return None;
        }
        self.store.clone().filter(|store| store.reader().is_some())
    }

    /// Whether the store lets us read, in time. One that cannot be read at all is told to those who ask.
    pub(crate) async fn check_access(&self) -> Result<(), StoreError> {
        let Some(store) = self.readable_store() else { return Ok(()) };
        let Some(reader) = store.reader() else { return Ok(()) };
        match tokio::time::timeout(self.timeout, reader.check_access()).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(StoreErrorKind::Transient, store.capabilities().name, "checking the access")
                .with_hint("it did not answer in time")),
        }
    }

    /// Tells the operator now what each request would meet: at the start somebody looks.
    pub(crate) fn warn_if_denied(self: &Arc<Self>, what: &'static str) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let api = Arc::clone(self);
        runtime.spawn(async move {
            match api.check_access().await {
                Err(error) if error.kind() == StoreErrorKind::Denied => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the account of this service may not read the audit log: the {what} shows nothing"
                ),
                // What may be otherwise by then, the first request tells.
                _ => {}
            }
        });
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("store", &self.store)
            .field("records_readings", &self.read_log.is_some())
            .field("deadline", &self.timeout)
            .finish_non_exhaustive()
    }
}
