//! The store: batches published to a stream that is inspected from time to time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::connections::{Connections, SHORTEST_ATTEMPT};
use super::diagnostics;
use super::error::{APPEND, HEALTH, NAME, OPEN, config, error, transient};
use super::inspection::{Inspection, Inspector};
use super::loss_detection::{Change, History};
use super::message::{BatchMessage, MIN_MESSAGE_BYTES};
use super::publish::{probe, publish};
use super::url_settings::{SyncEvidence, UrlSettings};
use crate::backoff::Backoff;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::random::random;
use crate::store::{
    AuditStore, Capabilities, Diagnostic, Durability, OpenOptions, StoreError, StoreErrorKind, StoreFuture,
};
use crate::throttle::Throttle;

/// Events in a JetStream cluster; see the documentation of the module.
///
pub struct NatsStore {
    shared: Arc<Shared>,
}

/// The store, as its inspections in the background have it.
struct Shared {
    settings: UrlSettings,
    options: OpenOptions,
    inspector: Inspector,
    connections: Connections,
    history: History,
    verdict: Mutex<Verdict>,
    /// Held by the one inspection that runs.
    inspecting: tokio::sync::Mutex<()>,
    is_closed: AtomicBool,
    /// Messages that were published more than once.
    retries: AtomicU64,
    lines: Throttle,
}

/// The newest inspection that had a result.
struct Verdict {
    at: Instant,
    weakness: Option<String>,
}

impl NatsStore {
    /// Connects to a server, creates the stream if it is missing, and inspects it.
    ///
    /// # Errors
    /// If the URL is malformed, no server is reached, the stream is none for events, or an acknowledged event may be lost.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is open; the stream may have been created.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let settings = super::url::parse(url)?;
        let partition = settings.partition.unwrap_or_else(|| (random() % u64::from(settings.partitions)) as u32);
        let shared = Shared {
            inspector: Inspector::new(&settings, partition),
            settings,
            options,
            connections: Connections::new(),
            history: History::default(),
            verdict: Mutex::new(Verdict { at: Instant::now(), weakness: None }),
            inspecting: tokio::sync::Mutex::default(),
            is_closed: AtomicBool::new(false),
            retries: AtomicU64::new(0),
            lines: Throttle::default(),
        };
        let inspection = shared.open().await?;
        shared.note(&inspection, 0);
        if matches!(shared.settings.sync, SyncEvidence::Declared) {
            log_line(|| tracing::warn!("each server of the stream is declared to sync each write; none was asked"));
        }
        if options.durability == Durability::Warn && !inspection.weak.is_empty() {
            let weakness = inspection.weak.join("; ");
            log_line(move || {
                tracing::warn!(weakness, "the audit log is not durable as its stream and servers are set up")
            });
        }
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// Tries until the deadline: a cluster that has just started has no leader yet.
    async fn open(&self) -> Result<Inspection, StoreError> {
        let deadline = Instant::now() + self.options.timeout;
        let mut pauses = pauses();
        loop {
            let failure = match self.open_once(deadline).await {
                Ok(inspection) => return Ok(inspection),
                Err(failure) => failure,
            };
            let again_at = Instant::now() + pauses.next_pause();
            if !failure.is_transient() || again_at + SHORTEST_ATTEMPT >= deadline {
                return Err(failure);
            }
            tokio::time::sleep_until(again_at).await;
        }
    }

    async fn open_once(&self, deadline: Instant) -> Result<Inspection, StoreError> {
        let connection = self.connections.get(&self.settings, OPEN, deadline).await?;
        if connection.max_payload() < MIN_MESSAGE_BYTES {
            return Err(config(format!(
                "the servers' `max_payload` is {} bytes: an event may need {MIN_MESSAGE_BYTES}",
                connection.max_payload()
            )));
        }
        let create = self.options.create_if_missing;
        self.inspector.create(&self.settings, &connection, create, deadline).await?;
        let inspection = self.inspector.inspect(&self.settings, &connection, OPEN, deadline).await?;
        if self.options.durability == Durability::Required {
            inspection.check_durable(OPEN)?;
        }
        Ok(inspection)
    }

    async fn connection(&self, operation: &'static str, deadline: Instant) -> Result<Arc<Connection>, StoreError> {
        self.connections.get(&self.settings, operation, deadline).await
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(error(StoreErrorKind::Permanent, operation, "the store is closed"));
        }
        Ok(())
    }

    /// Inspects the stream and its servers, and keeps the result.
    async fn inspect(&self, operation: &'static str, deadline: Instant) -> Result<Inspection, StoreError> {
        let connection = self.connection(operation, deadline).await?;
        let newest = self.history.newest();
        let inspected = self.inspector.inspect(&self.settings, &connection, operation, deadline);
        let inspection = timeout_at(deadline, inspected)
            .await
            .map_err(|_| transient(operation, "the stream and its servers could not be inspected in time"))??;
        self.note(&inspection, newest);
        self.check_kept(operation)?;
        Ok(inspection)
    }

    /// Returns an error if the stream has lost acknowledged messages.
    fn check_kept(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.history.is_lost() {
            return Err(error(StoreErrorKind::Corrupt, operation, LOST));
        }
        Ok(())
    }

    fn note(&self, inspection: &Inspection, newest: u64) {
        match self.history.compare(&inspection.info, newest) {
            Change::None => {}
            Change::Replaced => log_line(|| tracing::error!("the stream of the audit log was deleted and made again")),
            Change::Lost => {
                log_line(|| tracing::error!("the stream of the audit log has lost messages that it has acknowledged"))
            }
        }
        let weakness = (!inspection.weak.is_empty()).then(|| inspection.weak.join("; "));
        *self.verdict() = Verdict { at: Instant::now(), weakness };
        if !inspection.absent.is_empty()
            && let Some(unsaid) = self.lines.pass()
        {
            let absent = inspection.absent.join(", ");
            log_line(move || tracing::warn!(absent, unsaid, "servers of the stream of the audit log are down"));
        }
    }

    /// Makes sure that the last inspection was good and is recent enough.
    async fn check_durable(self: &Arc<Self>, deadline: Instant) -> Result<(), StoreError> {
        if self.options.durability != Durability::Required {
            return Ok(());
        }
        let (age, is_weak) = {
            let verdict = self.verdict();
            (verdict.at.elapsed(), verdict.weakness.is_some())
        };
        if !is_weak && age < FRESH {
            return Ok(());
        }
        if !is_weak && age < VALID {
            self.inspect_in_background();
            return Ok(());
        }
        // One inspection for all who wait.
        let _inspecting = timeout_at(deadline, self.inspecting.lock())
            .await
            .map_err(|_| transient(APPEND, "the stream and its servers could not be inspected in time"))?;
        let is_recent = self.verdict().at.elapsed() < RECHECK_PAUSE;
        if !is_recent {
            self.inspect(APPEND, deadline).await?;
        }
        match &self.verdict().weakness {
            None => Ok(()),
            Some(weakness) => Err(error(StoreErrorKind::NotDurable, APPEND, weakness.clone())),
        }
    }

    fn inspect_in_background(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_inspecting) = shared.inspecting.try_lock() else { return };
            let deadline = Instant::now() + shared.options.timeout;
            if let Err(error) = shared.inspect(HEALTH, deadline).await
                && let Some(unsaid) = shared.lines.pass()
            {
                log_line(move || {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        unsaid,
                        "the stream of the audit log could not be inspected"
                    );
                });
            }
        });
    }

    /// Publishes a message again and again until it is acknowledged, or the deadline has come.
    async fn deliver(&self, message: &BatchMessage, deadline: Instant) -> Result<(), StoreError> {
        let (subject, stream) = (&self.inspector.subject, &self.inspector.stream);
        let mut pauses = pauses();
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = async {
                let connection = self.connection(APPEND, deadline).await?;
                let before = self.history.newest();
                let left = deadline.saturating_duration_since(Instant::now());
                let ack = publish(&connection, subject, stream, message, wait.min(left)).await?;
                Ok::<_, StoreError>(self.history.acknowledged(ack.seq, ack.duplicate, before))
            };
            let failure = match attempt.await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    self.require_inspection();
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let again_at = Instant::now() + pauses.next_pause();
            if !failure.is_transient() || again_at >= deadline {
                return Err(failure);
            }
            // A server may have been restarted, with other settings.
            self.expire_verdict();
            self.retries.fetch_add(1, Ordering::Relaxed);
            wait = (wait * 2).min(LONGEST_WAIT);
            tokio::time::sleep_until(again_at).await;
        }
    }

    /// Has the stream inspected before the next append.
    fn require_inspection(&self) {
        let mut verdict = self.verdict();
        verdict.at = Instant::now().checked_sub(VALID).unwrap_or(verdict.at);
    }

    /// Has the stream inspected soon.
    fn expire_verdict(&self) {
        let mut verdict = self.verdict();
        if let Some(older) = Instant::now().checked_sub(FRESH) {
            verdict.at = verdict.at.min(older);
        }
    }

    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        // No code panics under this lock half way through a change.
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without servers and logins, which are in the URL.
impl fmt::Debug for NatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStore")
            .field("stream", &self.shared.inspector.stream)
            .field("retries", &self.shared.retries.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl AuditStore for NatsStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME)
            .with_durable(self.shared.options.durability == Durability::Required)
            .with_max_parallel_appends(PARALLEL_APPENDS)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.shared.check_open(APPEND)?;
            self.shared.check_kept(APPEND)?;
            if events.is_empty() {
                return Ok(());
            }
            let deadline = Instant::now() + self.shared.options.timeout;
            self.shared.check_durable(deadline).await?;
            let limit = self.shared.connection(APPEND, deadline).await?.max_payload();
            for message in BatchMessage::of_batch(events, limit)? {
                self.shared.deliver(&message, deadline).await?;
            }
            Ok(())
        })
    }

    /// Inspects the stream and its servers, and publishes a message that the stream's leader refuses.
    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let shared = &self.shared;
            shared.check_open(HEALTH)?;
            let deadline = Instant::now() + shared.options.timeout;
            let inspection = shared.inspect(HEALTH, deadline).await?;
            inspection.check_durable(HEALTH)?;
            inspection.check_room(HEALTH)?;
            let connection = shared.connection(HEALTH, deadline).await?;
            probe(&connection, &shared.inspector.subject, &shared.inspector.stream, deadline).await
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(async move {
            let shared = &self.shared;
            let deadline = Instant::now() + shared.options.timeout;
            let inspection = shared.inspect("diagnosis", deadline).await?;
            let connection = shared.connection("diagnosis", deadline).await?;
            let mut found = diagnostics::diagnose(&shared.settings, &inspection, &connection.server_version());
            if shared.history.replaced() > 0 {
                found.push(Diagnostic::error(
                    "stream",
                    REPLACED,
                    "look for who deleted the stream, and for a copy of its events",
                ));
            }
            Ok(found)
        })
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.shared.is_closed.store(true, Ordering::Release);
            let deadline = Instant::now() + self.shared.options.timeout;
            match timeout_at(deadline, self.shared.connections.close()).await {
                Ok(true) => Ok(()),
                _ => Err(transient("close", "the server takes nothing; each acknowledged event is stored")),
            }
        })
    }
}

fn pauses() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_millis(500))
}

const REPLACED: &str = "the stream was deleted and made again while it was open: the events in it that were not moved to another store are gone";
const LOST: &str = "the stream has lost messages that it has acknowledged: no event is accepted until the log is opened again. Look at the \
                    servers and their disks, and for a server that was put back to an earlier state";
/// The wait for the first acknowledgement. An acknowledgement takes milliseconds; a leader that is dead sends none.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The age of an inspection from which another is begun, beside the appends.
const FRESH: Duration = Duration::from_secs(15);
/// The age of an inspection from which an append waits for another.
const VALID: Duration = Duration::from_secs(60);
/// The pause between inspections while appends are refused.
const RECHECK_PAUSE: Duration = Duration::from_secs(1);
/// The stream's leader takes messages one after the other; more batches in flight fill the time between them.
const PARALLEL_APPENDS: usize = 4;
