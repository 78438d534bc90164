//! The layer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::AuditService;
#[cfg(feature = "axum")]
use super::roll_call::StandIn;
use crate::capture::scope::LogId;
use crate::event::Details;
use crate::policy::{AuditPolicy, PolicyError, Rule};
use crate::writer::AuditLog;

/// Wraps a service so that the requests its policy names are recorded, durably, before their responses leave.
///
/// Put it outside of everything that decides about a request (authentication, limits), so that denials are recorded,
/// and inside of what changes responses for transport only (compression). With axum, `Router::layer` runs after routing, so that
/// the route template is known.
///
/// Where two layers of one log are around a request, it is recorded once, by the outer one: the inner one's rules take
/// the place of the outer one's. That is how a single route is given a rule of its own ([`AuditLayer::for_route`]).
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::post};
/// use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let log = AuditLog::open("memory:").await?;
/// let app: Router = Router::new()
///     .route("/scans", post(|| async { "stored" }))
///     .layer(AuditLayer::new(&log, AuditPolicy::preset()));
/// # Ok(()) }
/// # }
/// ```
#[derive(Clone)]
pub struct AuditLayer {
    /// None: auditing is off.
    shared: Option<Arc<Shared>>,
}

/// What all requests through a layer share.
pub(super) struct Shared {
    pub(super) log: AuditLog,
    pub(super) log_id: LogId,
    pub(super) policy: AuditPolicy,
    pub(super) watches_responses: bool,
    details: Option<DetailsHook>,
    /// What is done instead, in a copy of an app whose wiring is looked at.
    #[cfg(feature = "axum")]
    pub(super) stand_in: Option<StandIn>,
}

type DetailsHook =
    Arc<dyn Fn(&http::response::Parts) -> Result<Details, Box<dyn Error + Send + Sync>> + Send + Sync + 'static>;

impl AuditLayer {
    /// A layer that records into `log` what `policy` says. If the log is off, the layer passes everything through.
    pub fn new(log: &AuditLog, policy: AuditPolicy) -> Self {
        let shared = log.id().map(|log_id| {
            let watches_responses = policy.watches_responses();
            Arc::new(Shared {
                log: log.clone(),
                log_id,
                policy,
                watches_responses,
                details: None,
                #[cfg(feature = "axum")]
                stand_in: None,
            })
        });
        Self { shared }
    }

    /// A layer for a single route, whatever its path: `.route_layer(AuditLayer::for_route(&log, rule)?)`.
    ///
    /// # Errors
    /// If the rule is not a valid one.
    pub fn for_route(log: &AuditLog, rule: Rule) -> Result<Self, PolicyError> {
        let rule = if rule.has_paths() { rule } else { rule.paths(["/{*rest}"]) };
        Ok(Self::new(log, AuditPolicy::builder().rule(rule).build()?))
    }

    /// The same layer with a callback that reads further details off the response, before it is released.
    ///
    /// A callback that fails or panics costs those details, never the event: the operator's log says so.
    #[must_use]
    pub fn with_details<F>(mut self, details: F) -> Self
    where
        F: Fn(&http::response::Parts) -> Result<Details, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    {
        if let Some(shared) = &mut self.shared {
            *shared = Arc::new(Shared {
                log: shared.log.clone(),
                log_id: shared.log_id,
                policy: shared.policy.clone(),
                watches_responses: shared.watches_responses,
                details: Some(Arc::new(details)),
                #[cfg(feature = "axum")]
                stand_in: None,
            });
        }
        self
    }
}

impl Shared {
    /// The same, but for what is done instead.
    #[cfg(feature = "axum")]
    pub(super) fn replaced_by(&self, stand_in: StandIn) -> Self {
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
    pub(super) fn details(&self, response: &http::response::Parts) -> Details {
        let Some(hook) = &self.details else { return Details::new() };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(response))) {
            Ok(Ok(details)) => details,
            Ok(Err(error)) => {
                tracing::warn!(error = &*error as &dyn Error, "the details callback of an audit layer failed");
                Details::new()
            }
            Err(_) => {
                tracing::warn!("the details callback of an audit layer panicked");
                Details::new()
            }
        }
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("policy", &self.shared.as_ref().map(|shared| &shared.policy)).finish()
    }
}
