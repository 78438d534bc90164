//! The router of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::map_response;
use axum::routing::{self, MethodRouter};

use super::operation::Operation;
use super::read_access::{Admitted, ReadHandler};
use super::state::{ApiState, DEFAULT_TIMEOUT};
use super::{Gate, handlers, openapi, response};
use crate::AuditLog;
use crate::store::{AuditStore, StoreError};

/// The read API over a store, behind a gate; see [the module](super).
#[derive(Debug)]
pub struct AuditApi(ApiState);

impl AuditApi {
    /// The default timeout of the gate and of each query.
    pub const DEFAULT_TIMEOUT: Duration = DEFAULT_TIMEOUT;

    /// The API over the store of this log. If auditing is off or the store cannot be read, every response is 501.
    pub fn new(log: &AuditLog, gate: impl Gate) -> Self {
        Self(ApiState::new(log.store().cloned(), gate))
    }

    /// The API over a store without a log, such as one that another service writes.
    pub fn from_store(store: Arc<dyn AuditStore>, gate: impl Gate) -> Self {
        Self(ApiState::new(Some(store), gate))
    }

    /// Records every read in `log` as an event of type [`audit.read`](crate::EventType::AUDIT_READ), with the caller, the filters and
    /// the number of events. The event is durable before anything is shown; if it cannot be written, the response is 503.
    /// Off by default. With a log that is off, every response is 501.
    ///
    /// An export is recorded as `started` before its first byte, and as `completed` before its last one, or after it broke
    /// off. Malformed and anonymous requests are not recorded.
    #[must_use]
    pub fn record_reads(mut self, log: &AuditLog) -> Self {
        self.0.read_log = Some(log.clone());
        self
    }

    /// Sets the timeout of the gate and of each query, after which the response is 503.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// Checks that the store's account may read events, without reading one. If it may not, [`router`](Self::router) logs a
    /// warning when called within a tokio runtime, and each request gets 500. If auditing is off, there is nothing to check.
    ///
    /// # Errors
    /// The account may not read, and the error names the missing right; or the store fails.
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

    /// Returns the routes below `at`: `/audit`, or an empty text for the root. Merge them into the app's router, which may
    /// be nested under any prefix.
    ///
    /// # Panics
    /// If `at` does not begin with `/` or is not a valid path of axum.
    pub fn router<S>(self, at: &str) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let at = at.trim_end_matches('/');
        let api = Arc::new(self.0);
        api.warn_if_denied("read API");
        let mut router = Router::new();
        for (operation, handler) in [
            (&Operation::LIST, read_route(&Operation::LIST, handlers::list)),
            (&Operation::COUNT, read_route(&Operation::COUNT, handlers::count)),
            (&Operation::EXPORT, read_route(&Operation::EXPORT, handlers::export)),
            (&Operation::STATS, read_route(&Operation::STATS, handlers::stats)),
            (&Operation::GET, read_route(&Operation::GET, handlers::get)),
        ] {
            if operation.path == "/" && !at.is_empty() {
                router = router.route(at, handler.clone());
            }
            router = router.route(&format!("{at}{}", operation.path), handler);
        }
        #[cfg(feature = "seal")]
        for (operation, handler) in [
            (&Operation::SEAL, read_route(&Operation::SEAL, handlers::seal)),
            (&Operation::PROOF, read_route(&Operation::PROOF, handlers::proof)),
        ] {
            router = router.route(&format!("{at}{}", operation.path), handler);
        }
        router
            .route(&format!("{at}/openapi.json"), routing::get(openapi::serve))
            .layer(map_response(response::reject_method))
            .layer(map_response(response::with_security_headers))
            .with_state(api)
    }
}

/// A route of the API. The gate comes first, and only a recorded response leaves.
pub(crate) fn read_route<S>(operation: &'static Operation, handler: impl ReadHandler<Admitted>) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<ApiState>: FromRef<S>,
{
    routing::get(async move |State(api): State<Arc<ApiState>>, request: Request| {
        let request = Admitted::admit(api, operation, request.into_parts().0).await?;
        handler.call(request).await
    })
}
