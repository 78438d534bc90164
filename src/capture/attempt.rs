//! One run of everything inside of one layer.

use std::sync::Arc;

use http::StatusCode;

use super::context_values::ContextValues;
use super::layer_config::LayerConfig;
use super::request_head::RequestHead;
use crate::event::{EventId, EventType, Timestamp};
use crate::policy::{AuditPolicy, FailMode, MatchingRules};
use crate::store::TransactionId;
use crate::writer::LogId;

/// One run of everything inside of one layer.
#[derive(Default)]
pub(crate) struct Attempt {
    /// None where no layer is.
    pub(crate) layer: Option<Arc<LayerConfig>>,
    /// The attempt directly around this one, of whatever log.
    pub(super) within: Option<usize>,
    /// The attempt of the same log that is nearest around this one.
    pub(super) outer: Option<usize>,
    /// Absent once the end is told, and before, while it is elsewhere.
    pub(crate) head: Option<RequestHead>,
    /// The rules of the layer that name the request.
    pub(crate) matching_rules: MatchingRules,
    pub(crate) values: ContextValues,
    /// The `started` event that the end of this attempt ends.
    pub(crate) started: Option<StartedEvent>,
    pub(crate) written: Option<TransactionalEvent>,
    pub(super) stage: AttemptStage,
    /// Another layer, nearer to the handler, says which results are too many.
    pub(crate) is_limited_within: bool,
}

/// The progress of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AttemptStage {
    /// Its handler has not been called: the `started` event is not durable yet.
    #[default]
    Waiting,
    /// Its handler must not be called any more: the client has its answer, or has left.
    Withdrawn,
    /// Its handler may have been called.
    Running,
    /// Its handler has ended, and the event is being written: its own, or that of an attempt within it.
    Writing,
    /// Settled: its end is told, or the rules leave it out.
    Told(EndKind),
    /// Settled: its event could not be written.
    Refused(WithheldResponse),
    /// Settled: it has nothing to say. The layer further out goes on as if this one were not there.
    Silent,
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
    /// Whether the handler was called.
    pub(crate) has_run: bool,
}

/// A `started` event.
#[derive(Debug, Clone)]
pub(crate) struct StartedEvent {
    pub(crate) event_id: EventId,
    pub(crate) event_type: EventType,
    pub(crate) fail_mode: FailMode,
    pub(crate) body_end: bool,
}

/// The event of the request, as it was written in a transaction of the handler's.
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

    /// Whether its handler may have been called.
    pub(super) fn has_run(self) -> bool {
        match self {
            Self::Running | Self::Writing | Self::Told(_) => true,
            Self::Refused(refusal) => refusal.has_run,
            Self::Waiting | Self::Withdrawn | Self::Silent => false,
        }
    }

    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Told(_) | Self::Refused(_) | Self::Silent)
    }
}

impl Attempt {
    pub(super) fn new(
        layer: Arc<LayerConfig>,
        head: Option<RequestHead>,
        matching_rules: MatchingRules,
        stage: AttemptStage,
    ) -> Self {
        Self { layer: Some(layer), head, matching_rules, stage, ..Self::default() }
    }

    pub(super) fn is_of(&self, log: LogId) -> bool {
        self.layer.as_ref().is_some_and(|layer| layer.log_id == log)
    }

    /// The policy of its layer, and the rules that name the request, if any do.
    pub(crate) fn rules(&self) -> Option<(AuditPolicy, MatchingRules)> {
        let layer = self.layer.as_ref().filter(|_| !self.matching_rules.is_empty())?;
        Some((layer.policy.clone(), self.matching_rules))
    }
}
