//! The API, to be mounted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::map_response;
use axum::routing;

use super::operation::Operation;
use super::{Gate, answer, count, export, get, list, openapi, stats};
use crate::AuditLog;
use crate::store::AuditStore;

/// The read API over a store, behind a gate; [the module](super) says what it answers.
#[derive(Debug)]
pub struct AuditApi(Api);

/// What every handler knows.
pub(crate) struct Api {
    store: Option<Arc<dyn AuditStore>>,
    pub(crate) gate: Box<dyn Gate>,
    /// Where readings are recorded, if they are.
    pub(crate) readings: Option<AuditLog>,
    pub(crate) deadline: Duration,
}

impl AuditApi {
    /// How long the gate, and each question to the store, may take if nobody says otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

    /// The API over the store of this log. Where auditing is off, or the store cannot be read, it answers 501.
    pub fn new(log: &AuditLog, gate: impl Gate) -> Self {
        Self(Api::new(log.store().cloned(), gate))
    }

    /// The API over a store that nobody writes here.
    pub fn over(store: Arc<dyn AuditStore>, gate: impl Gate) -> Self {
        Self(Api::new(Some(store), gate))
    }

    /// Records every reading in `log`, too: who, with which filters, how many events, as an event of type
    /// [`audit.read`](super::AUDIT_READ). It is durable before anything is shown; where it cannot be written, nothing
    /// is shown, and the answer is 503. Off by default. With a log that is off, every answer is 501.
    ///
    /// An export is recorded as `started` before its first byte, and as `completed` before its last, or after it broke
    /// off. What was refused as malformed or anonymous is no reading.
    #[must_use]
    pub fn record_readings(mut self, log: &AuditLog) -> Self {
        self.0.readings = Some(log.clone());
        self
    }

    /// How long the gate, and each question to the store, may take before the answer is 503.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = deadline;
        self
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
            .layer(map_response(answer::by_its_verbs))
            .layer(map_response(answer::guarded))
            .with_state(Arc::new(self.0))
    }
}

impl Api {
    pub(crate) fn new(store: Option<Arc<dyn AuditStore>>, gate: impl Gate) -> Self {
        Self { store, gate: Box::new(gate), readings: None, deadline: AuditApi::DEFAULT_DEADLINE }
    }

    /// The store, if there is one, if it can be read, and if readings that must be recorded can be.
    pub(crate) fn readable_store(&self) -> Option<Arc<dyn AuditStore>> {
        if self.readings.as_ref().is_some_and(AuditLog::is_off) {
            return None;
        }
        self.store.clone().filter(|store| store.reader().is_some())
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("store", &self.store)
            .field("records_readings", &self.readings.is_some())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
