//! Transactions that outlive the write timeout of their request.
//!
//! The client has its answer, and the log still owes the event. Between two checks no lock and no connection is held.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::audit_log::{AuditLog, LogInner};
use super::catch_panic::catch_store_panic;
use super::error::RecordError;
use super::stats::add;
use super::waiter::IfRefused;
use crate::backoff::Backoff;
use crate::event::{AuditEvent, BoundedEvent};
use crate::log_lines::log_line;
use crate::store::{StoreError, TransactionId, TransactionStatus, chain};

impl AuditLog {
    /// Writes the event of a request whose handler had written it in this transaction. On failure, waits until the
    /// transaction ends, then appends the event if it was rolled back.
    pub(crate) async fn write_or_await_transaction(
        &self,
        event: BoundedEvent,
        deadline: Instant,
        transaction: TransactionId,
    ) -> Result<(), RecordError> {
        let owed = event.clone();
        let written = self.write(event, deadline, IfRefused::Leave).await;
        if written.is_err() {
            self.await_transaction(owed, transaction);
        }
        written
    }

    /// Waits on the log's runtime until the transaction ends, and appends the event if it was rolled back. `close` waits for
    /// it within its timeout.
    ///
    /// An open transaction holds a connection of the app's pool, whose size bounds their number; the log waits for at most [`MAX_PENDING_TRANSACTIONS`](super::limits::MAX_PENDING_TRANSACTIONS).
    pub(crate) fn await_transaction(&self, event: BoundedEvent, transaction: TransactionId) {
        let Some(inner) = self.inner() else { return };
        let Ok(permit) = Arc::clone(&inner.pending_transactions).try_acquire_owned() else {
            log_line(move || {
                tracing::error!(event_id = %event.event_id, "too many transactions are not over: this one is not watched");
            });
            return;
        };
        let under_way = inner.in_flight_requests.enter();
        let log = Arc::clone(inner);
        inner.runtime.spawn(async move {
            log.watch(event, transaction).await;
            drop((under_way, permit));
        });
    }
}

impl LogInner {
    async fn watch(&self, event: BoundedEvent, transaction: TransactionId) {
        let event_id = event.event_id;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            tokio::time::sleep(backoff.next_pause()).await;
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
                        tracing::warn!(%event_id, ?fate, "a transaction ended after the write timeout of its request");
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

    /// Appends the event if its transaction was rolled back: alone, because the append may wait for the transaction.
    async fn append_if_absent(
        &self,
        event: &AuditEvent,
        transaction: TransactionId,
    ) -> Result<TransactionStatus, StoreError> {
        let Some(store) = self.store.parts().transactional else { return Ok(TransactionStatus::InProgress) };
        let fate = catch_store_panic(|| store.status(event.event_id, transaction)).await?;
        match fate {
            TransactionStatus::Absent => {
                catch_store_panic(|| self.store.append(std::slice::from_ref(event))).await?;
                add(&self.counters.written, 1);
                add(&self.counters.batches, 1);
                self.counters.metrics.count_batch(std::slice::from_ref(event));
                self.deliver_committed(event.event_id);
            }
            TransactionStatus::Committed => self.deliver_committed(event.event_id),
            TransactionStatus::InProgress => {}
        }
        Ok(fate)
    }
}

/// The first pause between two checks; each further one is twice as long, up to the longest.
/// The bounds of the pauses between two queries: of the first, and of every pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
