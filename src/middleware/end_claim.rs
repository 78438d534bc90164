//! The claim of a layer to record the end of its attempt.

use crate::capture::{AttemptStage, AuditContext};

/// The claim of a layer to record the end of its attempt. If it is dropped unsettled, the attempt becomes silent, so that
/// no layer waits for it.
pub(super) struct EndClaim {
    context: AuditContext,
    is_settled: bool,
}

impl EndClaim {
    pub(super) fn new(context: AuditContext) -> Self {
        Self { context, is_settled: false }
    }

    /// Settles the attempt. Returns true if the request has others.
    pub(super) fn settle(&mut self, stage: AttemptStage) -> bool {
        self.is_settled = true;
        self.context.settle(stage)
    }
}

impl std::ops::Deref for EndClaim {
    type Target = AuditContext;

    fn deref(&self) -> &AuditContext {
        &self.context
    }
}

impl Drop for EndClaim {
    fn drop(&mut self) {
        if !self.is_settled {
            self.context.settle(AttemptStage::Silent);
        }
    }
}
