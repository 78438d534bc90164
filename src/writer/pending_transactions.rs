//! Watching a transaction that was not over at the write deadline of its request.
//!
//! The client has its answer; the event of the request is still owed. Whoever watches holds no lock and no connection
//! between two looks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::audit_log::{AuditLog, LogInner};
use super::catch_panic::catch_store_panic;
use super::error::RecordError;
use super::log_lines::log_line;
use super::queue::IfRefused;
use super::stats::add;
use crate::event::AuditEvent;
use crate::store::{StoreError, TransactionId, TransactionStatus, chain};

impl AuditLog {
    /// Writes the event of a request. If that fails, and the handler had written it in this transaction, watches: the
    /// write may have failed because the transaction is not over.
    pub(crate) async fn write_or_await_transaction(
        &self,
        event: Box<AuditEvent>,
        deadline: Instant,
        transaction: Option<TransactionId>,
    ) -> Result<(), RecordError> {
        let owed = transaction.map(|transaction| (event.clone(), transaction));
        let written = self.write(event, deadline, IfRefused::Leave).await;
        if written.is_err()
            && let Some((event, transaction)) = owed
        {
            self.await_transaction(event, transaction);
        }
        written
    }

    /// Sees to it that the event is kept once the transaction is over, by the transaction or by the log, on the log's
    /// runtime. The log's closing waits for it, and ends it when its time is over.
    ///
    /// A transaction that is not over holds a connection of the app's pool, which so bounds how many are watched; there
    /// are [`MAX_PENDING_TRANSACTIONS`](super::limits::MAX_PENDING_TRANSACTIONS) at the most.
    pub(crate) fn await_transaction(&self, event: Box<AuditEvent>, transaction: TransactionId) {
        let Some(inner) = self.inner() else { return };
        let Ok(permit) = Arc::clone(&inner.pending_transactions).try_acquire_owned() else {
            log_line(move || {
                tracing::error!(event_id = %event.event_id, "too many transactions are not over: this one is not watched");
            });
            return;
        };
        let under_way = inner.in_flight_requests.enter();
        let watching = Arc::clone(inner);
        inner.runtime.spawn(async move {
            watching.watch(*event, transaction).await;
            drop((under_way, permit));
        });
    }
}

impl LogInner {
    async fn watch(&self, event: AuditEvent, transaction: TransactionId) {
        let event_id = event.event_id;
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            if self.queue.is_closed() {
                log_line(move || {
                    tracing::error!(%event_id, "the audit log is closed, and the transaction with this event is not over");
                });
                return;
            }
            match self.append_if_absent(&event, transaction).await {
                Ok(TransactionStatus::InProgress) => {}
                Ok(fate) => {
                    log_line(move || {
                        tracing::warn!(%event_id, ?fate, "a transaction ended after the write deadline of its request");
                    });
                    return;
                }
                Err(cause) if cause.is_transient() => {
                    let error = chain(&cause).to_string();
                    log_line(move || {
                        tracing::debug!(
                            error,
                            %event_id,
                            "what became of the transaction with this event is not known yet"
                        );
                    });
                }
                Err(cause) => {
                    let error = chain(&cause).to_string();
                    log_line(move || {
                        tracing::error!(
                            error,
                            %event_id,
                            "the event of a transaction that was watched is not written"
                        );
                    });
                    return;
                }
            }
        }
    }

    /// The append stands by itself: if it has to wait for the transaction after all, nobody else waits with it.
    async fn append_if_absent(
        &self,
        event: &AuditEvent,
        transaction: TransactionId,
    ) -> Result<TransactionStatus, StoreError> {
        let Some(store) = self.store.parts().transactional else { return Ok(TransactionStatus::InProgress) };
        let fate = catch_store_panic(|| store.status(event.event_id, transaction)).await?;
        if fate == TransactionStatus::Absent {
            catch_store_panic(|| self.store.append(std::slice::from_ref(event))).await?;
            add(&self.counters.written, 1);
            add(&self.counters.batches, 1);
        }
        Ok(fate)
    }
}

/// The first pause between two looks; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
