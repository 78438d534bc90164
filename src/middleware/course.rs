//! The course of one audited request, from its arrival to the release of its response.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::response::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::abandonable::Abandonable;
use super::body::EndOfBody;
use super::problem;
use super::scoped::{Panic, Scoped, scoped};
use super::{AuditBody, BodyError};
use crate::capture::scope::{LogId, Slot};
use crate::capture::{AuditContext, Claim, ContextData, ResultCount, Shared, Started, Written};
use crate::event::{AuditEvent, ErrorCode, EventId, EventType, Phase};
use crate::policy::{AuditPolicy, Candidates, Decision, Ended, FailMode};
use crate::store::TransactionId;
use crate::writer::{IfRefused, InFlightGuard};

/// The course of one audited request. It owns what it needs, so that it can run to its end wherever it is polled.
pub(super) struct Course {
    pub(super) shared: Arc<Shared>,
    pub(super) context: AuditContext,
    pub(super) candidates: Candidates,
    /// The rule whose `started` event comes before the handler.
    pub(super) write_ahead: Option<usize>,
    pub(super) arrived: Instant,
    /// How long the request may still wait for its events, all of them together.
    pub(super) budget: Duration,
    /// Keeps a closing log waiting.
    pub(super) in_flight: Option<InFlightGuard>,
}

/// How a handler ended.
pub(super) enum End<R, E> {
    Response(Parts, R),
    Error(E),
    Panic(Panic),
    /// Nobody polled it to its end, and it could not be driven there.
    Dropped,
}

impl<R, E> End<R, E> {
    pub(super) fn response(response: Response<R>) -> Self {
        let (parts, body) = response.into_parts();
        Self::Response(parts, body)
    }

    /// The head of the response, if there is one.
    pub(super) fn parts(&self) -> Option<&Parts> {
        if let Self::Response(parts, _) = self { Some(parts) } else { None }
    }

    /// The outcome, if there is one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Response(parts, _) => Some(parts.status),
            Self::Error(_) | Self::Panic(_) => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Dropped => None,
        }
    }

    fn marked(mut self, log: LogId) -> Self {
        if let Self::Response(parts, _) = &mut self {
            parts.extensions.insert(Recorded(log));
        }
        self
    }
}

/// Marks the response of a request that is recorded, for a layer further out that runs on another task.
#[derive(Clone, Copy)]
pub(super) struct Recorded(pub(super) LogId);

/// What a course ends with. None only after [`End::Dropped`].
pub(super) type Released<R, E> = Option<Result<Response<AuditBody<R>>, E>>;

impl Course {
    pub(super) fn new(shared: &Arc<Shared>, context: AuditContext, candidates: Candidates) -> Self {
        Self {
            shared: Arc::clone(shared),
            context,
            candidates,
            write_ahead: shared.policy.write_ahead(candidates),
            arrived: Instant::now(),
            budget: shared.log.write_budget(),
            in_flight: shared.log.enter(),
        }
    }

    /// Writes the `started` event, and only then calls the handler.
    pub(super) async fn run_ahead<S, B, R>(mut self, mut service: S, request: Request<B>) -> Released<R, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Future: Send,
        S::Error: Send,
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        if let Err(refusal) = self.write_started().await {
            return Some(Ok(refusal));
        }
        let mut slot = Slot::Held(self.context.clone());
        match scoped(&mut slot, || service.call(request)) {
            Ok(future) => self.run(Scoped::new(future, slot)).await,
            Err(panic) => self.finish(End::Panic(panic)).await,
        }
    }

    /// Runs a handler that was called, records how it ended, releases the response.
    ///
    /// Chained, not awaited: an `async` block would have room for the handler, for its course, and for what comes after
    /// them, where one takes the place of the other.
    pub(super) fn run<F, R, E>(self, handler: Scoped<F>) -> impl Future<Output = Released<R, E>> + Send
    where
        F: Future<Output = Result<Response<R>, E>> + Send,
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
    {
        Abandonable::new(handler).then(|result| self.finish(result.map_or(End::Dropped, ended)))
    }

    /// Makes the `started` event durable. An error is the answer to the client: the handler must not run.
    async fn write_started<R>(&mut self) -> Result<(), Response<AuditBody<R>>> {
        let Some(index) = self.write_ahead else { return Ok(()) };
        let rule = self.shared.policy.rule_at(index);
        let mut event = {
            let mut data = self.context.lock();
            if data.started.is_some() {
                // A layer further out has written it.
                return Ok(());
            }
            let event_type = data.event_type.clone().unwrap_or_else(|| rule.event_type().clone());
            data.event(event_type, &self.shared.policy, Some(index))
        };
        event.phase = Phase::Started;
        event.fit();
        let started = Started {
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            fail_mode: rule.failing(),
            body_end: rule.is_body_end(),
        };
        let begun = Instant::now();
        // The log has an owner for it, if it becomes durable after this request was refused.
        let if_refused = match started.fail_mode {
            FailMode::Open => IfRefused::Leave,
            _ => IfRefused::EndNotRun,
        };
        let written = self.shared.log.write(event, begun + self.budget, if_refused).await;
        self.budget = self.budget.saturating_sub(begun.elapsed());
        match written {
            Ok(()) => self.context.lock().started = Some(started),
            Err(_) if started.fail_mode == FailMode::Open => self.shared.log.let_go(),
            Err(_) => {
                // A layer further out must not take the refusal for an outcome.
                self.context.settle(false);
                return Err(problem::not_done(started.event_id));
            }
        }
        Ok(())
    }

    /// Records how the handler ended and releases the response, or what takes its place.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for each argument twice")]
    pub(super) fn finish<R, E>(mut self, end: End<R, E>) -> impl Future<Output = Released<R, E>> + Send
    where
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
    {
        async move {
            let is_recorded_elsewhere = end.parts().is_some_and(|parts| {
                parts.extensions.get::<Recorded>().is_some_and(|recorded| recorded.0 == self.shared.log_id)
            });
            let verdict = self.decide(&end, is_recorded_elsewhere);
            if let Verdict::Record(.., Some(written)) | Verdict::Nothing(Some(written)) = verdict {
                // Boxed, because few requests have room for it to spare.
                match Box::pin(self.is_committed(written, end.status())).await {
                    Ok(true) => {
                        self.context.settle(true);
                        return release(end.marked(self.shared.log_id), None);
                    }
                    Ok(false) => {}
                    Err(()) => {
                        if let Verdict::Record(event, ..) = verdict {
                            self.shared.log.watch(event, written.transaction);
                        }
                        return self.give_up(end, written.event_id, written.fail_mode);
                    }
                }
            }
            let (event, decision, written) = match verdict {
                Verdict::Record(event, decision, written) => (event, decision, written),
                Verdict::Nothing(written) => {
                    if written.is_some() {
                        self.context.settle(true);
                    }
                    return release(end, None);
                }
                Verdict::Elsewhere => {
                    let is_written = is_recorded_elsewhere || self.context.settled().await;
                    let has_refusal =
                        end.parts().is_some_and(|parts| parts.headers.contains_key(problem::AUDIT_EVENT_ID));
                    return match end {
                        // Only a layer between the two can have made another response of the refusal.
                        End::Response(..) if !is_written && !has_refusal => {
                            Some(Ok(problem::not_recorded(EventId::new())))
                        }
                        end => release(end, None),
                    };
                }
            };
            let id = event.event_id;
            let transaction = written.map(|written| written.transaction);
            if decision.body_end && body_follows(&end, event.resource.method.as_deref()) {
                self.context.settle(true);
                let end_of_body = EndOfBody::new(
                    self.shared.log.clone(),
                    (event, transaction),
                    decision.fail_mode,
                    self.budget,
                    self.arrived,
                    end.parts().and_then(content_length),
                    self.in_flight.take(),
                );
                return release(end.marked(self.shared.log_id), Some(end_of_body));
            }
            match self.write(event, transaction).await {
                Ok(()) => {
                    self.context.settle(true);
                    release(end.marked(self.shared.log_id), None)
                }
                Err(()) => self.give_up(end, id, decision.fail_mode),
            }
        }
    }

    /// The event is not written, or nobody knows.
    fn give_up<R, E>(&self, end: End<R, E>, id: EventId, fail_mode: FailMode) -> Released<R, E>
    where
        R: Body,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        let may_leave = fail_mode == FailMode::Open;
        if may_leave {
            self.shared.log.let_go();
        }
        self.context.settle(may_leave);
        match end {
            // A panic goes on as it would have; there is no response that could be withheld.
            End::Response(..) | End::Error(_) if !may_leave => Some(Ok(problem::not_recorded(id))),
            end => release(end.marked(self.shared.log_id), None),
        }
    }

    /// Which event the end of the handler makes, if any.
    fn decide<R, E>(&self, end: &End<R, E>, is_recorded_elsewhere: bool) -> Verdict {
        if is_recorded_elsewhere {
            return Verdict::Elsewhere;
        }
        let parts = end.parts();
        // Read before the lock: the callback is the app's, and may use the context.
        let read_off = parts.map(|parts| self.shared.details(parts)).unwrap_or_default();
        let mut data = self.context.lock();
        if data.claim != Claim::Open {
            return Verdict::Elsewhere;
        }
        let inner = data.inner.clone();
        let (policy, candidates) = match &inner {
            Some(inner) => (&inner.policy, inner.candidates),
            None => (&self.shared.policy, self.candidates),
        };
        let status = parts.map(|parts| parts.status);
        let said = parts.and_then(|parts| parts.extensions.get::<ResultCount>().map(|count| count.0));
        let result_count = data.result_count.or(said);
        let ended = Ended {
            status,
            abnormal: !matches!(end, End::Response(..)),
            result_count,
            declared: data.event_type.as_ref(),
        };
        let written = data.written;
        let Some(decided) = decided(policy, candidates, &ended, data.started.as_ref()) else {
            if written.is_some() {
                data.claim = Claim::Writing;
            }
            return Verdict::Nothing(written);
        };
        data.claim = Claim::Writing;
        let mut event = data.event(decided.event_type.clone(), policy, decided.rule);
        event.details = read_off;
        event.details.append(&mut data.details);
        policy.capture().redact_details(&mut event.details);
        describe(&mut event, end, &mut data);
        describe_query(&mut event, result_count, policy.max_results().or(self.shared.policy.max_results()));
        // Nobody needs the head any more, and its parts keep the memory that the server has read the request into.
        let head = data.head.take();
        drop(data);
        drop(head);
        event.request.duration_us = u64::try_from(self.arrived.elapsed().as_micros()).ok();
        event.fit();
        Verdict::Record(event, decided, written)
    }

    /// Writes an event within what is left of the budget. The writer has said why, if it fails.
    /// `transaction`: which the handler wrote it in.
    async fn write(&self, event: Box<AuditEvent>, transaction: Option<TransactionId>) -> Result<(), ()> {
        let deadline = Instant::now() + self.budget;
        self.shared.log.write_or_watch(event, deadline, transaction).await.map_err(|_| ())
    }
}

/// How a handler ended whose future is ready.
pub(super) fn ended<R, E>(result: Result<Result<Response<R>, E>, Panic>) -> End<R, E> {
    match result {
        Ok(Ok(response)) => End::response(response),
        Ok(Err(error)) => End::Error(error),
        Err(panic) => End::Panic(panic),
    }
}

/// What the end of a handler comes to.
enum Verdict {
    /// This event, unless the one is committed that the handler wrote in a transaction.
    Record(Box<AuditEvent>, Decided, Option<Written>),
    /// No rule wants it; the handler may have written its event all the same.
    Nothing(Option<Written>),
    /// Another layer around the same request has it.
    Elsewhere,
}

pub(super) struct Decided {
    pub(super) rule: Option<usize>,
    pub(super) event_type: EventType,
    pub(super) fail_mode: FailMode,
    body_end: bool,
}

/// Whether a request that ended like this is recorded, and how.
pub(super) fn decided(
    policy: &AuditPolicy,
    candidates: Candidates,
    ended: &Ended<'_>,
    started: Option<&Started>,
) -> Option<Decided> {
    match (policy.decide(candidates, ended), started) {
        (Some(Decision { rule, event_type, fail_mode }), _) => Some(Decided {
            body_end: rule.is_some_and(|rule| policy.rule_at(rule).is_body_end()),
            rule,
            event_type,
            fail_mode,
        }),
        // What was started must be ended, whatever came of it.
        (None, Some(started)) => Some(Decided {
            body_end: started.body_end,
            rule: None,
            event_type: started.event_type.clone(),
            fail_mode: started.fail_mode,
        }),
        (None, None) => None,
    }
}

/// Says in the event of a query that it had too many results.
pub(super) fn describe_query(event: &mut AuditEvent, result_count: Option<u64>, max_results: Option<u64>) {
    if event.event_type == EventType::OVERSIZE_QUERY {
        event.details.insert("result_count".into(), result_count.into());
        event.details.insert("max_results".into(), max_results.into());
    }
}

/// Says in the event how the handler ended.
fn describe<R, E>(event: &mut AuditEvent, end: &End<R, E>, data: &mut ContextData) {
    let detail = match end {
        End::Response(..) => None,
        End::Error(_) => Some("service_error"),
        End::Panic(_) => Some("panic"),
        End::Dropped => Some("aborted"),
    };
    event.details.extend(detail.map(|detail| (detail.into(), true.into())));
    let outcome = end.status();
    event.outcome = outcome.map(|status| status.as_u16());
    event.classification.error = data.error.take().or_else(|| outcome.and_then(ErrorCode::from_status));
}

/// Lets go of what the handler made.
fn release<R, E>(end: End<R, E>, end_of_body: Option<EndOfBody>) -> Released<R, E>
where
    R: Body,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    match end {
        End::Response(parts, body) => Some(Ok(Response::from_parts(parts, AuditBody::inner(body, end_of_body)))),
        End::Error(error) => Some(Err(error)),
        End::Panic(panic) => resume_unwind(panic),
        End::Dropped => None,
    }
}

/// Whether the client will be sent a body whose end can be waited for.
fn body_follows<R: Body, E>(end: &End<R, E>, method: Option<&str>) -> bool {
    let End::Response(Parts { status, .. }, body) = end else { return false };
    let is_bodiless =
        status.is_informational() || *status == StatusCode::NO_CONTENT || *status == StatusCode::NOT_MODIFIED;
    !is_bodiless && method != Some("HEAD") && !body.is_end_stream()
}

fn content_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The boxed course of a request.
pub(super) type BoxedCourse<R, E> = Pin<Box<dyn Future<Output = Released<R, E>> + Send>>;
