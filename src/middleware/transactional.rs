//! The event of a request, written in a transaction of its handler's.
//!
//! The event gets its id before it is written, and keeps it, so that there is one event of that id in any case. When the
//! handler has ended, the layer looks it up in the store. If it is missing, the layer writes it, with the outcome of the
//! request. A store that has the id already stores no second event.

use http::StatusCode;
use tokio::time::Instant;

use super::lifecycle::RequestLifecycle;
use super::record_decision::{add_query_counts, decide};
use crate::capture::{AuditContext, LayerState, TransactionalEvent};
use crate::event::{BoundedEvent, ErrorCode, EventId};
use crate::log_lines::log_line;
use crate::policy::{MatchingRules, RequestOutcome};
use crate::store::{AppTransaction, TransactionId, TransactionStatus};
use crate::writer::{RecordError, RecordErrorKind};

impl AuditContext {
    /// Writes the event of the request in a transaction of the handler's own, so that the effect and its record are
    /// committed together, or neither is. The layer then writes none: one commit instead of two.
    ///
    /// The event has the facts of the context so far, and as its outcome the status that the handler
    /// [expects](Self::expect_status), 200 by default. When the handler has ended, the layer looks the event up:
    ///
    /// - **committed**: the response leaves. If its status is not the expected one, the event stays as it is, for that was
    ///   committed; the operator's log says so, and [`Stats::status_mismatches`](crate::Stats) counts it.
    /// - **rolled back**, by an error, a panic, a dropped or lost connection: the layer records the request as usual, with
    ///   its outcome, under the same id.
    /// - **in progress**: the layer waits for its end within the write timeout. Then the client gets 500 (possibly done),
    ///   and the log watches the transaction until it ends: if it is rolled back, the log writes the event, with the
    ///   handler's status. So end the transaction before the handler
    ///   returns, and do not wait for its end with the pool: a dropped transaction of a connection that is in
    ///   no pool is rolled back only when the connection is used again.
    ///
    /// After a rollback, it may be called again in the next transaction. It takes `&mut tx` and `&mut *tx`. The databases are
    /// those of [`AuditLog::record_in`](crate::AuditLog::record_in). Without a layer, or with a log that is off, it writes
    /// nothing and returns an id.
    ///
    /// ```
    /// # #[cfg(all(feature = "axum", feature = "sqlite"))] {
    /// use axum::extract::{Path, State};
    /// use axum::http::StatusCode;
    /// use sqlx::SqlitePool;
    /// use tower_audit::AuditContext;
    ///
    /// async fn delete_user(
    ///     State(pool): State<SqlitePool>,
    ///     audit: AuditContext,
    ///     Path(email): Path<String>,
    /// ) -> Result<StatusCode, StatusCode> {
    ///     audit.expect_status(StatusCode::NO_CONTENT).detail("target_email", email.as_str());
    ///     remove(&pool, &audit, &email).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    ///     Ok(StatusCode::NO_CONTENT)
    /// }
    ///
    /// async fn remove(pool: &SqlitePool, audit: &AuditContext, email: &str) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut tx = pool.begin().await?;
    ///     sqlx::query("DELETE FROM users WHERE email = ?").bind(email).execute(&mut *tx).await?;
    ///     audit.record_in(&mut tx).await?;
    ///     Ok(tx.commit().await?)
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`AuditLog::record_in`](crate::AuditLog::record_in); [`AlreadyRecorded`](RecordErrorKind::AlreadyRecorded) if the
    /// request has its event already; [`NoMatchingRule`](RecordErrorKind::NoMatchingRule) if no rule and no declared type
    /// records it.
    ///
    /// # Cancel safety
    /// If it is dropped early, the event may be in the transaction or not. The layer looks it up.
    pub async fn record_in<T: AppTransaction>(&self, transaction: &mut T) -> Result<EventId, RecordError> {
        let Some(layer) = self.layer() else { return Ok(EventId::new()) };
        let log = &layer.log;
        let number = log.prepare_in(transaction).await?;
        let earlier = self.written();
        if let Some(TransactionalEvent { event_id, transaction: earlier, .. }) = earlier
            && earlier != number
            && log.transaction_status(event_id, earlier, Instant::now() + log.write_timeout()).await?
                == TransactionStatus::Committed
        {
            return Err(RecordError::new(RecordErrorKind::AlreadyRecorded));
        }
        // From here on the layer looks for the event, even if this future is dropped.
        let event = self.expected_event(&layer, number)?;
        if log.insert_in(transaction, &event, earlier.is_none()).await? {
            return Ok(event.event_id);
        }
        Err(RecordError::new(RecordErrorKind::AlreadyRecorded))
    }

    /// The event of the request that was last written in a transaction.
    fn written(&self) -> Option<TransactionalEvent> {
        let attempts = self.lock();
        attempts[attempts.named(self.attempt())].written
    }

    /// The event to be committed with the transaction.
    fn expected_event(&self, layer: &LayerState, transaction: TransactionId) -> Result<BoundedEvent, RecordError> {
        let mut attempts = self.lock();
        let attempt = attempts.named(self.attempt());
        if !attempts.is_open(attempt) {
            return Err(RecordError::new(RecordErrorKind::AlreadyRecorded));
        }
        let own_rules = attempts[attempt].rules();
        let (policy, matching_rules) = match &own_rules {
            Some((policy, matching_rules)) => (policy, *matching_rules),
            None => (&layer.policy, MatchingRules::NONE),
        };
        let outcome = attempts.expected_status(attempt).unwrap_or(StatusCode::OK);
        let declared = attempts.declared(attempt);
        let result_count = attempts.result_count(attempt);
        let ended =
            RequestOutcome { status: Some(outcome), abnormal: false, result_count, declared_type: declared.as_ref() };
        let decided = decide(policy, matching_rules, &ended, attempts[attempt].started.as_ref());
        let decided = decided.filter(|_| attempts[attempt].head.is_some());
        let decided = decided.ok_or_else(|| RecordError::new(RecordErrorKind::NoMatchingRule))?;
        let mut event = attempts.draft(attempt, attempt, decided.event_type.clone(), decided.rule);
        event.outcome = Some(outcome.as_u16());
        if event.classification.error.is_none() {
            event.classification.error = ErrorCode::from_status(outcome);
        }
        // Copied: if the transaction is rolled back, the layer's event has them too.
        event.details = attempts.details(attempt);
        attempts.redact_details(attempt, &mut event.details);
        add_query_counts(&mut event, result_count, policy.max_results());
        attempts[attempt].written = Some(TransactionalEvent {
            event_id: event.event_id,
            created_at: event.created_at,
            transaction,
            outcome,
            fail_mode: decided.fail_mode,
        });
        drop(attempts);
        Ok(BoundedEvent::new(event))
    }
}

impl RequestLifecycle {
    /// Returns true if the handler's transaction with the event is committed. `answered`: the handler's status. An error: the
    /// store cannot tell, and the writer has logged the cause.
    pub(super) async fn is_committed(
        &mut self,
        written: TransactionalEvent,
        answered: Option<StatusCode>,
    ) -> Result<bool, ()> {
        let log = &self.shared.log;
        let wait = self.claim.begin_wait();
        let fate = log.transaction_status(written.event_id, written.transaction, wait.deadline()).await;
        drop(wait);
        if fate.map_err(drop)? != TransactionStatus::Committed {
            return Ok(false);
        }
        log.deliver_committed(written.event_id);
        if answered.is_some_and(|status| status != written.outcome) {
            log.count_status_mismatch();
            log_line(move || {
                tracing::warn!(
                    event_id = %written.event_id,
                    recorded = written.outcome.as_u16(),
                    answered = answered.map(|status| status.as_u16()),
                    "the recorded outcome differs from the response's status"
                );
            });
        }
        Ok(true)
    }
}
