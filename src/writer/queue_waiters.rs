//! The line of the callers that wait for room in the queue.

use tokio::sync::oneshot;

use super::error::{RecordError, RecordErrorKind};
use super::limits::DEFAULT_QUEUE_EVENTS;
use super::queue::{Entry, PushOutcome, Queue, weight};
use super::waiter::Answer;

impl Queue {
    /// Queues the event when it is its turn and there is room. The caller bounds the wait.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the event is not queued, and is in `slot`.
    pub(super) async fn push_in_turn(
        &self,
        slot: &mut Option<Entry>,
    ) -> Result<oneshot::Receiver<Answer>, RecordError> {
        let bytes = slot.as_ref().map_or(0, |entry| weight(&entry.event));
        let _outside = self.wait_outside(bytes)?;
        let Ok(_turn) = self.turn.acquire().await else {
            return Err(RecordError::new(RecordErrorKind::Closed));
        };
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            let Some(entry) = slot.take() else { return Err(RecordError::new(RecordErrorKind::QueueFull)) };
            match self.push_as(entry, true)? {
                PushOutcome::Queued(receiver) => return Ok(receiver),
                PushOutcome::Full(entry) => *slot = Some(entry),
            }
            drained.await;
        }
    }

    /// Counts a caller outside, until the guard is dropped.
    fn wait_outside(&self, bytes: usize) -> Result<Outside<'_>, RecordError> {
        let mut state = self.lock();
        let (callers, their_bytes) = &mut state.outside;
        if *callers >= DEFAULT_QUEUE_EVENTS || (*callers > 0 && *their_bytes + bytes > self.limits.bytes) {
            return Err(RecordError::new(RecordErrorKind::QueueFull));
        }
        *callers += 1;
        *their_bytes += bytes;
        Ok(Outside { queue: self, bytes })
    }
}

/// A caller that waits for room.
struct Outside<'a> {
    queue: &'a Queue,
    bytes: usize,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let (callers, their_bytes) = &mut state.outside;
        *callers -= 1;
        *their_bytes -= self.bytes;
    }
}
