//! A builder for logs.

use std::env::VarError;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::append_slots::AppendSlots;
use super::audit_log::{AuditLog, LogInner};
use super::catch_panic::{catch_panic, catch_store_panic};
use super::deadline::from_now;
use super::detached_requests::DetachedLimits;
use super::error::{OpenError, OpenErrorRepr};
use super::failure_log::FailureLog;
use super::limits::{
    DEFAULT_BATCH_EVENTS, DEFAULT_CLOSE_TIMEOUT, DEFAULT_DETACHED, DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_EVENTS,
    DEFAULT_WRITE_TIMEOUT, MAX_HEALTH_CHECKS, MAX_PENDING_TRANSACTIONS, MAX_TIMEOUT,
};
use super::missing_actor_warning::FirstRequests;
use super::queue::{Queue, QueueLimits};
use super::started_ends;
use super::stats::Counters;
use super::worker::Worker;
use crate::backoff::Backoff;
#[cfg(feature = "seal")]
use crate::sealing::{SealKey, SealTask};
use crate::store::{
    AuditStore, Durability, OpenOptions, OrphanRecovery, RedactedUrl, RetentionFloor, StoreError, StoreErrorKind,
};
use crate::throttle::Throttle;

/// A builder for a log, from [`AuditLog::builder`].
#[derive(Debug)]
#[must_use]
pub struct AuditLogBuilder {
    target: Option<LogTarget>,
    write_timeout: Duration,
    queue_events: usize,
    queue_bytes: usize,
    batch_events: usize,
    close_timeout: Duration,
    detached: DetachedLimits,
    durability: Durability,
    retention_floor: Option<Duration>,
    #[cfg(feature = "metrics")]
    metrics_label: Option<String>,
    #[cfg(feature = "seal")]
    seal: Option<SealKey>,
}

#[derive(Debug)]
enum LogTarget {
    Given(StoreTarget),
    /// The URL in the environment.
    Environment,
}

enum StoreTarget {
    Url(String),
    Store(Arc<dyn AuditStore>),
}

/// Omits the password of a URL.
impl std::fmt::Debug for StoreTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{}", RedactedUrl::of(url)),
            Self::Store(store) => store.fmt(f),
        }
    }
}

impl StoreTarget {
    /// Returns the place for the operator's log: a path, or a URL without its password.
    fn shown(&self) -> String {
        match self {
            Self::Url(url) if url.starts_with("sqlite:") => url.split('?').next().unwrap_or_default().to_owned(),
            Self::Url(url) => RedactedUrl::of(url).to_string(),
            Self::Store(_) => "opened by the app".to_owned(),
        }
    }
}

impl AuditLogBuilder {
    pub(super) fn new() -> Self {
        Self {
            target: None,
            write_timeout: DEFAULT_WRITE_TIMEOUT,
            queue_events: DEFAULT_QUEUE_EVENTS,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            batch_events: DEFAULT_BATCH_EVENTS,
            close_timeout: DEFAULT_CLOSE_TIMEOUT,
            detached: DetachedLimits { requests: DEFAULT_DETACHED, timeout: None },
            durability: Durability::default(),
            retention_floor: None,
            #[cfg(feature = "metrics")]
            metrics_label: None,
            #[cfg(feature = "seal")]
            seal: None,
        }
    }

    /// Sets the URL of the store, such as `sqlite:audit.db`. The last call of `url`, [`url_from_env`](Self::url_from_env) and
    /// [`store`](Self::store) counts.
    pub fn url(mut self, url: &str) -> Self {
        self.target = Some(LogTarget::Given(StoreTarget::Url(url.to_owned())));
        self
    }

    /// Takes the URL from the environment variable `AUDIT_URL`, when the log is opened. `off`, or an empty value, makes a
    /// [disabled](AuditLog::disabled) log, which has to be asked for.
    pub fn url_from_env(mut self) -> Self {
        self.target = Some(LogTarget::Environment);
        self
    }

    /// Sets the store: an open one, or an [`Arc`] of it. The last call of [`url`](Self::url) and `store` counts.
    pub fn store(mut self, store: impl AuditStore + 'static) -> Self {
        self.target = Some(LogTarget::Given(StoreTarget::Store(Arc::new(store))));
        self
    }

    /// Sets the time that a request waits for all of its events together: 5 s by default, at most a year.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Sets the maximum number of queued events and their memory: [`DEFAULT_QUEUE_EVENTS`] and [`DEFAULT_QUEUE_BYTES`] by default.
    /// At least one event fits.
    ///
    /// Further requests wait for room until their deadline, in the order of their arrival: at most [`DEFAULT_QUEUE_EVENTS`],
    /// whose events take as much memory again. Those beyond them are rejected at once.
    pub fn queue_limits(mut self, events: usize, bytes: usize) -> Self {
        self.queue_events = events.max(1);
        self.queue_bytes = bytes;
        self
    }

    /// Sets the maximum number of events in a batch: [`DEFAULT_BATCH_EVENTS`] by default, at least 1. A batch has at most
    /// [`MAX_BATCH_BYTES`](super::MAX_BATCH_BYTES).
    ///
    /// At most [`Capabilities::max_parallel_appends`](crate::store::Capabilities::max_parallel_appends) batches are at the
    /// store, and four more wait for their next try. Their events are no longer in the queue.
    pub fn max_batch_events(mut self, events: usize) -> Self {
        self.batch_events = events.max(1);
        self
    }

    /// Sets the time that [`AuditLog::close`] waits for running audited requests, and for transactions that outlived theirs:
    /// 30 s by default, at most a year. The remaining events and the store then have the write timeout each, or this one if
    /// it is shorter.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Sets the maximum number of audited requests that run on after their client has gone, and the timeout of each:
    /// [`DEFAULT_DETACHED`] without a timeout by default.
    ///
    /// Without the layer, a client that hangs up cancels its handler. With it, the handler of an audited request runs to
    /// its end, so that the event has its outcome. A slow handler then keeps its memory and connections, though its client
    /// has gone. One that is too many, or too slow, is dropped where it waits, and its event says `aborted`; [`Stats::detached`](crate::Stats::detached) and [`Stats::abandoned`](crate::Stats::abandoned) count
    /// them.
    pub fn detached(mut self, requests: usize, timeout: Option<Duration>) -> Self {
        self.detached = DetachedLimits { requests, timeout };
        self
    }

    /// Sets the treatment of a store that may lose acknowledged events: rejected by default. Told to warn, the log
    /// opens and [`AuditLog::health`] still reports it. A store that the app opened itself has to be told as well.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the retention floor: no event younger than this is deleted through the log's store, whoever asks, and the store
    /// cannot be recreated. See [`RetentionFloor`].
    pub fn retention_floor(mut self, floor: Duration) -> Self {
        self.retention_floor = Some(floor);
        self
    }

    /// Sets the value of the label `log` of the log's metrics: the kind of the store, such as `sqlite`, by default. A second
    /// log of one label in a process has `-2` behind it. See `docs/metrics.md`.
    ///
    /// The metrics go to the recorder that is set when the log is opened. Set it before.
    #[cfg(feature = "metrics")]
    pub fn metrics_label(mut self, label: impl Into<String>) -> Self {
        self.metrics_label = Some(label.into());
        self
    }

    /// Seals the log with this key: a task beside the writer gives each durable event a leaf of a Merkle tree and signs the tree, at
    /// most two seconds later. No request waits for it. See [`sealing`](crate::sealing).
    ///
    /// [`AuditLog::seal_status`] tells how far it is. [`AuditLog::health`] fails if it has not sealed for ten seconds, or refuses to
    /// sign for good. [`AuditLog::close`] seals what is left.
    ///
    /// A process that holds the key can seal events that it has made up. Let another one seal, by `tower-audit seal`, if the process
    /// that writes is not to be trusted with that.
    #[cfg(feature = "seal")]
    pub fn seal(mut self, key: SealKey) -> Self {
        self.seal = Some(key);
        self
    }

    /// Opens the log: opens the store and checks it, closes as `unknown` what dead processes left `started`, and starts
    /// the writer on the current runtime.
    ///
    /// The timeout of all steps together is four times the write timeout, or four times [`DEFAULT_WRITE_TIMEOUT`] if that is
    /// longer: after a crash, many events may have to be closed.
    ///
    /// # Errors
    /// If none of [`url`](Self::url), [`url_from_env`](Self::url_from_env) and [`store`](Self::store) was called; if `AUDIT_URL` is asked for and not set, or is no text; if the URL is malformed, or the store cannot be opened or is not durable in a way it should be; if it does not
    /// answer in time; outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no log is open; the store may have been created.
    pub async fn open(mut self) -> Result<AuditLog, OpenError> {
        let target = match self.target.take().ok_or(OpenError(OpenErrorRepr::NoTarget))? {
            LogTarget::Given(target) => target,
            LogTarget::Environment => match std::env::var("AUDIT_URL") {
                Ok(url) if url.is_empty() || url == "off" => return Ok(AuditLog::disabled()),
                Ok(url) => StoreTarget::Url(url),
                Err(VarError::NotPresent) => return Err(OpenError(OpenErrorRepr::Unset)),
                Err(VarError::NotUnicode(_)) => return Err(OpenError(OpenErrorRepr::NotUnicode)),
            },
        };
        let runtime = Handle::try_current().map_err(|_| OpenError(OpenErrorRepr::NoRuntime))?;
        let limit = self.write_timeout.max(DEFAULT_WRITE_TIMEOUT).saturating_mul(4).min(MAX_TIMEOUT);
        let store = match tokio::time::timeout_at(from_now(limit), self.open_store(&target)).await {
            Ok(store) => store?,
            Err(_) => return Err(OpenError(OpenErrorRepr::Timeout(limit))),
        };
        let capabilities = store.capabilities();
        #[cfg(feature = "seal")]
        if self.seal.is_some() && store.parts().sealing.is_none() {
            let kind = StoreErrorKind::Unsupported;
            return Err(StoreError::new(kind, capabilities.name, "sealing").into());
        }
        catch_panic(|| {
            tracing::info!(
                store = capabilities.name,
                place = target.shown(),
                durable = capabilities.durable,
                "the audit log is open"
            );
        });
        let queue = Arc::new(Queue::new(QueueLimits {
            events: self.queue_events,
            bytes: self.queue_bytes,
            timeout: self.write_timeout,
        }));
        #[cfg(feature = "metrics")]
        let counters = Arc::new(Counters::of_log(self.metrics_label.as_deref().unwrap_or(capabilities.name)));
        #[cfg(not(feature = "metrics"))]
        let counters = Arc::<Counters>::default();
        let damage = Arc::default();
        let subscribers = Arc::default();
        let failure_log = Arc::new(FailureLog::new(runtime.clone()));
        let (settled, watch_settled) = watch::channel(0);
        let worker = Worker {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            failure_log: Arc::clone(&failure_log),
            damage: Arc::clone(&damage),
            subscribers: Arc::clone(&subscribers),
            settled,
            max_batch: self.batch_events,
            parallel: capabilities.max_parallel_appends.max(1),
            maintenance_after: capabilities.maintenance_after.map_or(usize::MAX, |events| events.max(1)),
            slots: AppendSlots::new(capabilities.max_parallel_appends.max(1)),
            retries: Throttle::default(),
        };
        runtime.spawn(worker.run());
        #[cfg(feature = "seal")]
        let seal =
            self.seal.map(|key| SealTask::spawn(&runtime, Arc::clone(&store), key, counters.metrics.register_sealed()));
        Ok(AuditLog::from_inner(LogInner {
            store,
            queue,
            counters,
            failure_log,
            damage,
            subscribers,
            settled: watch_settled,
            in_flight_requests: Arc::default(),
            first_requests: FirstRequests::default(),
            pending_transactions: Arc::new(Semaphore::new(MAX_PENDING_TRANSACTIONS)),
            health_checks: Arc::new(Semaphore::new(MAX_HEALTH_CHECKS)),
            is_maintaining: Arc::default(),
            #[cfg(feature = "seal")]
            seal,
            detached: self.detached,
            runtime,
            write_timeout: self.write_timeout,
            close_timeout: self.close_timeout,
        }))
    }

    /// Opens the store, checks it, and closes the `started` events of dead processes.
    async fn open_store(&self, target: &StoreTarget) -> Result<Arc<dyn AuditStore>, OpenError> {
        let store = match target {
            StoreTarget::Url(url) => {
                let options =
                    OpenOptions { timeout: self.write_timeout, durability: self.durability, ..OpenOptions::default() };
                crate::store::open(url, options).await?
            }
            StoreTarget::Store(store) => Arc::clone(store),
        };
        let store = match self.retention_floor {
            Some(floor) => Arc::new(RetentionFloor::new(store, floor)),
            None => store,
        };
        match catch_store_panic(|| store.health()).await {
            // The store has warned of it.
            Err(error) if self.durability == Durability::Warn && error.kind() == StoreErrorKind::NotDurable => {}
            health => health?,
        }
        if let Some(orphans) = store.parts().recovery {
            let closed = close_orphans(orphans).await?;
            if closed > 0 {
                catch_panic(|| {
                    tracing::warn!(events = closed, "closed started audit events of processes that have died");
                });
            }
        }
        Ok(store)
    }
}

/// Closes the orphans, and tries again a few times if that fails for now:
///
/// - t0: A and B open, and both find the dead writer W. A closes its events in a transaction.
/// - t1: B closes those of another dead writer; the database finds a deadlock of the two, and ends B's transaction.
/// - t2: B tries again, and finds what A has left.
async fn close_orphans(orphans: &dyn OrphanRecovery) -> Result<u64, StoreError> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    for _ in 1..RECOVERY_TRIES {
        match catch_store_panic(|| orphans.recover(&started_ends::unknown)).await {
            Err(error) if error.kind() == StoreErrorKind::Transient => tokio::time::sleep(backoff.next_pause()).await,
            ended => return ended,
        }
    }
    catch_store_panic(|| orphans.recover(&started_ends::unknown)).await
}

const RECOVERY_TRIES: usize = 5;
