//! A request that came through the gate.

use std::sync::Arc;

use http::request::Parts;

use super::api::Api;
use super::asked::Asked;
use super::bounded::{Cut, bounded};
use super::operation::Operation;
use super::record::Record;
use super::refusal::Refusal;
use super::{Caller, GateError};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Buckets, Condition, Field, Filter, Query, Tally};
use crate::store::{AuditStore, Reader, StoreErrorKind, StoreFuture};

/// A request that came through the gate: there is a store, and somebody is asking. Its methods are the only way from
/// a request to the store.
#[derive(Debug)]
pub(crate) struct Reading {
    api: Arc<Api>,
    store: Arc<dyn AuditStore>,
    pub(crate) caller: Caller,
    pub(crate) operation: &'static Operation,
    pub(crate) head: Parts,
}

impl Reading {
    /// The first two refusals: no store, then nobody asking.
    pub(crate) async fn admit(api: Arc<Api>, operation: &'static Operation, head: Parts) -> Result<Self, Refusal> {
        let store = api.readable_store().ok_or(Refusal::NoStore)?;
        let caller = match bounded(api.deadline, async { api.gate.caller(&head).await }).await {
            Ok(Ok(Some(caller))) if !caller.name().is_empty() => caller,
            Ok(Ok(_)) => return Err(Refusal::Anonymous { challenge: api.gate.challenge() }),
            Ok(Err(error)) => return Err(gate_failed("it returned an error", Some(&error))),
            Err(Cut::Panicked) => return Err(gate_failed("it panicked", None)),
            Err(Cut::Late) => return Err(gate_failed("it did not answer in time", None)),
        };
        Ok(Self { api, store, caller, operation, head })
    }

    /// The third: a question that makes no sense.
    pub(crate) fn asked(&self) -> Result<Asked, Refusal> {
        Asked::read(self.head.uri.query(), self.operation, &self.caller, Timestamp::now())
    }

    /// The fourth: who is no administrator asks for their own events, by name or by default. The store is not asked.
    pub(crate) async fn confine(&self, asked: &Asked) -> Result<Filter, Refusal> {
        let mut filter = asked.filter.clone();
        let Some(own) = self.caller.confined_to() else { return Ok(filter) };
        let theirs = Condition::from(own);
        match &filter.user_email {
            any if any.is_none() => filter.user_email = theirs,
            name if *name == theirs => {}
            _ => {
                self.record(Record::of(self).asked(asked).refused(Refusal::Forbidden.status())).await?;
                return Err(Refusal::Forbidden);
            }
        }
        Ok(filter)
    }

    pub(crate) async fn query(&self, query: &Query) -> Result<Vec<AuditEvent>, Refusal> {
        self.read(|reader| reader.query(query)).await
    }

    pub(crate) async fn count(&self, filter: &Filter) -> Result<u64, Refusal> {
        self.read(|reader| reader.count(filter)).await
    }

    pub(crate) async fn tally(&self, filter: &Filter, by: Field, at_most: usize) -> Result<Vec<Tally>, Refusal> {
        self.read(|reader| reader.tally(filter, by, at_most)).await
    }

    pub(crate) async fn activity(&self, filter: &Filter, buckets: &Buckets) -> Result<Vec<u64>, Refusal> {
        self.read(|reader| reader.activity(filter, buckets)).await
    }

    /// The event, if the caller may see it. The store is asked one question, with the caller's name in it: it does not
    /// know an event of another from none.
    pub(crate) async fn get(&self, id: EventId) -> Result<Option<AuditEvent>, Refusal> {
        let Some(own) = self.caller.confined_to() else { return self.read(|reader| reader.get(id)).await };
        let found = self.read(|reader| reader.get_of(id, own)).await?;
        // Whatever a store makes of the name.
        Ok(found.filter(|event| event.actor.user_email.as_deref() == Some(own)))
    }

    /// Records that this was read, if readings are recorded. What is not recorded is not shown.
    pub(crate) async fn record(&self, record: Record) -> Result<(), Refusal> {
        match &self.api.readings {
            Some(log) => log.record(record.into_event()).await.map(drop).map_err(|_| Refusal::Unrecorded),
            None => Ok(()),
        }
    }

    /// The log that readings are recorded in, if they are.
    pub(crate) fn readings(&self) -> Option<&crate::AuditLog> {
        self.api.readings.as_ref()
    }

    async fn read<'a, T>(&'a self, ask: impl FnOnce(&'a dyn Reader) -> StoreFuture<'a, T>) -> Result<T, Refusal> {
        let reader = self.store.reader().ok_or(Refusal::NoStore)?;
        let (refusal, why) = match bounded(self.api.deadline, async { ask(reader).await }).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                let refusal = match error.kind() {
                    StoreErrorKind::Transient => Refusal::StoreBusy,
                    StoreErrorKind::Denied => Refusal::StoreDenied,
                    _ => Refusal::StoreFailed,
                };
                tracing::error!(error = &error as &dyn std::error::Error, "the audit store cannot be read");
                return Err(refusal);
            }
            Err(Cut::Late) => (Refusal::StoreBusy, "it did not answer in time"),
            Err(Cut::Panicked) => (Refusal::StoreFailed, "it panicked"),
        };
        tracing::error!(store = self.store.capabilities().name, why, "the audit store cannot be read");
        Err(refusal)
    }
}

fn gate_failed(why: &'static str, error: Option<&GateError>) -> Refusal {
    let error = error.map(|error| &**error as &(dyn std::error::Error + 'static));
    tracing::error!(why, error, "the gate of the audit API failed: nothing is shown");
    Refusal::GateFailed
}
