//! The handle that an app holds.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::builder::AuditLogBuilder;
use super::deadline::{Within, from_now, with_deadline};
use super::detached_requests::{Detached, DetachedLimits};
use super::error::{OpenError, RecordError, RecordErrorKind};
use super::failure_log::FailureLog;
use super::in_flight_requests::{InFlightGuard, InFlightRequests};
use super::limits::DEFAULT_WRITE_TIMEOUT;
use super::missing_actor_warning::FirstRequests;
use super::queue::Queue;
use super::stats::{Counters, Stats, add};
use super::store_damage::StoreDamage;
use super::subscription::{Subscribers, Subscription};
use super::waiter::IfRefused;
use crate::event::{AuditEvent, BoundedEvent, EventId};
#[cfg(feature = "seal")]
use crate::sealing::{SealStatus, SealTask};
use crate::store::AuditStore;

/// The handle that an app holds: a writer and its store. Cheap to clone; every layer and every handler share one.
///
/// Call [`close`](Self::close) after the server has stopped. Without it, the writer still writes the queued events while its
/// runtime runs, but an error is only in the operator's log.
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
#[derive(Clone)]
pub struct AuditLog {
    /// None: auditing is off.
    inner: Option<Arc<LogInner>>,
}

/// Shows the store's name and the counters, and nothing of an event: an app may print its whole state.
impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Some(inner) => f
                .debug_struct("AuditLog")
                .field("store", &inner.store.capabilities().name)
                .field("stats", &self.stats())
                .finish_non_exhaustive(),
            None => f.write_str("AuditLog(disabled)"),
        }
    }
}

#[derive(Debug)]
pub(super) struct LogInner {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    pub(super) failure_log: Arc<FailureLog>,
    pub(super) damage: Arc<StoreDamage>,
    pub(super) subscribers: Arc<Subscribers>,
    pub(super) settled: watch::Receiver<u64>,
    pub(super) in_flight_requests: Arc<InFlightRequests>,
    pub(super) first_requests: FirstRequests,
    pub(super) pending_transactions: Arc<Semaphore>,
    pub(super) health_checks: Arc<Semaphore>,
    /// The store does maintenance beside the worker.
    pub(super) is_maintaining: Arc<AtomicBool>,
    #[cfg(feature = "seal")]
    pub(super) seal: Option<SealTask>,
    pub(super) detached: DetachedLimits,
    pub(super) runtime: Handle,
    pub(super) write_timeout: Duration,
    pub(super) close_timeout: Duration,
}

/// The worker ends when the last handle is gone and everything is written.
impl Drop for LogInner {
    fn drop(&mut self) {
        self.queue.close(from_now(self.write_timeout));
    }
}

impl AuditLog {
    /// Opens the log at this URL, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// See [`AuditLogBuilder::open`].
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::builder().url(url).open().await
    }

    /// Opens the log at the URL in the environment variable `AUDIT_URL`, with the defaults of [`builder`](Self::builder). `off`, or an empty value, turns auditing
    /// [disabled](Self::disabled), which has to be asked for.
    ///
    /// # Errors
    /// If the variable is not set, or is no text; otherwise see [`AuditLogBuilder::open`].
    pub async fn from_env() -> Result<Self, OpenError> {
        Self::builder().url_from_env().open().await
    }

    /// Returns a builder, which needs a [`url`](AuditLogBuilder::url) or a [`store`](AuditLogBuilder::store).
    pub fn builder() -> AuditLogBuilder {
        AuditLogBuilder::new()
    }

    /// A log that records nothing: layers pass everything through. The operator's log has a warning of it, one for a
    /// process.
    pub fn disabled() -> Self {
        static IS_SAID: AtomicBool = AtomicBool::new(false);
        // Before there is a subscriber, nobody would read it.
        let is_said = IS_SAID.load(Ordering::Relaxed)
            || tracing::enabled!(tracing::Level::WARN) && IS_SAID.swap(true, Ordering::Relaxed);
        if !is_said {
            tracing::warn!("auditing is off: nothing that is done is recorded");
        }
        Self { inner: None }
    }

    /// Returns true if auditing is disabled.
    pub fn is_disabled(&self) -> bool {
        self.inner.is_none()
    }

    pub(super) fn inner(&self) -> Option<&Arc<LogInner>> {
        self.inner.as_ref()
    }

    pub(super) fn from_inner(inner: LogInner) -> Self {
        Self { inner: Some(Arc::new(inner)) }
    }

    /// Records an event that is no request. Returns when the event is durable.
    ///
    /// Values over the limits of an event are cut ([`AuditEvent::truncate_to_limits`]). A disabled log records nothing and
    /// returns Ok.
    ///
    /// # Errors
    /// If the event was not acknowledged within the write timeout, or the log is closed.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the event may be recorded or not.
    pub async fn record(&self, event: AuditEvent) -> Result<EventId, RecordError> {
        let id = event.event_id;
        let Some(inner) = &self.inner else { return Ok(id) };
        let event = BoundedEvent::new(Box::new(event));
        self.write(event, from_now(inner.write_timeout), IfRefused::Leave).await.map(|()| id)
    }

    /// Subscribes to the events that this log writes from now on, each after the store has acknowledged it.
    ///
    /// The order is that of the acknowledgements: a `started` event comes before its end. Delivery costs a request nothing:
    /// its answer goes first. An event of [`AuditContext::record_in`](crate::AuditContext::record_in) is delivered once the log has seen
    /// its transaction committed. Not delivered are events of other processes and of other logs, those of
    /// [`AuditLog::record_in`], whose commit the log does not see, and an event whose append failed although the store kept it: the event that
    /// ends it is delivered instead.
    ///
    /// A feed is no queue: what must happen for every event, across restarts, reads the store instead.
    ///
    /// ```
    /// use tower_audit::writer::Delivery;
    /// use tower_audit::{AuditEvent, AuditLog, EventType};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let log = AuditLog::open("memory:").await?;
    /// let mut events = log.subscribe();
    /// log.record(AuditEvent::new(EventType::AUTH)).await?;
    /// match events.recv().await {
    ///     Some(Delivery::Event(event)) => assert_eq!(event.event_type, EventType::AUTH),
    ///     Some(Delivery::Missed(_)) | None => unreachable!("one event is no gap"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self) -> Subscription {
        self.inner().map_or_else(Subscription::ended, |inner| inner.subscribers.subscribe())
    }

    /// Returns the state of the log's sealer; none if the log was opened without
    /// [`seal`](crate::AuditLogBuilder::seal).
    #[cfg(feature = "seal")]
    pub fn seal_status(&self) -> Option<SealStatus> {
        Some(self.inner.as_ref()?.seal.as_ref()?.status())
    }

    /// Returns the writer's counters.
    pub fn stats(&self) -> Stats {
        self.inner
            .as_ref()
            .map_or_else(Stats::default, |inner| inner.counters.read(inner.queue.len(), inner.queue.owed()))
    }

    /// Returns the store; none if auditing is off.
    pub fn store(&self) -> Option<&Arc<dyn AuditStore>> {
        self.inner.as_ref().map(|inner| &inner.store)
    }

    /// Rejects the event of a request before its handler runs, if the log is closed. Returns the id to quote.
    pub(crate) fn refuse_if_closed(&self) -> Option<EventId> {
        let inner = self.inner.as_ref().filter(|inner| inner.queue.is_closed())?;
        let id = EventId::new();
        add(&inner.counters.rejected, 1);
        inner.failure_log.note(id, &RecordError::new(RecordErrorKind::Closed));
        Some(id)
    }

    /// Waits for the future. Returns none if the timeout passes first.
    pub(crate) async fn within<F: Future>(&self, timeout: Duration, future: F) -> Option<F::Output> {
        match &self.inner {
            Some(inner) => inner.within(timeout, future).await,
            None => Some(future.await),
        }
    }

    /// Returns the time that a request waits for all of its events together.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.inner.as_ref().map_or(DEFAULT_WRITE_TIMEOUT, |inner| inner.write_timeout)
    }

    /// Counts an audited request as in flight, until the guard is dropped.
    pub(crate) fn begin_request(&self) -> Option<InFlightGuard> {
        self.inner.as_ref().map(|inner| inner.in_flight_requests.enter())
    }

    /// Checks the event of a request that is about to be written, if it is one of the first.
    pub(crate) fn note(&self, event: &AuditEvent) {
        if let Some(inner) = &self.inner {
            inner.first_requests.note(event);
        }
    }

    /// Counts a response that leaves without its event, because its rule fails open.
    pub(crate) fn count_unrecorded(&self) {
        if let Some(inner) = &self.inner {
            add(&inner.counters.unrecorded, 1);
        }
    }

    /// Drives the lifecycle of a request whose client has gone to its end, on the log's runtime. `cancel` is called if too
    /// many of these run, or if this one takes too long: the next poll then ends its handler. None: it is cancelled already.
    pub(crate) fn spawn(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
        cancel: Option<impl FnOnce() + Send + 'static>,
    ) {
        if let Some(inner) = &self.inner {
            inner.runtime.spawn(Detached::new(future, cancel, Arc::clone(&inner.counters), inner.detached));
        }
    }

    /// The log's id within the process; none if auditing is off.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        self.inner.as_ref().map(|inner| Arc::as_ptr(inner) as usize)
    }
}

/// Identifies a log within the process: the address of its inner part, unique while the log lives.
pub(crate) type LogId = usize;

impl LogInner {
    /// Waits for the future. Returns none if the timeout passes first.
    pub(super) fn within<F: Future>(&self, timeout: Duration, future: F) -> Within<'_, F> {
        with_deadline(&self.runtime, from_now(timeout), future)
    }

    /// Calls the store on the log's runtime, where the call goes on if the caller is dropped.
    pub(super) async fn call<F, T>(&self, call: impl FnOnce() -> F + Send + 'static) -> Result<T, Gone>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.spawn(async move { call().await }).await.map_err(|_| Gone)
    }
}

/// The runtime of the log is gone, or what was called has panicked.
pub(super) struct Gone;
