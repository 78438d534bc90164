//! An event's place in the queue and in batches.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::catch_panic::catch_panic;
use super::error::{RecordError, RecordErrorKind};

/// The answer to a caller.
#[derive(Debug)]
pub(super) enum Answer {
    /// The event is durable.
    Durable,
    /// It is not known to be durable, and the log does not try again.
    Refused(RecordError),
    /// Its deadline has passed, and the log holds the event until the caller has read this.
    Held,
}

/// An event's owner, number and deadline.
#[derive(Debug)]
pub(super) struct Waiter {
    owner: EventOwner,
    if_refused: IfRefused,
    /// The number of the event, in the order of arrival. An event that ends another has the number of that one.
    pub(super) number: u64,
    pub(super) bytes: usize,
    deadline: Instant,
    /// An append of the event has failed without a clear answer: the store may have it.
    is_unclear: bool,
}

/// The owner of an event.
#[derive(Debug)]
enum EventOwner {
    /// A caller, who waits for the answer.
    Caller(oneshot::Sender<Answer>),
    /// The log, which tries until the store answers.
    Log,
    /// The log, after the caller was refused: if the store has the event, it must be ended.
    Refused,
    /// No owner: the caller has its answer.
    Answered,
}

/// The duty of the log towards an event whose caller is refused or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfRefused {
    /// None.
    Leave,
    /// Holds the event until its caller has read the refusal: it is the end of a request, which the log owes if the client has
    /// left by then.
    Hold,
    /// Ends the event, if it becomes durable: it is a `started` event, and its handler does not run.
    EndNotRun,
}

/// The log's next step after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FollowUp {
    Nothing,
    /// Writes the event that ends this `started` event.
    EndNotRun,
    /// Removes the event from those that the log owes.
    Release,
}

impl Waiter {
    /// Returns the place of an event for a caller, and the receiver of its answer.
    pub(super) fn of_caller(
        if_refused: IfRefused,
        number: u64,
        bytes: usize,
        deadline: Instant,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let owner = EventOwner::Caller(sender);
        (Self { owner, if_refused, number, bytes, deadline, is_unclear: false }, receiver)
    }

    /// Returns the place of an event that the log owes.
    pub(super) fn of_log(number: u64, bytes: usize) -> Self {
        let (owner, if_refused) = (EventOwner::Log, IfRefused::Leave);
        Self { owner, if_refused, number, bytes, deadline: Instant::now(), is_unclear: false }
    }

    /// Answers that the event is durable.
    pub(super) fn accept(&mut self) -> FollowUp {
        match std::mem::replace(&mut self.owner, EventOwner::Answered) {
            EventOwner::Caller(sender) => match (send(sender, Answer::Durable), self.if_refused) {
                (false, IfRefused::EndNotRun) => FollowUp::EndNotRun,
                _ => FollowUp::Nothing,
            },
            EventOwner::Log => FollowUp::Release,
            EventOwner::Refused => FollowUp::EndNotRun,
            EventOwner::Answered => FollowUp::Nothing,
        }
    }

    /// Answers that the event is not written, and that the log does not try again.
    ///
    /// An earlier append of it may have been stored and its answer lost: then a `started` event is ended all the same.
    pub(super) fn reject(&mut self, error: RecordError) -> FollowUp {
        let must_end = self.if_refused == IfRefused::EndNotRun && self.is_unclear;
        let is_heard = match std::mem::replace(&mut self.owner, EventOwner::Answered) {
            EventOwner::Caller(sender) => send(sender, Answer::Refused(error)),
            EventOwner::Answered => return FollowUp::Nothing,
            EventOwner::Log | EventOwner::Refused => false,
        };
        match is_heard {
            _ if must_end => FollowUp::EndNotRun,
            true => FollowUp::Nothing,
            false => FollowUp::Release,
        }
    }

    /// Returns true if the log holds the event until its caller has read a refusal.
    pub(super) fn is_to_be_held(&self) -> bool {
        self.if_refused == IfRefused::Hold
    }

    /// Answers that the deadline has passed. `is_held`: the log holds the event until the caller has read this. Returns
    /// false if there is no caller any more.
    pub(super) fn expire(&mut self, is_held: bool) -> bool {
        let EventOwner::Caller(sender) = std::mem::replace(&mut self.owner, EventOwner::Answered) else { return false };
        if is_held {
            let is_heard = send(sender, Answer::Held);
            if is_heard {
                self.owner = EventOwner::Log;
            }
            return is_heard;
        }
        if self.if_refused == IfRefused::EndNotRun {
            self.owner = EventOwner::Refused;
        }
        send(sender, Answer::Refused(RecordError::new(RecordErrorKind::Timeout)))
    }

    /// Notes that the store may have the event.
    pub(super) fn set_unclear(&mut self) {
        self.is_unclear = true;
    }

    /// Returns true if the event must still be written.
    pub(super) fn is_pending(&self) -> bool {
        !matches!(self.owner, EventOwner::Answered)
    }

    /// Returns true if the log owes the event, or holds it for its caller.
    pub(super) fn is_the_logs(&self) -> bool {
        matches!(self.owner, EventOwner::Log)
    }

    /// Returns true if its caller was refused, and the store may yet take the event.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.owner, EventOwner::Refused)
    }

    /// Returns true if a caller waits for the event, or has left it within the deadline.
    pub(super) fn has_caller(&self) -> bool {
        matches!(self.owner, EventOwner::Caller(_))
    }

    /// Returns true if its caller's deadline has passed.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        matches!(self.owner, EventOwner::Caller(_)) && self.deadline <= now
    }
}

/// Sends the answer and wakes the caller, whose waker is the app's code. Returns false if the caller has gone.
fn send(sender: oneshot::Sender<Answer>, answer: Answer) -> bool {
    let mut is_heard = true;
    catch_panic(|| is_heard = sender.send(answer).is_ok());
    is_heard
}
