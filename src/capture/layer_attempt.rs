//! One run of everything inside of one layer.

use std::sync::Arc;

use http::StatusCode;

use super::context_values::ContextValues;
use super::head_pool::KeptHead;
use super::layer_state::LayerState;
use crate::event::{EventId, EventType, Timestamp};
use crate::policy::{AuditPolicy, FailMode, MatchingRules};
use crate::store::TransactionId;
use crate::writer::LogId;

/// One run of everything inside of one layer.
#[derive(Default)]
pub(crate) struct Attempt {
    /// Absent in a context without a layer.
    pub(crate) layer: Option<Arc<LayerState>>,
    /// The next attempt outwards, of any log.
    pub(super) within: Option<usize>,
    /// The next attempt outwards of the same log.
    pub(super) outer: Option<usize>,
    /// Absent once the end is recorded.
    pub(crate) head: Option<KeptHead>,
    /// The rules of the layer that name the request.
    pub(crate) matching_rules: MatchingRules,
    /// Boxed, since most handlers add nothing, and each audited request would hold the room for it.
    values: Option<Box<ContextValues>>,
    /// The `started` event that the end of this attempt closes.
    pub(crate) started: Option<StartedEvent>,
    pub(crate) written: Option<TransactionalEvent>,
    pub(super) stage: AttemptStage,
    /// Set once the caller has dropped the future of this attempt, which now runs on the log's runtime.
    pub(super) detached: Option<Detached>,
    /// The handler is to be dropped at its next poll: its caller has left, and it takes too long, or too many run.
    pub(super) is_cancelled: bool,
    /// An answer has left a layer around, of any log, before this attempt had ended: it is not made of this end.
    pub(super) is_passed_over: bool,
    /// A layer nearer to the handler has its own limit of results.
    pub(crate) is_limited_within: bool,
}

/// The progress of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AttemptStage {
    /// The handler is not called yet: the `started` event is not durable.
    #[default]
    Waiting,
    /// The handler must not be called any more: the client has its answer, or has left.
    Withdrawn,
    /// The handler may have been called.
    Running,
    /// The handler has ended, and the event is being written, by this attempt or by one within it.
    Writing,
    /// Settled: the end is recorded.
    Told(EndKind),
    /// Settled: the rules leave this end out. Another end of a layer further out may still be recorded.
    LeftOut(EndKind, Option<StatusCode>),
    /// Settled: the event could not be written.
    Refused(WithheldResponse),
    /// Settled without a say: the layers further out go on as if this one were not there.
    Silent,
}

/// The moment at which the caller of an attempt dropped its future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detached {
    /// Before the handler had ended. No response of a layer around is made of that end: it is another one.
    BeforeEnd,
    /// While the event of that end was being written.
    AtEnd,
}

/// The kind of end that a handler came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndKind {
    Response,
    Error,
    Panic,
    /// Its future was dropped.
    Dropped,
}

/// A response that was withheld because its event could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WithheldResponse {
    /// The event that is not written.
    pub(crate) event_id: EventId,
    /// The handler may have been called.
    pub(crate) has_run: bool,
}

/// A `started` event.
#[derive(Debug, Clone)]
pub(crate) struct StartedEvent {
    pub(crate) event_id: EventId,
    pub(crate) created_at: Timestamp,
    pub(crate) event_type: EventType,
    pub(crate) fail_mode: FailMode,
    pub(crate) body_end: bool,
    /// False under a fail-open rule whose write has failed.
    pub(crate) is_durable: bool,
}

/// The event of the request as it was written in a transaction of the handler's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransactionalEvent {
    pub(crate) event_id: EventId,
    pub(crate) created_at: Timestamp,
    pub(crate) transaction: TransactionId,
    pub(crate) outcome: StatusCode,
    pub(crate) fail_mode: FailMode,
}

impl AttemptStage {
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Withdrawn | Self::Running)
    }

    /// Returns true if the handler may have been called.
    pub(super) fn has_run(self) -> bool {
        match self {
            Self::Running | Self::Writing | Self::Told(_) | Self::LeftOut(..) => true,
            Self::Refused(refusal) => refusal.has_run,
            Self::Waiting | Self::Withdrawn | Self::Silent => false,
        }
    }

    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Told(_) | Self::LeftOut(..) | Self::Refused(_) | Self::Silent)
    }
}

impl Attempt {
    pub(super) fn new(
        layer: Arc<LayerState>,
        head: Option<KeptHead>,
        matching_rules: MatchingRules,
        stage: AttemptStage,
    ) -> Self {
        Self { layer: Some(layer), head, matching_rules, stage, ..Self::default() }
    }

    /// The facts that were added; none as long as nothing was.
    pub(super) fn values(&self) -> Option<&ContextValues> {
        self.values.as_deref()
    }

    pub(super) fn values_mut(&mut self) -> &mut ContextValues {
        self.values.get_or_insert_default()
    }

    pub(super) fn is_of(&self, log: LogId) -> bool {
        self.layer.as_ref().is_some_and(|layer| layer.log_id == log)
    }

    /// Returns true if its caller left, or had an answer, before the handler had ended, so that no layer around gets that end.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_passed_over || self.detached == Some(Detached::BeforeEnd)
    }

    /// Returns true if its end is being recorded, and the response of a layer around may be made of it.
    pub(super) fn is_awaited(&self) -> bool {
        self.stage == AttemptStage::Writing && !self.is_given_up()
    }

    /// The policy of the layer and its rules that name the request, if any do.
    pub(crate) fn rules(&self) -> Option<(AuditPolicy, MatchingRules)> {
        let layer = self.layer.as_ref().filter(|_| !self.matching_rules.is_empty())?;
        Some((layer.policy.clone(), self.matching_rules))
    }
}
