//! Log records of OpenTelemetry in OTLP/JSON: a `LogsData` with one record, as the file exporter writes them.

use std::io;

use serde_json::{Map, Value, json};

use super::EncodingSettings;
use super::message::message;
use super::outcome::Outcome;
use crate::event::{AuditEvent, ErrorCode};

/// The version of the semantic conventions that the attributes are of.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Appends the event without a line feed.
pub(super) fn encode(event: &AuditEvent, settings: &EncodingSettings, out: &mut Vec<u8>) -> io::Result<()> {
    let resource = json!({ "attributes": [text("service.name", settings.source.as_str())] });
    let scope = json!({ "name": "tower-audit", "version": env!("CARGO_PKG_VERSION") });
    let logs = json!({ "resourceLogs": [{
        "resource": resource,
        "scopeLogs": [{ "scope": scope, "logRecords": [record(event, settings)?], "schemaUrl": SCHEMA_URL }],
    }] });
    Ok(serde_json::to_writer(out, &logs)?)
}

fn record(event: &AuditEvent, settings: &EncodingSettings) -> io::Result<Value> {
    let mut record = Map::new();
    // Unsigned nanoseconds since 1970: before that and after 2554 the record has no time of its own.
    let micros = u64::try_from(event.created_at.as_micros()).ok();
    if let Some(nanos) = micros.and_then(|micros| micros.checked_mul(1000)) {
        record.insert("timeUnixNano".into(), nanos.to_string().into());
        record.insert("observedTimeUnixNano".into(), nanos.to_string().into());
    }
    record.insert("eventName".into(), format!("tower-audit.{}", event.event_type).into());
    let body = if settings.with_original { serde_json::to_string(event)? } else { message(event) };
    record.insert("body".into(), json!({ "stringValue": body }));
    if let Some(id) = trace_id(event) {
        record.insert("traceId".into(), id.into());
    }
    record.insert("attributes".into(), attributes(event).into());
    Ok(record.into())
}

/// The trace id, if it is one of W3C Trace Context: others are attributes.
fn trace_id(event: &AuditEvent) -> Option<&str> {
    let id = event.request.trace_id.as_deref()?;
    let is_hex = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && id.bytes().any(|byte| byte != b'0')).then_some(id)
}

fn attributes(event: &AuditEvent) -> Vec<Value> {
    let (actor, request, classification) = (&event.actor, &event.request, &event.classification);
    let target = event.targets.first();
    let (path, query) = match request.request_uri.as_deref() {
        Some(uri) if uri.starts_with('/') => match uri.split_once('?') {
            Some((path, query)) => (Some(path), Some(query)),
            None => (Some(uri), None),
        },
        _ => (None, None),
    };
    let kind = match (&actor.user_email, &actor.api_key_hash) {
        (Some(_), _) => "user",
        (None, Some(_)) => "api_key",
        (None, None) if event.resource.method.is_none() => "system",
        (None, None) => "anonymous",
    };
    let id = event.event_id.to_string();
    let started = request.started_event_id.map(|id| id.to_string());
    let texts = [
        ("audit.record.id", Some(id.as_str())),
        ("audit.actor.type", Some(kind)),
        ("audit.actor.id", actor.user_email.as_deref().or(actor.api_key_hash.as_deref())),
        ("audit.action", Some(classification.action.as_deref().unwrap_or(event.event_type.as_str()))),
        ("audit.outcome", Some(Outcome::of(event).as_str())),
        ("audit.target.type", target.map(|target| target.target_type.as_str())),
        ("audit.target.id", target.map(|target| target.id.as_str())),
        ("audit.source.address", actor.remote_addr.as_deref()),
        ("audit.phase", Some(event.phase.as_str())),
        ("audit.domain", classification.domain.as_deref()),
        ("audit.acting_for", actor.acting_for.as_deref()),
        ("audit.request_id", request.request_id.as_deref()),
        ("audit.started_event_id", started.as_deref()),
        ("audit.trace_id", request.trace_id.as_deref().filter(|_| trace_id(event).is_none())),
        ("client.address", actor.remote_addr.as_deref()),
        ("error.type", classification.error.as_ref().map(ErrorCode::as_str)),
        ("http.request.method", event.resource.method.as_deref()),
        ("http.route", event.resource.route.as_deref()),
        ("url.path", path),
        ("url.query", query),
        ("user.name", actor.user_email.as_deref()),
        ("user_agent.original", request.user_agent.as_deref()),
    ];
    let mut attributes: Vec<_> = texts.into_iter().filter_map(|(key, value)| Some(text(key, value?))).collect();
    if let Some(status) = event.outcome {
        attributes.push(integer("http.response.status_code", u64::from(status)));
    }
    if let Some(micros) = request.duration_us.filter(|micros| i64::try_from(*micros).is_ok()) {
        attributes.push(integer("audit.duration_us", micros));
    }
    attributes
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// An integer of 64 bits is text in the JSON of Protocol Buffers.
fn integer(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
