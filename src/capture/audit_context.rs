//! The handle with which a handler adds to its event.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::time::Instant;

use super::captured_headers_and_query::captured;
use super::change_set::ChangeSet;
use super::context_values::ContextValues;
use super::given_actor::actor_in;
use super::head_pool::KeptHead;
use super::layer_attempt::{Attempt, AttemptStage};
use super::layer_attempts::Attempts;
use super::layer_state::LayerState;
use super::request_head::is_trace_id;
use super::request_state::RequestState;
use super::wait::Wait;
use crate::event::{Actor, AuditEvent, CompactText, Details, ErrorCode, EventId, EventType, Target, Targets, nexus_iq};
use crate::policy::{BodyCapture, MatchingRules};
use crate::writer::LogId;

/// Adds facts to the event of the current request. Cheap to clone; clones share one event.
///
/// With axum it is an extractor. Elsewhere it is in the extensions of each request that a rule of the policy names, and
/// [`AuditContext::current`] finds it within the task that runs the handler. Without a layer, or with a log that is off,
/// it accepts everything and records nothing.
///
/// Naming an [`event_type`](Self::event_type) makes the request an audited one, whatever the rules say.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::http::StatusCode;
/// use tower_audit::{Actor, AuditContext, ErrorCode, EventType};
///
/// async fn login(audit: AuditContext, name: String) -> StatusCode {
///     audit.event_type(EventType::AUTH).actor(Actor::user(&name)).detail("method", "password");
///     if name == "alice" {
///         StatusCode::OK
///     } else {
///         audit.error(ErrorCode::BAD_AUTHENTICATION);
///         StatusCode::UNAUTHORIZED
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct AuditContext {
    state: Arc<RequestState>,
    /// The attempt that the context is of. Small, since it moves with every poll.
    attempt: u32,
}

/// For the layers.
impl AuditContext {
    /// The context of a request that no other layer has seen.
    pub(crate) fn new(
        layer: Arc<LayerState>,
        head: Option<KeptHead>,
        matching_rules: MatchingRules,
        stage: AttemptStage,
    ) -> Self {
        let first = Attempt::new(layer, head, matching_rules, stage);
        Self { state: Arc::new(RequestState::new(first)), attempt: 0 }
    }

    /// The context of a layer within this one, around the same request.
    pub(crate) fn within(
        &self,
        layer: Arc<LayerState>,
        head: Option<KeptHead>,
        matching_rules: MatchingRules,
        stage: AttemptStage,
    ) -> Self {
        let mut attempts = self.lock();
        if attempts.is_full() {
            drop(attempts);
            return Self::new(layer, head, matching_rules, stage);
        }
        let attempt = attempts.add(Attempt::new(layer, head, matching_rules, stage), self.attempt());
        // The number of attempts is bounded.
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        Self { state: Arc::clone(&self.state), attempt }
    }

    /// The context of a layer whose rules do not name the request.
    pub(crate) fn unmatched(layer: Arc<LayerState>, around: Option<&Self>, head: Option<KeptHead>) -> Self {
        match around {
            Some(around) => around.within(layer, head, MatchingRules::NONE, AttemptStage::Running),
            None => Self::new(layer, head, MatchingRules::NONE, AttemptStage::Running),
        }
    }

    /// A context without a layer: it records nothing.
    #[cfg(feature = "axum")]
    pub(super) fn idle() -> Self {
        Self { state: Arc::new(RequestState::new(Attempt::default())), attempt: 0 }
    }

    /// The layer that the context is of; none where there is no layer.
    pub(crate) fn layer(&self) -> Option<Arc<LayerState>> {
        self.lock()[self.attempt()].layer.clone()
    }

    /// The number of the attempt.
    pub(crate) fn attempt(&self) -> usize {
        self.attempt as usize
    }

    /// The id of the request within the process.
    pub(crate) fn request(&self) -> u64 {
        self.state.id()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.state.lock()
    }

    /// Returns true if the context belongs to this request, whose extensions it came in.
    pub(crate) fn is_of(&self, method: &Method, target: &str) -> bool {
        self.lock()[self.attempt()].head.as_ref().is_some_and(|head| head.is_of(method, target))
    }

    /// Returns true if the rules of a layer of this log around the request name it. `limits`: a layer within has its own limit
    /// of results.
    pub(crate) fn is_named_around(&self, log: LogId, limits: bool) -> bool {
        let mut attempts = self.lock();
        let Some(nearest) = attempts.nearest(self.attempt(), log) else { return false };
        attempts[nearest].is_limited_within |= limits;
        let named = attempts.named(nearest);
        !attempts[named].matching_rules.is_empty()
    }

    /// Returns true if an event type was declared and no layer of this log is around to record it.
    pub(crate) fn declared_for(&self, log: LogId) -> bool {
        let attempts = self.lock();
        attempts.nearest(self.attempt(), log).is_none() && attempts.declared(self.attempt()).is_some()
    }

    /// Adds the headers and the parameters of the query that the rules of the layer ask for.
    pub(crate) fn capture_parts(&self, headers: &HeaderMap, uri: &Uri) {
        let mut attempts = self.lock();
        let attempt = self.attempt();
        let Some(layer) = &attempts[attempt].layer else { return };
        let settings = attempts.settings(attempt).unwrap_or(&layer.policy);
        let captured = captured(&layer.policy, settings, attempts[attempt].matching_rules, headers, uri);
        attempts[attempt].values_mut().details.extend(captured);
    }

    /// The part of the request's body that the rules of the layer ask for.
    pub(crate) fn body_capture(&self) -> Option<BodyCapture> {
        let attempts = self.lock();
        let attempt = &attempts[self.attempt()];
        let policy = &attempt.layer.as_ref()?.policy;
        let asked = attempt.matching_rules.iter().filter_map(|index| policy.rule(index).capture()?.body);
        asked.max_by_key(|capture| *capture == BodyCapture::Redacted)
    }

    /// Hides what looks like a credential in members of the request's body.
    pub(crate) fn redact_members(&self, members: &mut Value) {
        let attempts = self.lock();
        let attempt = self.attempt();
        let own = || attempts[attempt].layer.as_ref().map(|layer| &layer.policy);
        match attempts.settings(attempt).or_else(own) {
            Some(settings) => settings.capture_config().redact_members(members),
            None => *members = Value::Null,
        }
    }

    /// Notes that a layer within has its own limit of results.
    pub(crate) fn mark_limited(&self) {
        self.lock()[self.attempt()].is_limited_within = true;
    }

    /// Marks the handler as about to be called. Returns false if it must not be.
    pub(crate) fn begin(&self) -> bool {
        self.lock().begin(self.attempt())
    }

    /// Marks the attempt as one that no caller waits for.
    pub(crate) fn detach(&self) {
        self.lock().detach(self.attempt());
    }

    /// The id of the `started` event, if there is one.
    pub(crate) fn started_event_id(&self) -> Option<EventId> {
        self.lock()[self.attempt()].started.as_ref().map(|started| started.event_id)
    }

    /// Returns true if no caller waits for the attempt any more.
    pub(crate) fn is_detached(&self) -> bool {
        self.lock().is_detached(self.attempt())
    }

    /// Ends the handler of the attempt at its next poll.
    pub(crate) fn cancel(&self) {
        self.state.cancel(self.attempt());
    }

    /// Ends the handler at its next poll if a layer of the log around it has ended it: its time and its number count once, not
    /// for each layer. Returns true if it is ended.
    pub(crate) fn cancel_with_outer(&self) -> bool {
        self.state.cancel_with_outer(self.attempt())
    }

    /// Returns true if the handler of the attempt is to be dropped.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.is_cancelled(self.attempt())
    }

    /// The time for which the request may still wait for its events.
    pub(crate) fn time_left(&self) -> Duration {
        self.lock().time_left(self.attempt(), Instant::now())
    }

    /// Begins a wait for an event, within the time that the request has left.
    pub(crate) fn begin_wait(&self) -> Wait {
        Wait::begin(Arc::clone(&self.state), self.attempt())
    }

    /// Settles the attempt. Returns true if the request has others.
    pub(crate) fn settle(&self, stage: AttemptStage) -> bool {
        self.state.settle(self.attempt(), stage)
    }

    /// Waits until no layer within is about to record the end of the request.
    pub(crate) async fn inner_attempts_settled(&self) {
        self.state.inner_attempts_settled(self.attempt()).await;
    }

    /// Writes into an event of this attempt the facts that were added since it was made.
    pub(crate) fn amend(&self, event: &mut AuditEvent) {
        let mut attempts = self.lock();
        attempts.write_names(self.attempt(), event);
        let mut details = attempts.take_details(self.attempt());
        attempts.redact_details(self.attempt(), &mut details);
        event.details.append(&mut details);
    }

    /// Notes the actor in the extensions of the request or of its response.
    pub(crate) fn find_actor(&self, extensions: &Extensions) {
        if let Some(actor) = actor_in(extensions) {
            let actor = Some(actor.clone());
            self.update(|values| values.extension_actor = actor);
        }
    }

    fn update(&self, change: impl FnOnce(&mut ContextValues)) -> &Self {
        change(self.lock()[self.attempt()].values_mut());
        self
    }
}

impl AuditContext {
    /// Sets the actor. Empty fields are filled in from the request.
    pub fn actor(&self, actor: Actor) -> &Self {
        self.update(|values| values.actor = Some(actor))
    }

    /// Sets the principal for whom the actor acts: a supporter for a user, an agent for a person. Both are recorded. See
    /// [`Actor::acting_for`].
    pub fn acting_for(&self, name: impl Into<CompactText>) -> &Self {
        let name = name.into();
        self.update(|values| values.acting_for = Some(name))
    }

    /// Adds an object that the request is about: `order/7`. The targets that are named here replace the one that
    /// [the policy](crate::Rule::target) takes from the path. See [`Target`] for the limits.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use tower_audit::{AuditContext, Target};
    ///
    /// async fn ship(audit: AuditContext) {
    ///     audit.target("order", 7);
    ///     audit.targets(["a", "b"].map(|item| Target::new("item", item).with_label("an item")));
    /// }
    /// # }
    /// ```
    pub fn target(&self, target_type: impl Into<CompactText>, id: impl std::fmt::Display) -> &Self {
        // Made before the lock is taken: the conversions are the app's, and may use the context.
        let target = Target::new(target_type, id);
        self.update(|values| values.targets.insert(target))
    }

    /// Adds several objects, or one with a label. See [`target`](Self::target).
    pub fn targets(&self, targets: impl IntoIterator<Item = Target>) -> &Self {
        // Iterated before the lock is taken: the iterator is the app's, and may use the context.
        let targets: Targets = targets.into_iter().collect();
        self.update(|values| values.targets.append(targets))
    }

    /// Adds one detail. A later one replaces it under the same key.
    pub fn detail(&self, key: impl Into<String>, value: impl Into<Value>) -> &Self {
        // Converted before the lock is taken: the conversion is the app's, and may use the context.
        let (key, value) = (key.into(), value.into());
        self.update(|values| {
            values.details.insert(key, value);
        })
    }

    /// Adds several details.
    pub fn details(&self, details: Details) -> &Self {
        self.update(|values| values.details.extend(details))
    }

    /// Adds the differences between an object before and after the action, as `details.changes`: see [`ChangeSet`]. A further
    /// call adds to them. If there is no object on one side, `&()` or `&None::<Order>` stands for it.
    ///
    /// Values that are no JSON, such as a map whose keys are lists, leave `details.changes_error`.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use tower_audit::AuditContext;
    ///
    /// #[derive(Clone, serde::Serialize)]
    /// struct Order {
    ///     status: &'static str,
    /// }
    ///
    /// async fn ship(audit: AuditContext) {
    ///     let before = Order { status: "open" };
    ///     let after = Order { status: "shipped" };
    ///     audit.target("order", 7).diff(&before, &after);
    /// }
    /// # }
    /// ```
    pub fn diff(&self, before: &impl serde::Serialize, after: &impl serde::Serialize) -> &Self {
        // Serialized before the lock is taken: it is the app's code.
        match ChangeSet::between(before, after) {
            Ok(changes) => self.update(|values| changes.add_to(&mut values.details)),
            Err(_) => self.detail("changes_error", "the values are no JSON"),
        }
    }

    /// Sets the type of the event, and so makes the request an audited one.
    pub fn event_type(&self, event_type: EventType) -> &Self {
        self.update(|values| values.event_type = Some(event_type))
    }

    /// Records a sign-in of this actor: the type [`auth`](EventType::AUTH), classified as `authentication`, `login`.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use axum::http::StatusCode;
    /// use tower_audit::{Actor, AuditContext};
    ///
    /// async fn sign_in(audit: AuditContext, name: String) -> StatusCode {
    ///     if name == "alice" {
    ///         audit.login(Actor::user(name));
    ///         StatusCode::OK
    ///     } else {
    ///         audit.login_failed(name);
    ///         StatusCode::UNAUTHORIZED
    ///     }
    /// }
    ///
    /// async fn sign_out(audit: AuditContext) {
    ///     audit.logout();
    /// }
    /// # }
    /// ```
    pub fn login(&self, actor: Actor) -> &Self {
        self.authentication(nexus_iq::LOGIN).actor(actor)
    }

    /// Records a sign-out of the request's actor: the type [`auth`](EventType::AUTH), classified as `authentication`, `logout`.
    pub fn logout(&self) -> &Self {
        self.authentication(nexus_iq::LOGOUT)
    }

    /// Records a failed sign-in with this name: the type [`auth`](EventType::AUTH), classified as `authentication`, `failure`, with
    /// the error [`bad-authentication`](ErrorCode::BAD_AUTHENTICATION).
    ///
    /// The name is whatever the client gave; people type their password there at times. Pass an empty text to record none.
    pub fn login_failed(&self, name: impl Into<CompactText>) -> &Self {
        let name = Some(name.into()).filter(|name: &CompactText| !name.is_empty());
        let actor = Actor { user_email: name, ..Actor::default() };
        self.authentication(nexus_iq::FAILURE).actor(actor).error(ErrorCode::BAD_AUTHENTICATION)
    }

    fn authentication(&self, action: &'static str) -> &Self {
        self.event_type(EventType::AUTH).classify(nexus_iq::AUTHENTICATION, action)
    }

    /// Sets the error, if the status does not describe it well enough.
    pub fn error(&self, error: ErrorCode) -> &Self {
        self.update(|values| values.error = Some(error))
    }

    /// Sets the app's domain and action, `security.user`, `update`, in place of [the rule's](crate::Rule::classify).
    /// [`nexus_iq`] has those of Nexus IQ Server.
    pub fn classify(&self, domain: impl Into<CompactText>, action: impl Into<CompactText>) -> &Self {
        let (domain, action) = (domain.into(), action.into());
        self.update(|values| (values.domain, values.action) = (Some(domain), Some(action)))
    }

    /// Sets the number of results of a query before any limit, like the response extension [`ResultCount`](super::ResultCount).
    pub fn result_count(&self, count: u64) -> &Self {
        self.update(|values| values.result_count = Some(count))
    }

    /// Sets the status that the handler answers with if its transaction is committed: the outcome of an event that is
    /// written [in the transaction](Self::record_in). 200 by default.
    pub fn expect_status(&self, status: StatusCode) -> &Self {
        self.update(|values| values.expected_status = Some(status))
    }

    /// Sets the matching route template, for apps without axum's router.
    pub fn route(&self, template: impl Into<CompactText>) -> &Self {
        let template = template.into();
        self.update(|values| values.route = Some(template))
    }

    /// Sets the trace id: 32 hexadecimal digits in lower case, not all zero, as W3C Trace Context has them. Any other text
    /// is ignored. Without a call, it is that of [`AuditLayer::trace_id`](crate::AuditLayer::trace_id), or of the header
    /// `traceparent`.
    pub fn trace_id(&self, id: impl Into<CompactText>) -> &Self {
        let id = id.into();
        self.update(|values| {
            if is_trace_id(id.as_bytes()) {
                values.trace_id = Some(id);
            }
        })
    }

    /// The id that all events of the request share: the client's `x-request-id`, if it is bounded and clean, or one made
    /// for the request.
    pub fn request_id(&self) -> String {
        self.lock().request_id().to_string()
    }
}

impl std::fmt::Debug for AuditContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditContext").finish_non_exhaustive()
    }
}
