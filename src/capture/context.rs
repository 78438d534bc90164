//! What a handler or an inner layer adds to the event of its request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde_json::Value;
use tokio::sync::Notify;

use super::head::{RequestHead, new_request_id};
use super::scope::{self, LogId};
use super::shared::Shared;
use crate::event::{Actor, AuditEvent, Details, ErrorCode, EventId, EventType, Text, Timestamp};
use crate::policy::{AuditPolicy, Candidates, FailMode};
use crate::store::TransactionId;

/// What a handler or an inner layer adds to the event of its request. Cheap to clone; all clones are the same.
///
/// With axum it is an extractor. Elsewhere it is in the extensions of each request that a rule of the policy names, and
/// [`AuditContext::current`] finds it within the task that runs the handler. Where no layer is around, or the log is
/// off, it takes everything and nothing comes of it.
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
pub struct AuditContext(Arc<ContextShared>);

#[derive(Default)]
struct ContextShared {
    /// The outermost layer around the request; none where there is no layer.
    layer: Option<Arc<Shared>>,
    data: Mutex<ContextData>,
    /// Wakes those who wait for the claim to be settled.
    settled: Notify,
}

/// Which of several layers around a request records it: the first to see its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Claim {
    #[default]
    Open,
    /// A layer is at it.
    Writing,
    /// Done; whether the response may leave.
    Settled(bool),
}

/// A `started` event that is durable.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) event_id: EventId,
    pub(crate) event_type: EventType,
    pub(crate) fail_mode: FailMode,
    pub(crate) body_end: bool,
}

/// The event of the request, as it was written in a transaction of the handler's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) event_id: EventId,
    pub(crate) created_at: Timestamp,
    pub(crate) transaction: TransactionId,
    pub(crate) outcome: StatusCode,
    pub(crate) fail_mode: FailMode,
}

#[derive(Debug, Default)]
pub(crate) struct ContextData {
    pub(crate) head: Option<RequestHead>,
    pub(crate) actor: Option<Actor>,
    pub(crate) details: Details,
    pub(crate) event_type: Option<EventType>,
    pub(crate) error: Option<ErrorCode>,
    pub(crate) domain: Option<Text>,
    pub(crate) action: Option<Text>,
    pub(crate) route: Option<Text>,
    pub(crate) result_count: Option<u64>,
    pub(crate) request_id: Option<Text>,
    pub(crate) started: Option<Started>,
    /// The status that the handler will answer with if its transaction is committed.
    pub(crate) foreseen: Option<StatusCode>,
    pub(crate) written: Option<Written>,
    /// The rules of the outermost layer that name the request.
    pub(crate) candidates: Candidates,
    pub(crate) claim: Claim,
    /// What a layer nearer to the handler has to say.
    pub(crate) inner: Option<Override>,
}

/// The policy of a layer nearer to the handler, and which of its rules the request is a candidate for.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub(crate) policy: AuditPolicy,
    pub(crate) candidates: Candidates,
}

impl AuditContext {
    pub(crate) fn new(layer: Arc<Shared>, head: Option<RequestHead>) -> Self {
        let data = Mutex::new(ContextData { head, ..ContextData::default() });
        Self(Arc::new(ContextShared { layer: Some(layer), data, settled: Notify::new() }))
    }

    /// A context that nobody reads.
    #[cfg(feature = "axum")]
    fn idle() -> Self {
        Self(Arc::default())
    }

    /// The context of the request that the current task is handling, if a layer is around it.
    ///
    /// Found while the handler's future is polled; a task that the handler spawns takes a clone with it.
    pub fn current() -> Option<Self> {
        scope::current()
    }

    /// The outermost layer around the request.
    pub(crate) fn layer(&self) -> Option<&Arc<Shared>> {
        self.0.layer.as_ref()
    }

    /// Whether it is one of this log.
    pub(crate) fn is_of(&self, log: LogId) -> bool {
        self.layer().is_some_and(|layer| layer.log_id == log)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ContextData> {
        // Nothing under this lock panics half way through a change.
        self.0.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the request is recorded, or could not be; whether the response may leave.
    pub(crate) fn settle(&self, may_leave: bool) {
        self.lock().claim = Claim::Settled(may_leave);
        self.0.settled.notify_waiters();
    }

    /// Waits for the layer that is at it; whether the response may leave.
    pub(crate) async fn settled(&self) -> bool {
        loop {
            let mut settled = std::pin::pin!(self.0.settled.notified());
            settled.as_mut().enable();
            if let Claim::Settled(may_leave) = self.lock().claim {
                return may_leave;
            }
            settled.await;
        }
    }

    /// Says who did it. Fields that are left empty are filled in from the request.
    pub fn actor(&self, actor: Actor) -> &Self {
        self.lock().actor = Some(actor);
        self
    }

    /// Adds one detail; the last one under a key counts.
    pub fn detail(&self, key: impl Into<String>, value: impl Into<Value>) -> &Self {
        self.lock().details.insert(key.into(), value.into());
        self
    }

    /// Adds several details.
    pub fn details(&self, details: Details) -> &Self {
        self.lock().details.extend(details);
        self
    }

    /// Names the type of the event, and so makes the request an audited one.
    pub fn event_type(&self, event_type: EventType) -> &Self {
        self.lock().event_type = Some(event_type);
        self
    }

    /// Says how it went wrong, where the status does not say it well enough.
    pub fn error(&self, error: ErrorCode) -> &Self {
        self.lock().error = Some(error);
        self
    }

    /// Says how the app calls what was done: `security.user`, `update`.
    pub fn classify(&self, domain: impl Into<Text>, action: impl Into<Text>) -> &Self {
        let mut data = self.lock();
        data.domain = Some(domain.into());
        data.action = Some(action.into());
        drop(data);
        self
    }

    /// Says how many results a query had before any limit, like the response extension [`ResultCount`](super::ResultCount).
    pub fn result_count(&self, count: u64) -> &Self {
        self.lock().result_count = Some(count);
        self
    }

    /// Says which status the handler will answer with if its transaction is committed: what an event says that is
    /// written [in the transaction](Self::record_in). 200 if nothing is said.
    pub fn foresee(&self, status: StatusCode) -> &Self {
        self.lock().foreseen = Some(status);
        self
    }

    /// Says which route template matched, where no router of axum does.
    pub fn route(&self, template: impl Into<Text>) -> &Self {
        self.lock().route = Some(template.into());
        self
    }

    /// The id that all events of the request share: the client's `x-request-id`, if it is bounded and clean, or one made
    /// for the request.
    pub fn request_id(&self) -> String {
        self.lock().request_id().to_string()
    }
}

impl ContextData {
    pub(crate) fn request_id(&mut self) -> &Text {
        let head = &self.head;
        self.request_id
            .get_or_insert_with(|| head.as_ref().and_then(RequestHead::clean_request_id).unwrap_or_else(new_request_id))
    }

    /// An event with everything that is known so far.
    pub(crate) fn event(
        &mut self,
        event_type: EventType,
        policy: &AuditPolicy,
        rule: Option<usize>,
    ) -> Box<AuditEvent> {
        let mut event = Box::new(AuditEvent::new(event_type));
        if let Some(written) = &self.written {
            // Of one request there is one event, whichever of the two it is.
            (event.event_id, event.created_at) = (written.event_id, written.created_at);
        }
        if let Some(head) = &self.head {
            head.fill_in(&mut event, policy, rule, self.route.as_ref());
        }
        if let Some(actor) = &self.actor {
            let known = std::mem::replace(&mut event.actor, actor.clone());
            let said = &mut event.actor;
            said.user_email = said.user_email.take().or(known.user_email);
            said.api_key_hash = said.api_key_hash.take().or(known.api_key_hash);
            said.remote_addr = said.remote_addr.take().or(known.remote_addr);
        }
        if let Some(route) = &self.route {
            event.resource.route = Some(route.clone());
        }
        event.classification.domain.clone_from(&self.domain);
        event.classification.action.clone_from(&self.action);
        event.request.started_event_id = self.started.as_ref().map(|started| started.event_id);
        event.request.request_id = Some(self.request_id().clone());
        event
    }
}

impl std::fmt::Debug for AuditContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditContext").finish_non_exhaustive()
    }
}

/// Always there: see [`AuditContext`].
#[cfg(feature = "axum")]
impl<S: Send + Sync> axum::extract::FromRequestParts<S> for AuditContext {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let context = parts.extensions.get::<Self>().cloned().or_else(scope::current).unwrap_or_else(Self::idle);
        context
            .lock()
            .head
            .get_or_insert_with(|| RequestHead::of(&parts.method, &parts.uri, &parts.headers, &parts.extensions));
        Ok(context)
    }
}
