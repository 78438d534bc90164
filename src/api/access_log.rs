//! The audit events of reads.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Caller;
use super::operation::Operation;
use super::query_params::Params;
use crate::AuditLog;
use crate::event::{Actor, AuditEvent, BoundedEvent, EventId, EventType, Phase};
use crate::writer::{IfRefused, InFlightGuard};

/// The audit event of a read, before it is recorded.
#[derive(Debug, Clone)]
pub(crate) struct AccessEvent(AuditEvent);

impl AccessEvent {
    /// An event of this caller and operation, with outcome 200.
    pub(crate) fn of(caller: &Caller, head: &Parts, operation: &Operation) -> Self {
        let mut event = AuditEvent::new(EventType::AUDIT_READ);
        event.actor = Actor::user(caller.name());
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        event.actor.remote_addr = peer.map(|ConnectInfo(peer)| peer.ip().to_canonical().to_string().into());
        event.resource.route = head.extensions.get::<MatchedPath>().map(|path| path.as_str().into());
        event.resource.method = Some(head.method.as_str().into());
        event.outcome = Some(StatusCode::OK.as_u16());
        event.details.insert("read".into(), operation.name.into());
        Self(event)
    }

    /// Adds the filters as given: a text, or a list if a filter has several values.
    pub(crate) fn params(self, params: &Params) -> Self {
        let mut given = Map::new();
        for (name, value) in &params.raw_filters {
            let value = Value::from(value.as_str());
            match given.get_mut(*name) {
                None => drop(given.insert((*name).into(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        self.detail("filter", Value::Object(given))
    }

    /// Sets the number of shown or counted events.
    pub(crate) fn count(self, count: u64) -> Self {
        self.detail("count", count)
    }

    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(name.into(), value.into());
        self
    }

    /// Sets the status of an error: no event was shown.
    pub(crate) fn rejected(mut self, status: StatusCode) -> Self {
        self.0.outcome = Some(status.as_u16());
        self.count(0)
    }

    pub(crate) fn into_event(self) -> AuditEvent {
        self.0
    }
}

/// The two events of an export. `started` is durable before the first byte; `completed` has the number of sent events.
#[derive(Debug)]
pub(crate) struct ExportAccess {
    log: AuditLog,
    completed: Option<AuditEvent>,
    /// The `completed` event, while it is written: the client may leave.
    unwritten: Option<BoundedEvent>,
    released: u64,
    /// Makes closing the log wait for the second event.
    in_flight: Option<InFlightGuard>,
}

impl ExportAccess {
    /// Records the `started` event.
    pub(crate) async fn begin(log: &AuditLog, record: AccessEvent) -> Result<Self, crate::RecordError> {
        let in_flight = log.begin_request();
        let completed = record.into_event();
        let mut started = AuditEvent::new(EventType::AUDIT_READ);
        let (event_id, created_at) = (started.event_id, started.created_at);
        started = AuditEvent { event_id, created_at, phase: Phase::Started, outcome: None, ..completed.clone() };
        let deadline = Instant::now() + log.write_timeout();
        // The log ends it, if it becomes durable after the export was refused.
        log.write(BoundedEvent::new(Box::new(started)), deadline, IfRefused::EndNotRun).await?;
        let completed = Some(with_start(completed, event_id));
        Ok(Self { log: log.clone(), completed, unwritten: None, released: 0, in_flight })
    }

    /// Counts the events of a page that is sent next.
    pub(crate) fn release(&mut self, events: usize) {
        self.released += events as u64;
    }

    /// Records the `completed` event, before the last page is sent.
    pub(crate) async fn complete(&mut self) -> Result<(), crate::RecordError> {
        let Some(event) = self.take("complete") else { return Ok(()) };
        let event = self.unwritten.insert(event).clone();
        let deadline = Instant::now() + self.log.write_timeout();
        let written = self.log.write(event, deadline, IfRefused::Leave).await;
        self.unwritten = None;
        written
    }

    /// Leaves the `completed` event of an export that broke off to the log, which writes it until the store answers.
    pub(crate) fn abandon(&mut self, end: &'static str) {
        // With the id that it has been given to the log with: a store has it once.
        if let Some(event) = self.unwritten.take().or_else(|| self.take(end)) {
            self.log.write_later(event);
            self.in_flight = None;
        }
    }

    fn take(&mut self, end: &'static str) -> Option<BoundedEvent> {
        let completed = self.completed.take()?;
        // The event has the time of the end.
        let (event_id, created_at) = EventId::new_with_time();
        let event = AuditEvent { event_id, created_at, ..completed };
        let event = AccessEvent(event).count(self.released).detail("body_end", end).into_event();
        Some(BoundedEvent::new(Box::new(event)))
    }
}

impl Drop for ExportAccess {
    fn drop(&mut self) {
        self.abandon("dropped");
    }
}

fn with_start(mut completed: AuditEvent, started: EventId) -> AuditEvent {
    completed.request.started_event_id = Some(started);
    completed
}
