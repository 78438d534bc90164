//! The handle that an app holds.

use std::env::VarError;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::builder::AuditLogBuilder;
use super::deadline::{Within, from_now, with_deadline};
use super::detached_requests::{Detached, DetachedLimits};
use super::error::{CloseError, OpenError, OpenErrorRepr, RecordError, RecordErrorKind};
use super::failure_log::FailureLog;
use super::first_requests::FirstRequests;
use super::in_flight_requests::{InFlightGuard, InFlightRequests};
use super::limits::{DEFAULT_WRITE_TIMEOUT, GRACE};
use super::log_lines;
use super::queue::{Entry, IfRefused, PushOutcome, Queue};
use super::stats::{Counters, Stats, add};
use super::store_damage::StoreDamage;
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
    inner: Option<Arc<LogInner>>,
}

#[derive(Debug)]
pub(super) struct LogInner {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    pub(super) refusals: Arc<FailureLog>,
    pub(super) damage: Arc<StoreDamage>,
    pub(super) settled: watch::Receiver<u64>,
    pub(super) in_flight_requests: Arc<InFlightRequests>,
    pub(super) first_requests: FirstRequests,
    pub(super) pending_transactions: Arc<Semaphore>,
    pub(super) health_checks: Arc<Semaphore>,
    /// The store is being given a moment beside the worker.
    pub(super) is_tidying: Arc<AtomicBool>,
    pub(super) detached: DetachedLimits,
    pub(super) runtime: Handle,
    pub(super) write_deadline: Duration,
    pub(super) close_deadline: Duration,
}

/// The worker ends when the last handle is gone and everything is written.
impl Drop for LogInner {
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

    /// Returns a builder for the log at this URL.
    pub fn builder(url: &str) -> AuditLogBuilder {
        AuditLogBuilder::url(url)
    }

    /// Returns a builder for a log over an existing store.
    pub fn with_store(store: Arc<dyn AuditStore>) -> AuditLogBuilder {
        AuditLogBuilder::store(store)
    }

    /// A log that records nothing: layers pass everything through. The operator's log has a warning of it each time.
    pub fn disabled() -> Self {
        tracing::warn!("auditing is off: nothing that is done is recorded");
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

    /// Records an event that is no request, on the same path as those that are. Ready when the event is durable.
    ///
    /// What exceeds the limits of an event is cut ([`AuditEvent::truncate_to_limits`]). A log that is off records nothing and says Ok.
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
        event.truncate_to_limits();
        self.write(event, from_now(inner.write_deadline), IfRefused::Leave).await.map(|()| id)
    }

    /// Ready when everything that was given to the log before is written, or has failed.
    ///
    /// # Errors
    /// If that has not come within the write deadline (the store hangs, or the writer waits for it to come back), or the
    /// writer is gone.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn flush(&self) -> Result<(), RecordError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        // The worker takes in order: an entry behind everything else is behind all of it.
        let target = inner.queue.accepted();
        let mut settled = inner.settled.clone();
        let settled = inner.within(inner.write_deadline + GRACE, settled.wait_for(|settled| *settled >= target)).await;
        match settled {
            // An error says that the worker has ended: if it was not stopped, everything is settled.
            Some(_) if !inner.queue.is_stopped() => Ok(()),
            Some(_) => Err(RecordError::new(RecordErrorKind::Stopped)),
            None => Err(RecordError::new(RecordErrorKind::Timeout)),
        }
    }

    /// Waits for the audited requests that are still running and for transactions that outlived theirs, writes what is
    /// left, and closes the store.
    /// From then on every handle refuses events. Closing twice is no error.
    ///
    /// It ends in time, whatever hangs: requests have the
    /// [`close_timeout`](AuditLogBuilder::close_timeout), and then the events that are left and the store have the write
    /// deadline each, or the close deadline if that is shorter.
    ///
    /// # Errors
    /// If requests were still running when the time was over (their events are refused), if events could not be
    /// written, or the store could not be closed; if the runtime on which the log was opened has ended before. The error
    /// names what is left.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the log may be closed or not.
    pub async fn close(&self) -> Result<(), CloseError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let before = self.stats();
        let mut left = CloseError::default();
        let is_stopped = inner.queue.is_stopped();
        if !is_stopped && inner.within(inner.close_deadline, inner.in_flight_requests.drained()).await.is_none() {
            left.unfinished_requests = inner.in_flight_requests.count();
        }
        inner.queue.close();
        let step = inner.close_deadline.min(inner.write_deadline) + GRACE;
        let mut settled = inner.settled.clone();
        // Ends when the worker drops its side, which it does when the queue is empty and the store has answered.
        inner.within(step, async { while settled.changed().await.is_ok() {} }).await;
        inner.refusals.say();
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

    /// Checks that the next event would be accepted and durable; tried, not guessed, and answered within the write
    /// deadline. A log that is off is healthy.
    ///
    /// # Errors
    /// What is wrong with the store, or with the writer: it is gone, or does not get to take an event.
    pub async fn health(&self) -> Result<(), StoreError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let deadline = from_now(inner.write_deadline);
        let name = inner.store.capabilities().name;
        let bad = |kind, remedy: &str| Err(StoreError::new(kind, name, "health check").with_hint(remedy));
        inner.damage.check(name)?;
        if inner.queue.is_stopped() {
            return bad(StoreErrorKind::Permanent, GONE);
        }
        // The next event would go through the writer.
        let mut settled = inner.settled.clone();
        let awaited = async { while !inner.queue.is_awaited() && settled.changed().await.is_ok() {} };
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
            Some(Ok(result)) => result,
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
        let id = event.event_id;
        let written = inner.write(Entry { event, deadline, if_refused }).await;
        if let Err(error) = &written {
            inner.refusals.note(id, error);
        }
        written
    }

    /// Queues an event that no caller waits for.
    pub(crate) fn write_later(&self, event: AuditEvent) {
        let event_id = event.event_id;
        if let Some(inner) = &self.inner
            && !inner.queue.owe(event)
        {
            add(&inner.counters.refused, 1);
            inner.refusals.note(event_id, &RecordError::new(RecordErrorKind::QueueFull));
        }
    }

    /// Counts and logs a request that is refused because no time is left for the event at its end.
    pub(crate) fn refuse_late(&self, event_id: EventId) {
        if let Some(inner) = &self.inner {
            add(&inner.counters.refused, 1);
            inner.refusals.note(event_id, &RecordError::new(RecordErrorKind::Timeout));
        }
    }

    /// Refuses the event of a request beforehand, if the log is closed. Returns the id to quote.
    pub(crate) fn refuse_if_closed(&self) -> Option<EventId> {
        let inner = self.inner.as_ref().filter(|inner| inner.queue.is_closed())?;
        let id = EventId::new();
        add(&inner.counters.refused, 1);
        inner.refusals.note(id, &RecordError::new(RecordErrorKind::Closed));
        Some(id)
    }

    /// Waits for the future so long; none if the time is over.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        match &self.inner {
            Some(inner) => inner.within(limit, future).await,
            None => Some(future.await),
        }
    }

    /// When a request that begins to write now stops waiting.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.inner.as_ref().map_or(DEFAULT_WRITE_TIMEOUT, |inner| inner.write_deadline)
    }

    /// One audited request is under way.
    pub(crate) fn begin_request(&self) -> Option<InFlightGuard> {
        self.inner.as_ref().map(|inner| inner.in_flight_requests.enter())
    }

    /// Takes note of the event of a request, which is about to be written.
    pub(crate) fn note(&self, event: &AuditEvent) {
        if let Some(inner) = &self.inner {
            inner.first_requests.note(event);
        }
    }

    /// Counts an event that a rule lets go.
    pub(crate) fn count_unrecorded(&self) {
        if let Some(inner) = &self.inner {
            add(&inner.counters.let_go, 1);
        }
    }

    /// Drives the course of a request to its end after its client has gone, on the log's runtime.
    ///
    /// The handler may be ended before its time: see [`is_cancelled`](super::is_cancelled).
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(inner) = &self.inner {
            inner.runtime.spawn(Detached::new(future, Arc::clone(&inner.counters), inner.detached));
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
    /// Waits for the future so long; none if the time is over.
    pub(super) fn within<F: Future>(&self, limit: Duration, future: F) -> Within<'_, F> {
        with_deadline(&self.runtime, from_now(limit), future)
    }

    /// Calls the store on the log's runtime, where it can go on when the caller has given up.
    async fn call<F, T>(&self, call: impl FnOnce() -> F + Send + 'static) -> Result<T, Gone>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.spawn(async move { call().await }).await.map_err(|_| Gone)
    }

    async fn write(&self, entry: Entry) -> Result<(), RecordError> {
        let deadline = entry.deadline;
        let pushed = match self.queue.push(entry) {
            Ok(PushOutcome::Queued(answer)) => Ok(answer),
            // Boxed, because it is rare and every request would carry the room for it.
            Ok(PushOutcome::Full(entry)) => {
                let pushed = Box::pin(with_deadline(&self.runtime, deadline, self.queue.push_in_turn(entry))).await;
                pushed.unwrap_or_else(|| Err(RecordError::new(RecordErrorKind::QueueFull)))
            }
            Err(error) => Err(error),
        };
        let mut answer = pushed.inspect_err(|_| add(&self.counters.refused, 1))?;
        // The worker answers by the deadline. This limit is for when it cannot: it hangs, or is not driven.
        let heard = match with_deadline(&self.runtime, deadline + GRACE, &mut answer).await {
            Some(heard) => heard.ok(),
            None => {
                answer.close();
                Some(answer.try_recv().unwrap_or_else(|_| Err(RecordError::new(RecordErrorKind::Timeout))))
            }
        };
        heard.unwrap_or_else(|| {
            add(&self.counters.failed, 1);
            Err(RecordError::new(RecordErrorKind::Stopped))
        })
    }
}

/// The runtime of the log is gone, or what was called has panicked.
struct Gone;

const GONE: &str = "the writer has stopped, because the runtime on which the log was opened has ended";
