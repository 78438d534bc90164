//! Writing an event for a caller that waits.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::audit_log::{AuditLog, LogInner};
use super::deadline::with_deadline;
use super::error::{RecordError, RecordErrorKind};
use super::limits::GRACE;
use super::owed_events::HeldEvent;
use super::queue::{Entry, PushOutcome};
use super::stats::add;
use super::waiter::{Answer, IfRefused};
use crate::event::{BoundedEvent, EventId};

/// The outcome of a write without an error.
enum Written {
    Durable,
    /// The deadline has passed, and the log writes the event, or has named it as lost: no client waits for it.
    LeftToLog,
}

impl AuditLog {
    /// Writes an event.
    ///
    /// An error says that the event is not known to be durable. The store may take it later: `if_refused` is the duty of
    /// the log then.
    pub(crate) async fn write(
        &self,
        event: BoundedEvent,
        deadline: Instant,
        if_refused: IfRefused,
    ) -> Result<(), RecordError> {
        self.write_entry(Entry { event, deadline, if_refused }, || false).await
    }

    /// Writes the end of a request. `has_left`: the client waits for no answer any more. The log then owes the event, and
    /// tries until the store answers; the error says that it is not durable yet.
    ///
    /// It is asked once the deadline has passed, and the event has an owner at every moment: the client may leave after the
    /// writer has refused the event, and before this future is polled.
    pub(crate) async fn write_end(
        &self,
        event: BoundedEvent,
        deadline: Instant,
        has_left: impl Fn() -> bool,
    ) -> Result<(), RecordError> {
        self.write_entry(Entry { event, deadline, if_refused: IfRefused::Hold }, has_left).await
    }

    async fn write_entry(&self, entry: Entry, has_left: impl Fn() -> bool) -> Result<(), RecordError> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let id = entry.event.event_id;
        let timer = inner.counters.metrics.timer();
        let written = inner.write(entry, has_left).await;
        inner.counters.metrics.end_write(timer, matches!(written, Ok(Written::Durable)));
        match written {
            Ok(Written::Durable) => Ok(()),
            Ok(Written::LeftToLog) => Err(RecordError::new(RecordErrorKind::Timeout)),
            Err(error) => {
                inner.failure_log.note(id, &error);
                Err(error)
            }
        }
    }

    /// Queues an event that no caller waits for.
    pub(crate) fn write_later(&self, event: BoundedEvent) {
        let event_id = event.event_id;
        if let Some(inner) = self.inner()
            && inner.queue.owe(event, None).is_err()
        {
            let is_closed = inner.queue.is_closed();
            let kind = if is_closed { RecordErrorKind::Closed } else { RecordErrorKind::QueueFull };
            add(&inner.counters.rejected, 1);
            inner.failure_log.note(event_id, &RecordError::new(kind));
        }
    }

    /// Counts and logs a request that is rejected because no time is left for the event at its end.
    pub(crate) fn refuse_late(&self, event_id: EventId) {
        if let Some(inner) = self.inner() {
            add(&inner.counters.rejected, 1);
            inner.failure_log.note(event_id, &RecordError::new(RecordErrorKind::Timeout));
        }
    }
}

impl LogInner {
    async fn write(self: &Arc<Self>, entry: Entry, has_left: impl Fn() -> bool) -> Result<Written, RecordError> {
        let (id, deadline) = (entry.event.event_id, entry.deadline);
        let pushed = match self.queue.push(entry) {
            Ok(PushOutcome::Queued(answer)) => Ok(answer),
            // Boxed, because it is rare and every request would carry the room for it.
            Ok(PushOutcome::Full(entry)) => match Box::pin(self.push_when_room(entry, &has_left)).await {
                Some(pushed) => pushed,
                None => return Ok(Written::LeftToLog),
            },
            Err(error) => Err(error),
        };
        let mut answer = pushed.inspect_err(|_| add(&self.counters.rejected, 1))?;
        // The worker answers by the deadline. This limit is for when it cannot: it hangs, or is not driven.
        let mut heard = with_deadline(&self.runtime, deadline + GRACE, &mut answer).await;
        if heard.is_none() {
            if has_left() {
                // The worker answers when it can, or ends: nothing but this future waits for it.
                heard = Some((&mut answer).await);
            } else {
                answer.close();
                heard = answer.try_recv().ok().map(Ok);
            }
        }
        match heard {
            Some(Ok(Answer::Durable)) => Ok(Written::Durable),
            Some(Ok(Answer::Refused(error))) => Err(error),
            Some(Ok(Answer::Held)) => match self.queue.hear(id, has_left()) {
                HeldEvent::Durable => Ok(Written::Durable),
                HeldEvent::Owed | HeldEvent::Lost => Ok(Written::LeftToLog),
                HeldEvent::Dropped => {
                    add(&self.counters.timed_out, 1);
                    Err(RecordError::new(RecordErrorKind::Timeout))
                }
            },
            Some(Err(_)) => {
                add(&self.counters.failed, 1);
                Err(RecordError::new(RecordErrorKind::Stopped))
            }
            None => Err(RecordError::new(RecordErrorKind::Timeout)),
        }
    }

    /// Waits for room in the queue. None: the client has left, and the log owes the event.
    async fn push_when_room(
        &self,
        entry: Entry,
        has_left: impl Fn() -> bool,
    ) -> Option<Result<oneshot::Receiver<Answer>, RecordError>> {
        let deadline = entry.deadline;
        let mut entry = Some(entry);
        let pushed = with_deadline(&self.runtime, deadline, self.queue.push_in_turn(&mut entry)).await;
        if let Some(Entry { event, .. }) = entry
            && has_left()
            && self.queue.owe(event, None).is_ok()
        {
            return None;
        }
        Some(pushed.unwrap_or_else(|| Err(RecordError::new(RecordErrorKind::QueueFull))))
    }
}
