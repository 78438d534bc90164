//! What all requests through a layer share.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::scope::LogId;
use crate::event::Details;
use crate::policy::AuditPolicy;
use crate::writer::{AuditLog, shielded};

/// What all requests through a layer share. The scope of a request leads to it, so that whoever asks for the context
/// finds the log and the policy, and a request that nobody asks about pays for one reference.
pub(crate) struct Shared {
    pub(crate) log: AuditLog,
    pub(crate) log_id: LogId,
    pub(crate) policy: AuditPolicy,
    pub(crate) watches_responses: bool,
    pub(crate) details: Option<DetailsHook>,
    /// What is done instead, in a copy of an app whose wiring is looked at.
    #[cfg(feature = "axum")]
    pub(crate) stand_in: Option<Box<dyn StandsIn>>,
}

/// Takes the place of a layer whose app is looked at.
#[cfg(feature = "axum")]
pub(crate) trait StandsIn: Send + Sync {
    /// Takes note of the path. Whether the request goes on from here.
    fn sees(&self, path: &str) -> bool;
}

pub(crate) type DetailsHook =
    Arc<dyn Fn(&http::response::Parts) -> Result<Details, Box<dyn Error + Send + Sync>> + Send + Sync + 'static>;

impl Shared {
    /// The same, but for what is done instead.
    #[cfg(feature = "axum")]
    pub(crate) fn replaced_by(&self, stand_in: Box<dyn StandsIn>) -> Self {
        Self {
            log: self.log.clone(),
            log_id: self.log_id,
            policy: self.policy.clone(),
            watches_responses: self.watches_responses,
            details: None,
            stand_in: Some(stand_in),
        }
    }

    /// What the callback reads off the response.
    pub(crate) fn details(&self, response: &http::response::Parts) -> Details {
        let Some(hook) = &self.details else { return Details::new() };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(response))) {
            Ok(Ok(details)) => details,
            Ok(Err(error)) => {
                shielded(|| {
                    tracing::warn!(error = &*error as &dyn Error, "the details callback of an audit layer failed");
                });
                Details::new()
            }
            Err(_) => {
                shielded(|| tracing::warn!("the details callback of an audit layer panicked"));
                Details::new()
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("policy", &self.policy).finish_non_exhaustive()
    }
}
