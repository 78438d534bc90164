//! The configuration shared by all requests of a layer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::no_match_warning::UnmatchedRequests;
use crate::event::{CompactText, Details};
use crate::log_lines::log_line;
use crate::policy::AuditPolicy;
use crate::writer::{AuditLog, LogId};

/// The configuration shared by all requests of a layer. The scope of a request leads to it, so that a context finds the log
/// and the policy. A request whose context is not used pays for one reference.
pub(crate) struct LayerState {
    pub(crate) log: AuditLog,
    pub(crate) log_id: LogId,
    pub(crate) policy: AuditPolicy,
    /// The capture settings and the base path are taken from the layer around, if there is one of the same log.
    pub(crate) inherits_settings: bool,
    pub(crate) inspects_responses: bool,
    pub(crate) unmatched_requests: UnmatchedRequests,
    pub(crate) details_from_response: Option<DetailsFn>,
    pub(crate) trace_id: Option<TraceIdFn>,
    /// A response names its event.
    pub(crate) gives_receipts: bool,
    /// The stand-in, in a clone of an app whose route coverage is probed.
    #[cfg(feature = "route-coverage")]
    pub(crate) probe_stand_in: Option<Box<dyn ProbeStandIn>>,
}

/// Takes the place of a layer while its app's route coverage is probed.
#[cfg(feature = "route-coverage")]
pub(crate) trait ProbeStandIn: Send + Sync {
    /// Records the path. Returns true if the request goes on to the inner service.
    fn observe(&self, path: &str) -> bool;
}

pub(crate) type DetailsFn =
    Arc<dyn Fn(&http::response::Parts) -> Result<Details, Box<dyn Error + Send + Sync>> + Send + Sync + 'static>;

pub(crate) type TraceIdFn = Arc<dyn Fn() -> Option<CompactText> + Send + Sync + 'static>;

impl LayerState {
    pub(crate) fn new(log: &AuditLog, log_id: LogId, policy: AuditPolicy, inherits_settings: bool) -> Self {
        Self {
            log: log.clone(),
            log_id,
            inspects_responses: policy.inspects_responses(),
            unmatched_requests: UnmatchedRequests::new(&policy),
            policy,
            inherits_settings,
            details_from_response: None,
            trace_id: None,
            gives_receipts: false,
            #[cfg(feature = "route-coverage")]
            probe_stand_in: None,
        }
    }

    /// A copy of the configuration, without a stand-in, for a layer that has seen no request yet.
    pub(crate) fn copied(&self) -> Self {
        Self {
            details_from_response: self.details_from_response.clone(),
            trace_id: self.trace_id.clone(),
            gives_receipts: self.gives_receipts,
            ..Self::new(&self.log, self.log_id, self.policy.clone(), self.inherits_settings)
        }
    }

    /// A copy of the configuration with this stand-in.
    #[cfg(feature = "route-coverage")]
    pub(crate) fn replaced_by(&self, stand_in: Box<dyn ProbeStandIn>) -> Self {
        Self { probe_stand_in: Some(stand_in), ..self.copied() }
    }

    /// The trace id that the callback reads off the current span.
    #[inline]
    pub(crate) fn trace_id(&self) -> Option<CompactText> {
        let hook = self.trace_id.as_ref()?;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook())).unwrap_or_else(|_| {
            log_line(|| tracing::warn!("the trace id callback of an audit layer panicked"));
            None
        })
    }

    /// The details that the callback reads off the response.
    pub(crate) fn details(&self, response: &http::response::Parts) -> Details {
        let Some(hook) = &self.details_from_response else { return Details::new() };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(response))) {
            Ok(Ok(details)) => details,
            Ok(Err(error)) => {
                log_line(move || {
                    tracing::warn!(error = &*error as &dyn Error, "the details callback of an audit layer failed");
                });
                Details::new()
            }
            Err(_) => {
                log_line(|| tracing::warn!("the details callback of an audit layer panicked"));
                Details::new()
            }
        }
    }
}

impl fmt::Debug for LayerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerState").field("policy", &self.policy).finish_non_exhaustive()
    }
}
