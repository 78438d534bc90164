//! Appends that go wrong.

use std::borrow::Cow;

use serde_json::Value;

use super::super::fault::Fault;
use super::FaultyStore;
use crate::event::{AuditEvent, Classification, Details, EventId, Timestamp};
use crate::store::{StoreError, StoreErrorKind};

impl FaultyStore {
    pub(super) async fn append_faultily(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.shared.pass_gate().await;
        let Some(fault) = self.fault() else { return self.inner.append(events).await };
        match fault {
            Fault::FailsAppend(kind) => Err(self.error(kind, "append")),
            Fault::FailsFirst(_) if self.shared.is_to_fail() => Err(self.error(StoreErrorKind::Transient, "append")),
            Fault::StoresButReportsError => {
                self.inner.append(events).await?;
                if self.shared.is_to_fail() { Err(self.error(StoreErrorKind::Transient, "append")) } else { Ok(()) }
            }
            Fault::HangsAppend => std::future::pending().await,
            Fault::Panics => panic!("an injected fault"),
            Fault::AcknowledgesAfterClose => self.inner.append(events).await.or(Ok(())),
            Fault::HangsAfterClose => match self.inner.append(events).await {
                Ok(()) => Ok(()),
                Err(_) => std::future::pending().await,
            },
            Fault::LosesUnderConcurrency => self.append_beside_others(events).await,
            _ if self.refuses(fault, events) => self.refusal("append"),
            _ => {
                let kept = self.what_is_kept(fault, events);
                self.inner.append(&kept).await
            }
        }
    }

    fn refuses(&self, fault: Fault, events: &[AuditEvent]) -> bool {
        let any_text = |is_refused: fn(&str) -> bool| {
            events.iter().any(|event| {
                let mut refused = false;
                each_text(&mut event.clone(), &mut |text| refused |= is_refused(text));
                refused
            })
        };
        match fault {
            Fault::RejectsLongText => any_text(|text| text.len() > 255),
            Fault::RejectsHostileText => any_text(|text| text.contains(|c: char| c.is_control() || c == '\'')),
            Fault::RefusesEmptyBatches => events.is_empty(),
            Fault::RefusesRepeats => {
                let mut state = self.shared.state();
                let repeats = events.iter().any(|event| state.arrived.contains_key(&event.event_id));
                state.note(events, self.handle);
                repeats
            }
            Fault::InitBreaksAppends => self.shared.state().broken,
            _ => false,
        }
    }

    /// Returns the events that are stored under this fault.
    fn what_is_kept<'a>(&self, fault: Fault, events: &'a [AuditEvent]) -> Cow<'a, [AuditEvent]> {
        let mut state = self.shared.state();
        let state = &mut *state;
        let kept: Cow<'a, [AuditEvent]> = match fault {
            Fault::LosesLastOfBatch => Cow::Borrowed(&events[..events.len().saturating_sub(1)]),
            Fault::DelaysVisibility => Cow::Owned(std::mem::replace(&mut state.delayed, events.to_vec())),
            Fault::DropsBatchesWithRepeats
                if events.iter().any(|event| state.arrived.contains_key(&event.event_id)) =>
            {
                Cow::Borrowed(&[])
            }
            Fault::InitKeepsIds => {
                let is_new = |event: &&AuditEvent| !state.arrived.contains_key(&event.event_id);
                Cow::Owned(events.iter().filter(is_new).cloned().collect())
            }
            Fault::Upserts | Fault::StoresRepeats | Fault::StoresRepeatsOfOthers => {
                for event in events {
                    match state.arrived.get(&event.event_id) {
                        Some(_) if fault == Fault::Upserts => {
                            state.replaced.insert(event.event_id, event.clone());
                        }
                        Some((_, by)) if fault == Fault::StoresRepeats || *by != self.handle => {
                            state.repeated.push(event.clone());
                        }
                        _ => state.note(std::slice::from_ref(event), self.handle),
                    }
                }
                Cow::Borrowed(events)
            }
            Fault::MaintenanceForgetsIds => {
                // Only the answer is lost here, not the event: see `maintain_faultily`.
                let lost = &state.lost;
                state.repeated.extend(events.iter().filter(|event| lost.contains(&event.event_id)).cloned());
                Cow::Borrowed(events)
            }
            _ => Cow::Owned(events.iter().cloned().map(|event| distorted(fault, event)).collect()),
        };
        state.note(events, self.handle);
        kept
    }

    /// Loses an event of each append that meets another.
    async fn append_beside_others(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.shared.state().appending += 1;
        let mut met = false;
        for _ in 0..20 {
            met |= self.shared.state().appending > 1;
            tokio::task::yield_now().await;
        }
        let kept = if met { &events[..events.len().saturating_sub(1)] } else { events };
        let done = self.inner.append(kept).await;
        self.shared.state().appending -= 1;
        done
    }
}

/// Applies the fault to an event.
fn distorted(fault: Fault, mut event: AuditEvent) -> AuditEvent {
    match fault {
        Fault::LosesDetails => event.details = event.details.into_iter().take(1).collect(),
        Fault::LosesDepth => event.details.values_mut().for_each(|value| flatten(value, 3)),
        Fault::LosesUnknownFields => each_extra(&mut event, &mut Details::clear),
        Fault::LosesTargets => event.targets = event.targets.into_iter().take(1).collect(),
        Fault::LosesClassification => event.classification = Classification::default(),
        Fault::TruncatesText => each_text(&mut event, &mut |text| {
            let mut end = text.len().min(255);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }),
        Fault::LowersUserEmail => {
            event.actor.user_email = event.actor.user_email.map(|text| text.to_lowercase().into())
        }
        Fault::TrimsText => each_text(&mut event, &mut |text| *text = text.trim().to_owned()),
        Fault::DropsReplacements => each_text(&mut event, &mut |text| *text = text.replace('\u{fffd}', "")),
        Fault::ComposesAccents => each_text(&mut event, &mut |text| *text = text.replace("e\u{301}", "é")),
        Fault::EmptyIsNull => {
            let (actor, resource) = (&mut event.actor, &mut event.resource);
            for text in [&mut actor.user_email, &mut actor.remote_addr, &mut resource.route, &mut resource.method] {
                *text = text.take().filter(|text| !text.is_empty());
            }
        }
        Fault::NumbersAreFloats => each_value(&mut event, &mut |value| {
            if let Some(float) = value.as_f64() {
                *value = float.into();
            }
        }),
        Fault::RoundsFloats => each_value(&mut event, &mut |value| {
            if value.is_f64() {
                *value = value.as_f64().map(|float| f64::from_bits(float.to_bits() & !1)).into();
            }
        }),
        Fault::RoundsToMillis => {
            let micros = event.created_at.as_micros().div_euclid(1000) * 1000;
            event.created_at = Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN);
        }
        Fault::ClampsOutcome => event.outcome = event.outcome.map(|status| status.min(599)),
        Fault::HalvesIds => event.event_id = EventId::from_u128(event.event_id.as_u128() & u128::from(u64::MAX)),
        _ => {}
    }
    event
}

fn each_text(event: &mut AuditEvent, change: &mut dyn FnMut(&mut String)) {
    let (actor, resource) = (&mut event.actor, &mut event.resource);
    let (request, classification) = (&mut event.request, &mut event.classification);
    let places = [
        &mut actor.user_email,
        &mut actor.api_key_hash,
        &mut actor.remote_addr,
        &mut actor.acting_for,
        &mut resource.route,
        &mut resource.method,
        &mut request.request_id,
        &mut request.request_uri,
        &mut request.user_agent,
        &mut request.forwarded,
        &mut request.trace_id,
        &mut classification.domain,
        &mut classification.action,
    ];
    for place in places.into_iter().flatten() {
        let mut text = place.to_string();
        change(&mut text);
        *place = text.into();
    }
    each_value(event, &mut |value| {
        if let Value::String(text) = value {
            change(text);
        }
    });
}

/// Changes every value of the details that is no list and no object.
fn each_value(event: &mut AuditEvent, change: &mut dyn FnMut(&mut Value)) {
    fn within(value: &mut Value, change: &mut dyn FnMut(&mut Value)) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| within(item, change)),
            Value::Object(entries) => entries.values_mut().for_each(|entry| within(entry, change)),
            plain => change(plain),
        }
    }
    event.details.values_mut().for_each(|value| within(value, change));
}

fn each_extra(event: &mut AuditEvent, change: &mut dyn FnMut(&mut Details)) {
    for extra in [
        &mut event.extra,
        &mut event.actor.extra,
        &mut event.resource.extra,
        &mut event.request.extra,
        &mut event.classification.extra,
    ] {
        change(extra);
    }
}

/// Empties what is deeper.
fn flatten(value: &mut Value, levels: usize) {
    match value {
        Value::Array(items) if levels == 0 => items.clear(),
        Value::Object(entries) if levels == 0 => entries.clear(),
        Value::Array(items) => items.iter_mut().for_each(|item| flatten(item, levels - 1)),
        Value::Object(entries) => entries.values_mut().for_each(|entry| flatten(entry, levels - 1)),
        _ => {}
    }
}
