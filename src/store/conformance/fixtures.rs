//! Events for the checks.

use std::ops::Range;

use serde_json::json;

use crate::event::{
    Actor, AuditEvent, Classification, ErrorCode, EventId, EventType, Phase, RequestInfo, Target, Timestamp,
};

/// 2026-05-25T12:00:00.123456Z: a time that says so when its microseconds are lost.
const EPOCH_MICROS: i64 = 1_779_710_400_123_456;

/// The time this many microseconds after the start of the samples.
pub(super) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(EPOCH_MICROS + micros).expect("samples are of this century")
}

/// The id of the sample with this number.
pub(super) fn id(number: u64) -> EventId {
    EventId::from_u128(0x0199_a700_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

/// A common event. A greater number is a later time.
pub(super) fn event(number: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.event_id = id(number);
    event.created_at = at(i64::try_from(number).expect("numbers of samples are small"));
    event.actor = Actor::user(format!("user{}@example.org", number % 5));
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.resource.route = Some("/scans".into());
    event.resource.method = Some("POST".into());
    event.outcome = Some(200);
    event.details.insert("number".into(), number.into());
    event
}

/// The common events with these numbers.
pub(super) fn events(numbers: Range<u64>) -> Vec<AuditEvent> {
    numbers.map(event).collect()
}

/// The common event at this time.
pub(super) fn event_at(number: u64, micros: i64) -> AuditEvent {
    AuditEvent { created_at: at(micros), ..event(number) }
}

/// An event with something in every field.
pub(super) fn full_event(number: u64) -> AuditEvent {
    let mut event = event(number);
    event.event_type = EventType::new("backup.created").expect("this is a type");
    event.actor.api_key_hash = Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into());
    event.actor.acting_for = Some("alice@example.org".into());
    event.targets =
        [Target::new("order", 7).with_label("Order of Alice"), Target::new("item", "a/b")].into_iter().collect();
    event.request = RequestInfo {
        request_id: Some("req-1".into()),
        started_event_id: Some(id(number + 1_000_000)),
        request_uri: Some("/scans?x=1".into()),
        user_agent: Some("curl/8.5.0".into()),
        forwarded: Some("for=192.0.2.60;proto=http".into()),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        duration_us: Some(1234),
        ..RequestInfo::default()
    };
    event.classification = Classification {
        domain: Some("security.user".into()),
        action: Some("update".into()),
        error: Some(ErrorCode::UNAUTHORIZED),
        ..Classification::default()
    };
    event.details.insert("list".into(), json!([1, "two", null, true, {"three": [3]}]));
    event.details.insert("nothing".into(), json!(null));
    event.details.insert("no".into(), json!(false));
    event
}

/// An event that was written before a handler ran.
pub(super) fn started(number: u64) -> AuditEvent {
    let mut event = event(number);
    event.phase = Phase::Started;
    event.outcome = None;
    event.request.request_id = Some(format!("req-{number}").into());
    event
}

/// The event with this number and phase, which ends `started`.
pub(super) fn end_of(started: &AuditEvent, number: u64, phase: Phase) -> AuditEvent {
    let mut event = event(number);
    event.phase = phase;
    event.request.request_id.clone_from(&started.request.request_id);
    event.request.started_event_id = Some(started.event_id);
    event
}

/// Shuffles the events, each time into the same order.
pub(super) fn shuffled(mut events: Vec<AuditEvent>) -> Vec<AuditEvent> {
    fastrand::Rng::with_seed(17).shuffle(&mut events);
    events
}
