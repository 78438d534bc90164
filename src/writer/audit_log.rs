//! The handle that an app holds.

use std::env::VarError;
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
use super::error::{CloseError, OpenError, OpenErrorRepr, RecordError, RecordErrorKind};
use super::failure_log::FailureLog;
use super::first_requests::FirstRequests;
use super::in_flight_requests::{InFlightGuard, InFlightRequests};
use super::limits::{DEFAULT_WRITE_TIMEOUT, GRACE};
use super::queue::Queue;
use super::stats::{Counters, Stats, add};
use super::store_damage::StoreDamage;
use super::subscription::{Subscribers, Subscription};
use super::waiter::IfRefused;
use crate::event::{AuditEvent, BoundedEvent, EventId};
use crate::log_lines;
use crate::store::{AuditStore, StoreError, StoreErrorKind};

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
            None => f.write_str("AuditLog(off)"),
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

    /// Opens the log at the URL in the environment variable `AUDIT_URL`. `off`, or an empty value, turns auditing
    /// [disabled](Self::disabled), which has to be asked for.
    ///
    /// # Errors
    /// If the variable is not set, or is no text; otherwise see [`AuditLogBuilder::open`].
    pub async fn from_env() -> Result<Self, OpenError> {
        match std::env::var("AUDIT_URL") {
            Ok(url) if url.is_empty() || url == "off" => Ok(Self::disabled()),
            Ok(url) => Self::open(&url).await,
            Err(VarError::NotPresent) => Err(OpenError(OpenErrorRepr::Unset)),
            Err(VarError::NotUnicode(_)) => Err(OpenError(OpenErrorRepr::NotUnicode)),
        }
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
    pub fn is_off(&self) -> bool {
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

    /// Waits until every event that was given to the log before is written, or has failed.
    ///
    /// # Errors
    /// If that takes longer than the write timeout (the store hangs or fails for now), or the writer is gone.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn flush(&self) -> Result<(), RecordError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        // The worker takes in order: an entry behind everything else is behind all of it.
        let target = inner.queue.accepted();
        if inner.queue.owed() > 0 {
            inner.queue.hurry();
        }
        let mut settled = inner.settled.clone();
        let settled = inner.within(inner.write_timeout + GRACE, settled.wait_for(|settled| *settled >= target)).await;
        match settled {
            // An error says that the worker has ended: if it was not stopped, everything is settled.
            Some(_) if !inner.queue.is_stopped() => Ok(()),
            Some(_) => Err(RecordError::new(RecordErrorKind::Stopped)),
            None => Err(RecordError::new(RecordErrorKind::Timeout)),
        }
    }

    /// Waits for running audited requests and for transactions that outlived theirs, writes the remaining events, and closes
    /// the store. From then on every handle rejects events. Closing twice is no error.
    ///
    /// Each step has a timeout: requests the [`close_timeout`](AuditLogBuilder::close_timeout), the remaining events and the
    /// store the write timeout each, or the close timeout if that is shorter.
    ///
    /// # Errors
    /// If requests were still running after the timeout (their events are rejected), if events could not be written, or the
    /// store could not be closed; if the runtime on which the log was opened has ended before. The error counts them.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the log may be closed or not.
    pub async fn close(&self) -> Result<(), CloseError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let before = self.stats();
        let mut left = CloseError::default();
        let is_stopped = inner.queue.is_stopped();
        if !is_stopped && inner.within(inner.close_timeout, inner.in_flight_requests.drained()).await.is_none() {
            left.unfinished_requests = inner.in_flight_requests.count();
        }
        let step = inner.close_timeout.min(inner.write_timeout) + GRACE;
        inner.queue.close(from_now(step + GRACE));
        let mut settled = inner.settled.clone();
        // Ends when the worker drops its side, which it does when the queue is empty and the store has answered.
        inner.within(step, async { while settled.changed().await.is_ok() {} }).await;
        for (id, is_told) in inner.queue.take_owed_ids() {
            if !is_told {
                inner.failure_log.note(id, &RecordError::new(RecordErrorKind::Closed));
            }
            left.owed_events.push(id);
        }
        inner.failure_log.flush();
        left.is_stopped = inner.queue.is_stopped();
        let store = Arc::clone(&inner.store);
        left.store = match inner.within(step, inner.call(move || async move { store.close().await })).await {
            Some(Ok(result)) => result.err(),
            // Its runtime is gone.
            Some(Err(Gone)) => None,
            None => Some(StoreError::new(StoreErrorKind::Transient, "audit", "close").with_hint("it took too long")),
        };
        let after = self.stats();
        left.unwritten_events = (after.failed - before.failed) + (after.timed_out - before.timed_out);
        (left.queued_events, left.unanswered_events) = (after.queued, after.at_store);
        if log_lines::is_behind() {
            // On a thread of the runtime's own: this one must not wait for the subscriber.
            inner.within(step, inner.runtime.spawn_blocking(move || log_lines::flush(step))).await;
        }
        if left.is_empty() { Ok(()) } else { Err(left) }
    }

    /// Checks by a call of the store, within the write timeout, that the next event would be accepted and durable, and that no
    /// event is late. A disabled log is healthy.
    ///
    /// # Errors
    /// If the store fails its check, or the writer is gone, hangs, or has owed an event for longer than the write timeout.
    pub async fn health(&self) -> Result<(), StoreError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let deadline = from_now(inner.write_timeout);
        let name = inner.store.capabilities().name;
        let bad = |kind, remedy: &str| Err(StoreError::new(kind, name, "health check").with_hint(remedy));
        inner.damage.check(name)?;
        if inner.queue.is_stopped() {
            return bad(StoreErrorKind::Permanent, GONE);
        }
        // The next event would go through the writer.
        let mut settled = inner.settled.clone();
        let taken = inner.queue.taken();
        let awaited = async {
            // Under a steady load the worker never waits for an event: it takes the next batch at once.
            while !inner.queue.is_awaited() && inner.queue.taken() == taken {
                if let Some(Err(_)) = inner.within(LOOK_AGAIN, settled.changed()).await {
                    return;
                }
            }
        };
        if with_deadline(&inner.runtime, deadline, awaited).await.is_none() {
            return bad(StoreErrorKind::Transient, "it does not answer for the events that it was given");
        }
        // A check that hangs goes on when its caller has given up: then the next one waits for it.
        let turn = Arc::clone(&inner.health_checks).acquire_owned();
        let Some(turn) = with_deadline(&inner.runtime, deadline, turn).await else {
            return bad(StoreErrorKind::Transient, "the store has not answered earlier checks");
        };
        let store = Arc::clone(&inner.store);
        let check = inner.call(move || async move {
            let _turn = turn;
            store.health().await
        });
        match with_deadline(&inner.runtime, deadline, check).await {
            Some(Ok(Ok(()))) => match inner.queue.overdue() {
                0 => Ok(()),
                events => bad(
                    StoreErrorKind::Transient,
                    &format!("{events} events of requests whose clients have gone are not written yet"),
                ),
            },
            Some(Ok(Err(error))) => Err(error),
            Some(Err(Gone)) => {
                bad(StoreErrorKind::Permanent, "the check panicked, or the runtime of the log has ended")
            }
            None => {
                bad(StoreErrorKind::Transient, "the store does not answer, or the runtime of the log is not driven")
            }
        }
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
    /// many of these run, or if this one takes too long: the next poll then ends its handler.
    pub(crate) fn spawn(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
        cancel: impl FnOnce() + Send + 'static,
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
    async fn call<F, T>(&self, call: impl FnOnce() -> F + Send + 'static) -> Result<T, Gone>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.spawn(async move { call().await }).await.map_err(|_| Gone)
    }
}

/// The runtime of the log is gone, or what was called has panicked.
struct Gone;

/// The pause before a health check looks at the worker again: the worker does not say when it begins to wait.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

const GONE: &str = "the writer has stopped, because the runtime on which the log was opened has ended";
