//! Events in transactions of the app.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::time::Duration;

use tokio::time::Instant;

use super::audit_log::{AuditLog, LogInner};
use super::catch_panic::catch_store_panic;
use super::deadline::with_deadline;
use super::error::{RecordError, RecordErrorKind};
use super::stats::add;
use super::subscription::Delivery;
use crate::backoff::Backoff;
use crate::event::{AuditEvent, BoundedEvent, EventId, Phase};
use crate::log_lines::log_line;
use crate::store::{
    AppTransaction, StoreError, StoreErrorKind, StoreFuture, TransactionId, TransactionStatus, Transactional, chain,
};

impl AuditLog {
    /// Records an event that is no request in a transaction of the app's own: it is kept if and only if the transaction
    /// is committed. For the event of a request, see [`AuditContext::record_in`](crate::AuditContext::record_in).
    ///
    /// The transaction is one of the database that holds the log: a PostgreSQL log opened with
    /// [`PostgresStore::from_pool`] or the URL of that database, an SQLite log in the app's own file
    /// ([`SqliteStore::from_pool`]). Both `&mut tx` and `&mut *tx` will do. What exceeds the limits of an event is cut.
    /// An event that is kept already is not kept again, which is no error. A log that is off records nothing and says
    /// Ok.
    ///
    /// [`PostgresStore::from_pool`]: crate::store::postgres::PostgresStore::from_pool
    /// [`SqliteStore::from_pool`]: crate::store::sqlite::SqliteStore::from_pool
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// # use std::sync::Arc;
    /// # use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
    /// # use tower_audit::store::{OpenOptions, sqlite::SqliteStore};
    /// use tower_audit::{AuditEvent, AuditLog, EventType};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let options = SqliteConnectOptions::new().filename(folder.path().join("app.db")).create_if_missing(true);
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let pool = SqlitePool::connect_with(options).await?;
    /// # sqlx::query("CREATE TABLE accounts (name TEXT, balance INTEGER)").execute(&pool).await?;
    /// # let store = SqliteStore::from_pool(&pool, OpenOptions::default()).await?;
    /// # let log = AuditLog::builder().store(store).open().await?;
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("UPDATE accounts SET balance = 0").execute(&mut *tx).await?;
    /// log.record_in(&mut tx, AuditEvent::new(EventType::new("accounts.reset")?)).await?;
    /// tx.commit().await?;
    /// # log.close().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the transaction is one of another database, is read-only, its role may not append, or its commit would not be
    /// durable, with nothing written; if the statement failed or took longer than the write timeout: then the
    /// transaction is to be rolled back. `started` and `unknown` events are the log's own to write.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the event may be in the transaction or not.
    pub async fn record_in<T: AppTransaction>(
        &self,
        transaction: &mut T,
        event: AuditEvent,
    ) -> Result<EventId, RecordError> {
        let id = event.event_id;
        if self.is_disabled() {
            return Ok(id);
        }
        if event.phase != Phase::Completed {
            let cause = unsupported().with_hint("only a completed event can be in a transaction");
            return Err(RecordError::store(Arc::new(cause)));
        }
        let event = BoundedEvent::new(Box::new(event));
        self.prepare_in(transaction).await?;
        self.insert_in(transaction, &event, false).await?;
        Ok(id)
    }

    /// Checks that an event can be inserted in the transaction. Must not be called if the log is off.
    pub(crate) async fn prepare_in<T: AppTransaction>(
        &self,
        transaction: &mut T,
    ) -> Result<TransactionId, RecordError> {
        let (inner, store) = self.transactional()?;
        inner.within_timeout(store.prepare(transaction.connection())).await
    }

    /// Inserts an event in the transaction. Returns false if the store has it already.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql", feature = "sqlite")),
        expect(unused_variables, reason = "nobody can have a transaction")
    )]
    pub(crate) async fn insert_in<T: AppTransaction>(
        &self,
        transaction: &mut T,
        event: &BoundedEvent,
        is_new: bool,
    ) -> Result<bool, RecordError> {
        let (inner, store) = self.transactional()?;
        let kept = inner.within_timeout(store.insert(transaction.connection(), event, is_new)).await?;
        add(&inner.counters.transactional, 1);
        if inner.counters.transactional.get() % MAINTENANCE_EVERY == 0 {
            self.request_maintenance(inner);
        }
        Ok(kept)
    }

    /// Returns the status of an event in a transaction: waits until the transaction ends, or the deadline has passed.
    pub(crate) async fn transaction_status(
        &self,
        event: EventId,
        transaction: TransactionId,
        deadline: Instant,
    ) -> Result<TransactionStatus, RecordError> {
        let (inner, store) = self.transactional()?;
        let ended = async {
            let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
            loop {
                match store.status(event, transaction).await {
                    Ok(TransactionStatus::InProgress) => {}
                    Ok(fate) => return Ok(fate),
                    Err(cause) if cause.is_transient() => {
                        let error = chain(&cause).to_string();
                        log_line(move || tracing::warn!(error, "audit event not found, trying again"));
                    }
                    Err(cause) => return Err(RecordError::store(Arc::new(cause))),
                }
                inner.within(backoff.next_pause(), pending::<()>()).await;
            }
        };
        let ended = with_deadline(&inner.runtime, deadline, ended).await;
        let ended = ended.unwrap_or_else(|| Err(RecordError::new(RecordErrorKind::Timeout)));
        if let Err(error) = &ended {
            let error = chain(error).to_string();
            log_line(move || {
                tracing::error!(
                    error,
                    event_id = %event,
                    "what became of the transaction with this audit event is not known"
                );
            });
        }
        ended
    }

    /// Delivers an event that a transaction of the app has committed to the subscribers.
    pub(crate) fn deliver_committed(&self, id: EventId) {
        if let Some(inner) = self.inner() {
            inner.deliver_committed(id);
        }
    }

    /// Counts a response whose status differs from its event.
    pub(crate) fn count_status_mismatch(&self) {
        if let Some(inner) = self.inner() {
            add(&inner.counters.status_mismatches, 1);
        }
    }

    fn transactional(&self) -> Result<(&Arc<LogInner>, &dyn Transactional), RecordError> {
        let inner = self.inner().ok_or_else(|| RecordError::new(RecordErrorKind::Closed))?;
        inner.queue.check_open()?;
        match inner.store.parts().transactional {
            Some(store) => Ok((inner, store)),
            None => Err(RecordError::store(Arc::new(
                unsupported().with_hint(
                    "the log's store is no database that an app's transaction could be of; neither is a spool or a tee in front of one",
                ),
            ))),
        }
    }

    /// Lets the store do maintenance, one at a time. The worker does so after its own appends only.
    fn request_maintenance(&self, inner: &Arc<LogInner>) {
        if inner.is_maintaining.swap(true, AcqRel) {
            return;
        }
        let is_maintaining = OneAtATime(Arc::clone(&inner.is_maintaining));
        let store = Arc::clone(&inner.store);
        let damage = Arc::clone(&inner.damage);
        inner.runtime.spawn(async move {
            let _is_maintaining = is_maintaining;
            while damage.record(catch_store_panic(|| store.maintain()).await) {}
        });
    }
}

impl LogInner {
    /// Delivers an event that a transaction of the app has committed to the subscribers: as the store has it, for it may differ
    /// from the one that the log would have written.
    pub(super) fn deliver_committed(&self, id: EventId) {
        if !self.subscribers.is_any() {
            return;
        }
        let (subscribers, store, timeout) =
            (Arc::clone(&self.subscribers), Arc::clone(&self.store), self.write_timeout);
        self.runtime.spawn(async move {
            let read = catch_store_panic(|| match store.parts().reader {
                Some(reader) => reader.get(id),
                None => Box::pin(std::future::ready(Ok(None))),
            });
            subscribers.send(match tokio::time::timeout(timeout, read).await {
                Ok(Ok(Some(event))) => Delivery::Event(Arc::new(event)),
                Ok(Ok(None) | Err(_)) | Err(_) => Delivery::Missed(1),
            });
        });
    }

    /// Waits for the store within the write timeout.
    async fn within_timeout<T>(&self, work: StoreFuture<'_, T>) -> Result<T, RecordError> {
        match self.within(self.write_timeout, work).await {
            Some(Ok(done)) => Ok(done),
            Some(Err(cause)) => Err(RecordError::store(Arc::new(cause))),
            None => Err(RecordError::new(RecordErrorKind::Timeout)),
        }
    }
}

/// Marks the end of the maintenance when it is dropped.
struct OneAtATime(Arc<AtomicBool>);

impl Drop for OneAtATime {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

fn unsupported() -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "audit", "recording in a transaction")
}

/// The first pause between two checks of a transaction; each further one is twice as long, up to the longest.
/// The bounds of the pauses before the status of an open transaction is queried again: of the first, and of every pause.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The number of events between two rounds of maintenance.
const MAINTENANCE_EVERY: u64 = 64;
