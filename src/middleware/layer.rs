//! The audit layer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::AuditService;
use crate::capture::LayerState;
use crate::event::{CompactText, Details};
use crate::log_lines::log_line;
use crate::policy::{AuditPolicy, PolicyBuilder, PolicyError, Rule};
use crate::writer::AuditLog;

/// Wraps a service so that the requests its policy names are recorded, durably, before their responses leave.
///
/// Put it outside of every layer that decides about a request (authorisation, limits), so that denials are recorded, and
/// inside of those that change responses for transport only (compression) or the request's method (method override). With
/// axum, `Router::layer` runs after routing, so that the route template is known.
///
/// # The actor
///
/// A layer outside of this one that identifies the caller inserts an [`Actor`](crate::Actor) into the extensions of the
/// request. One inside of it calls [`AuditContext::actor`](crate::AuditContext::actor), or inserts the `Actor` into the
/// extensions of the response. The request's extensions are read inside of it only if the handler extracts the
/// [`AuditContext`](crate::AuditContext), or if a further `AuditLayer` is around the handler.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response, routing::post};
/// use tower_audit::{Actor, AuditContext, AuditLayer, AuditLog, AuditPolicy};
///
/// async fn outside(mut request: Request, next: Next) -> Response {
///     request.extensions_mut().insert(Actor::user("alice"));
///     next.run(request).await
/// }
///
/// async fn inside(audit: AuditContext, request: Request, next: Next) -> Response {
///     audit.actor(Actor::user("alice"));
///     next.run(request).await
/// }
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// # let log = AuditLog::open("memory:").await?;
/// let app: Router = Router::new()
///     .route("/scans", post(|| async { "stored" }))
///     .layer(from_fn(inside)) // either this
///     .layer(AuditLayer::new(&log, AuditPolicy::mutations()))
///     .layer(from_fn(outside)); // or this
/// # Ok(()) }
/// # }
/// ```
///
/// # Several layers
///
/// If several layers of one log are around a request, the rules of the one nearest to the handler replace the others', and
/// that layer records. The outcome is the handler's, not one that layers further out made of it, and the outer layer's
/// [`details_from_response`](Self::details_from_response) is not called. So a single route is given a rule of its own
/// ([`AuditLayer::for_route`]). If the inner rules leave an end out and a layer in between turns it into another (another
/// status, an error, a panic), the outer layer records that one. A layer whose policy only has `max_results` changes that
/// limit; all else is up to the layer around it. Layers of different logs each record, and both events have the handler's
/// facts.
///
/// A layer in between that calls the inner one several times (a retry) leaves an event for each attempt, if the inner rules
/// name the request; if only the outer rules do, there is one event, with the last outcome. If it answers while the handler
/// still runs (a timeout), its answer has an event and the end of the handler another. If it makes the request anew, or
/// gives it another URI, the request is another one for the inner layer, with events of its own; so are requests that a
/// handler sends into an audited service. A handler that sends its own request on as it is, with method, URI and
/// extensions, is a layer in between.
///
/// All layers of one log share the write timeout of a request: together they wait no longer than one would.
///
/// # Example
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
///     .layer(AuditLayer::new(&log, AuditPolicy::mutations()));
/// # Ok(()) }
/// # }
/// ```
#[derive(Clone)]
pub struct AuditLayer {
    /// None: auditing is off.
    config: Option<Arc<LayerState>>,
}

impl AuditLayer {
    /// Makes a layer that records into `log` by the rules of `policy`. If the log is off, the layer passes everything through.
    pub fn new(log: &AuditLog, policy: AuditPolicy) -> Self {
        Self::with_settings(log, policy, false)
    }

    fn with_settings(log: &AuditLog, policy: AuditPolicy, inherits_settings: bool) -> Self {
        let config = log.log_id().map(|log_id| {
            let (rules, store) = (policy.active_rules(), log.store().map(|store| store.capabilities().name));
            log_line(move || tracing::info!(store, rules, "an audit layer is in place"));
            Arc::new(LayerState::new(log, log_id, policy, inherits_settings))
        });
        Self { config }
    }

    /// Makes a layer for a single route, whatever its path: `.route_layer(AuditLayer::for_route(&log, rule)?)`.
    ///
    /// Inside of another layer of the same log it uses that one's capture settings, pepper and base path.
    ///
    /// # Errors
    /// If the rule is invalid, or is for oversize queries: those need the `max_results` of a policy.
    pub fn for_route(log: &AuditLog, rule: Rule) -> Result<Self, PolicyError> {
        Ok(Self::with_settings(log, PolicyBuilder::for_route(rule)?, true))
    }

    /// Adds a callback that reads details from the response before it is released.
    ///
    /// If it fails or panics, the event is written without those details, and the operator's log says so.
    #[must_use]
    pub fn details_from_response<F>(mut self, details: F) -> Self
    where
        F: Fn(&http::response::Parts) -> Result<Details, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    {
        self.change(|config| config.details_from_response = Some(Arc::new(details)));
        self
    }

    /// Sets whether each recorded response names its event in the header [`AUDIT_RECEIPT`](crate::AUDIT_RECEIPT): not by default.
    ///
    /// The client then holds a receipt: the store has acknowledged an event with this id. If it cannot be found later, and no purge
    /// accounts for it, the store has lost it, or it was removed. On a sealed log, `tower-audit proof` turns the id into a proof.
    ///
    /// Of a response whose event is written at the end of its body, or of a gRPC call that goes on, the header names the
    /// `started` event. A response that leaves without its event, by a rule that fails open, has no such header, nor has a
    /// refusal. A layer [for a route](Self::for_route) gives them if one of the same log around it does. Of several logs, the
    /// outermost that gives receipts counts. A store that cannot be read gives none: nobody could look the event up.
    ///
    /// ```
    /// use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
    ///
    /// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
    /// let log = AuditLog::open("memory:").await?;
    /// let layer = AuditLayer::new(&log, AuditPolicy::mutations()).receipts(true);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn receipts(mut self, receipts: bool) -> Self {
        self.change(|config| {
            let is_readable = || config.log.store().is_some_and(|store| store.parts().reader.is_some());
            config.gives_receipts = receipts && is_readable();
        });
        self
    }

    /// Adds a callback that returns the trace id of the current span, which events have in place of that of the header
    /// `traceparent`. It is called when a request that a rule names arrives, within the span of the layers around.
    ///
    /// A text that is no [trace id](crate::AuditContext::trace_id) is ignored; a panic is a line of the operator's log.
    ///
    /// `docs/capture.md` has the callback for OpenTelemetry, which this crate does not depend on.
    #[must_use]
    pub fn trace_id<F>(mut self, trace_id: F) -> Self
    where
        F: Fn() -> Option<CompactText> + Send + Sync + 'static,
    {
        self.change(|config| config.trace_id = Some(Arc::new(trace_id)));
        self
    }

    fn change(&mut self, change: impl FnOnce(&mut LayerState)) {
        let Some(shared) = &mut self.config else { return };
        let mut config = shared.copied();
        change(&mut config);
        *shared = Arc::new(config);
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService::new(inner, self.config.clone())
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("policy", &self.config.as_ref().map(|shared| &shared.policy)).finish()
    }
}
