//! The handle that an app holds.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::builder::AuditLogBuilder;
use super::error::{CloseError, OpenError, RecordError, RecordErrorKind};
use super::in_flight::{InFlight, InFlightGuard};
use super::queue::{IfRefused, Queue};
use super::stats::{Counters, Stats, add};
use crate::event::{AuditEvent, EventId};
use crate::store::{AuditStore, StoreError, StoreErrorKind};

/// The handle that an app holds: a writer and its store. Cheap to clone; every layer and every handler share one.
///
/// Call [`close`](Self::close) after the server has stopped. Without it, the writer still writes what it was given for
/// as long as its runtime runs, but nobody learns whether it could.
///
/// ```
/// use tower_audit::{AuditEvent, AuditLog, EventType};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let log = AuditLog::open("memory:").await?;
/// let id = log.record(AuditEvent::new(EventType::new("backup.created")?)).await?;
/// assert_eq!(log.stats().written, 1);
/// log.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuditLog {
    /// None: auditing is off.
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    pub(super) settled: watch::Receiver<u64>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) watches: Arc<Semaphore>,
    pub(super) runtime: Handle,
    pub(super) write_deadline: Duration,
    pub(super) close_deadline: Duration,
}

/// The worker ends when the last handle is gone and everything is written.
impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl AuditLog {
    /// Opens the log at this URL, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// See [`AuditLogBuilder::open`].
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::builder(url).open().await
    }

    /// Opens the log at the URL in the environment variable `AUDIT_URL`. Unset or empty, auditing is off.
    ///
    /// # Errors
    /// See [`AuditLogBuilder::open`].
    pub async fn from_env() -> Result<Self, OpenError> {
        match std::env::var("AUDIT_URL") {
            Ok(url) if !url.is_empty() => Self::open(&url).await,
            _ => Ok(Self::off()),
        }
    }

    /// How to open the log at this URL otherwise.
    pub fn builder(url: &str) -> AuditLogBuilder {
        AuditLogBuilder::url(url)
    }

    /// How to open a log over a store that the app made.
    pub fn with_store(store: Arc<dyn AuditStore>) -> AuditLogBuilder {
        AuditLogBuilder::store(store)
    }

    /// A log that records nothing: layers pass everything through.
    pub fn off() -> Self {
        Self { inner: None }
    }

    /// Whether this log records nothing.
    pub fn is_off(&self) -> bool {
        self.inner.is_none()
    }

    pub(super) fn inner(&self) -> Option<&Arc<Inner>> {
        self.inner.as_ref()
    }

    pub(super) fn from_inner(inner: Inner) -> Self {
        Self { inner: Some(Arc::new(inner)) }
    }

    /// Records an event that is no request, on the same path as those that are. Ready when the event is durable.
    ///
    /// What exceeds the limits of an event is cut ([`AuditEvent::fit`]). A log that is off records nothing and says Ok.
    ///
    /// # Errors
    /// If the event was not acknowledged within the write deadline, or the log is closed.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the event may be recorded or not.
    pub async fn record(&self, event: AuditEvent) -> Result<EventId, RecordError> {
        let id = event.event_id;
        let Some(inner) = &self.inner else { return Ok(id) };
        let mut event = Box::new(event);
        event.fit();
        self.write(event, Instant::now() + inner.write_deadline, IfRefused::Leave).await.map(|()| id)
    }

    /// Ready when everything that was given to the log before is written, or has failed.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn flush(&self) {
        let Some(inner) = &self.inner else { return };
        // The worker takes in order: an entry behind everything else is behind all of it.
        let target = inner.queue.accepted();
        let mut settled = inner.settled.clone();
        // An error says that the worker is gone, and then everything is settled.
        let _ = settled.wait_for(|settled| *settled >= target).await;
    }

    /// Waits for the audited requests that are still running and for transactions that outlived theirs, writes what is
    /// left, and closes the store.
    /// From then on every handle refuses events. Closing twice is no error.
    ///
    /// # Errors
    /// If requests were still running when the time was over (their events are refused), if events could not be
    /// written, or the store could not be closed.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the log may be closed or not.
    pub async fn close(&self) -> Result<(), CloseError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let before = self.stats();
        let unfinished = match tokio::time::timeout(inner.close_deadline, inner.in_flight.settled()).await {
            Ok(()) => 0,
            Err(_) => inner.in_flight.count(),
        };
        inner.queue.close();
        let mut settled = inner.settled.clone();
        // Ends when the worker drops its side, which it does when the queue is empty. Deadlines bound that.
        while settled.changed().await.is_ok() {}
        let store = match tokio::time::timeout(inner.close_deadline, inner.store.close()).await {
            Ok(result) => result.err(),
            Err(_) => {
                Some(StoreError::new(StoreErrorKind::Transient, "audit", "close").with_remedy("it took too long"))
            }
        };
        let after = self.stats();
        let unwritten = (after.failed - before.failed) + (after.expired - before.expired);
        if unfinished == 0 && unwritten == 0 && store.is_none() {
            return Ok(());
        }
        Err(CloseError { unfinished_requests: unfinished, unwritten_events: unwritten, store })
    }

    /// Whether the next event would be accepted and be durable; tried, not guessed, and answered within the write
    /// deadline. A log that is off is healthy.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub async fn health(&self) -> Result<(), StoreError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        match tokio::time::timeout(inner.write_deadline, inner.store.health()).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(StoreErrorKind::Transient, inner.store.capabilities().name, "health check")
                .with_remedy("the store does not answer")),
        }
    }

    /// What the writer has done so far.
    pub fn stats(&self) -> Stats {
        self.inner.as_ref().map_or_else(Stats::default, |inner| inner.counters.read(inner.queue.len() as u64))
    }

    /// The store, to be read or kept; none if auditing is off.
    pub fn store(&self) -> Option<&Arc<dyn AuditStore>> {
        self.inner.as_ref().map(|inner| &inner.store)
    }

    /// Writes an event that fits. Boxed, because each future on the way would have room for it and copy it.
    ///
    /// An error says that the event is not known to be durable. It may become so later; then the log does what
    /// `if_refused` says, without the caller.
    pub(crate) async fn write(
        &self,
        event: Box<AuditEvent>,
        deadline: Instant,
        if_refused: IfRefused,
    ) -> Result<(), RecordError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let answer = match inner.queue.push(event, deadline, if_refused).await {
            Ok(receiver) => receiver,
            Err(error) => {
                add(&inner.counters.refused, 1);
                tracing::error!(error = &error as &dyn std::error::Error, "audit event refused");
                return Err(error);
            }
        };
        // The worker answers everyone by the deadline. It is gone only if the runtime is.
        answer.await.unwrap_or_else(|_| Err(RecordError::new(RecordErrorKind::Closed)))
    }

    /// When a request that begins to write now stops waiting.
    pub(crate) fn write_budget(&self) -> Duration {
        self.inner.as_ref().map_or(Duration::MAX, |inner| inner.write_deadline)
    }

    /// One audited request is under way.
    pub(crate) fn enter(&self) -> Option<InFlightGuard> {
        self.inner.as_ref().map(|inner| inner.in_flight.enter())
    }

    /// Counts an event that a rule lets go.
    pub(crate) fn let_go(&self) {
        if let Some(inner) = &self.inner {
            add(&inner.counters.let_go, 1);
        }
    }

    /// Drives a future to its end behind the back of whoever has stopped polling it.
    pub(crate) fn detach(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(inner) = &self.inner {
            inner.runtime.spawn(future);
        }
    }

    /// What tells this log from the others of the process; none if auditing is off.
    pub(crate) fn id(&self) -> Option<usize> {
        self.inner.as_ref().map(|inner| Arc::as_ptr(inner) as usize)
    }
}
