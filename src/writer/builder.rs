//! How a log is opened.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::endings;
use super::error::{OpenError, OpenErrorRepr};
use super::log::{AuditLog, Inner};
use super::queue::{Bounds, Queue};
use super::watch::MOST_WATCHED;
use super::worker::Worker;
use crate::store::{AuditStore, Durability, OpenOptions, RedactedUrl, StoreErrorKind};

/// How long a request waits for its events, all of them together, unless the app says otherwise.
pub const DEFAULT_WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How many events may wait for the writer.
pub const MAX_QUEUE_EVENTS: usize = 16_384;
/// How many bytes of memory the events that wait may take: 64 MiB.
pub const MAX_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// How many events are appended in one batch at the most.
pub const MAX_BATCH_EVENTS: usize = 1024;

/// How a log is opened; from [`AuditLog::builder`].
#[derive(Debug)]
#[must_use]
pub struct AuditLogBuilder {
    place: Place,
    write_deadline: Duration,
    queue_events: usize,
    queue_bytes: usize,
    batch_events: usize,
    close_deadline: Duration,
    durability: Durability,
}

enum Place {
    Url(String),
    Store(Arc<dyn AuditStore>),
}

/// Without the URL, which may hold a password.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{}", RedactedUrl::of(url)),
            Self::Store(store) => store.fmt(f),
        }
    }
}

impl AuditLogBuilder {
    pub(super) fn url(url: &str) -> Self {
        Self::new(Place::Url(url.to_owned()))
    }

    pub(super) fn store(store: Arc<dyn AuditStore>) -> Self {
        Self::new(Place::Store(store))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            write_deadline: DEFAULT_WRITE_DEADLINE,
            queue_events: MAX_QUEUE_EVENTS,
            queue_bytes: MAX_QUEUE_BYTES,
            batch_events: MAX_BATCH_EVENTS,
            close_deadline: Duration::from_secs(30),
            durability: Durability::default(),
        }
    }

    /// How long a request waits for its events, all of them together: 5 s by default.
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.write_deadline = deadline;
        self
    }

    /// How many events, and how many bytes of them, may wait for the writer: [`MAX_QUEUE_EVENTS`] and
    /// [`MAX_QUEUE_BYTES`] by default. Requests beyond that wait for room until their deadline. At least one event fits.
    pub fn queue(mut self, events: usize, bytes: usize) -> Self {
        self.queue_events = events.max(1);
        self.queue_bytes = bytes;
        self
    }

    /// How many events are appended in one batch at the most: [`MAX_BATCH_EVENTS`] by default, at least 1. As many batches
    /// as [`Capabilities::parallel_appends`](crate::store::Capabilities::parallel_appends) says are under way at the most;
    /// what is in them is no longer in the queue.
    pub fn batch(mut self, events: usize) -> Self {
        self.batch_events = events.max(1);
        self
    }

    /// How long [`AuditLog::close`] waits for audited requests that are still running and for transactions that outlived
    /// theirs: 30 s by default.
    pub fn close_deadline(mut self, deadline: Duration) -> Self {
        self.close_deadline = deadline;
        self
    }

    /// What to do about a store that is set up to lose what it has acknowledged: by default it is refused. Told to warn,
    /// the log opens and [`AuditLog::health`] still reports it. A store that the app opened itself has to be told as
    /// well.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens the log: opens the store and checks it, closes as `unknown` what dead processes left `started`, and starts
    /// the writer on the current runtime.
    ///
    /// # Errors
    /// If the URL is malformed, or the store cannot be opened or is not durable in a way it should be.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no log is open; the store may have been created.
    pub async fn open(self) -> Result<AuditLog, OpenError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| OpenError(OpenErrorRepr::NoRuntime))?;
        let store = match self.place {
            Place::Url(url) => {
                let options = OpenOptions {
                    patience: self.write_deadline,
                    durability: self.durability,
                    ..OpenOptions::default()
                };
                crate::store::open(&url, options).await?
            }
            Place::Store(store) => store,
        };
        let check = async {
            match store.health().await {
                // The store has warned of it.
                Err(error) if self.durability == Durability::Warn && error.kind() == StoreErrorKind::NotDurable => {}
                health => health?,
            }
            if let Some(orphans) = store.orphans() {
                let closed = orphans.close_orphans(&endings::unknown).await?;
                if closed > 0 {
                    tracing::warn!(events = closed, "closed started audit events of processes that have died");
                }
            }
            Ok::<_, OpenError>(())
        };
        // Closing orphans may take a while after a long outage, so that opening is given more than one write.
        match tokio::time::timeout(self.write_deadline.max(DEFAULT_WRITE_DEADLINE) * 4, check).await {
            Ok(result) => result?,
            Err(_) => return Err(OpenError(OpenErrorRepr::Deadline)),
        }
        let queue = Arc::new(Queue::new(Bounds { events: self.queue_events, bytes: self.queue_bytes }));
        let counters = Arc::default();
        let (settled, watch_settled) = watch::channel(0);
        let worker = Worker {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            settled,
            max_batch: self.batch_events,
            parallel: store.capabilities().parallel_appends.max(1),
        };
        runtime.spawn(worker.run());
        Ok(AuditLog::from_inner(Inner {
            store,
            queue,
            counters,
            settled: watch_settled,
            in_flight: Arc::default(),
            watches: Arc::new(Semaphore::new(MOST_WATCHED)),
            runtime,
            write_deadline: self.write_deadline,
            close_deadline: self.close_deadline,
        }))
    }
}
