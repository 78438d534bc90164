//! Attributes of every class.

use std::io;

use serde_json::{Map, Value, json};

use crate::event::{AuditEvent, EventType, Phase};
use crate::export::profile::EncodingSettings;
use crate::export::profile::message::message;
use crate::export::profile::outcome::Outcome;

/// Inserts the attributes that every class has.
pub(super) fn put(
    document: &mut Map<String, Value>,
    event: &AuditEvent,
    settings: &EncodingSettings,
) -> io::Result<()> {
    document.insert("time".into(), event.created_at.as_micros().div_euclid(1000).into());
    document.insert("metadata".into(), metadata(event, settings));
    let (severity, name) = severity(event);
    document.insert("severity_id".into(), severity.into());
    document.insert("severity".into(), name.into());
    let (status, name) = match Outcome::of(event) {
        Outcome::Unknown => (0, "Unknown"),
        Outcome::Success => (1, "Success"),
        Outcome::Failure => (2, "Failure"),
    };
    document.insert("status_id".into(), status.into());
    document.insert("status".into(), name.into());
    if let Some(code) = event.outcome {
        document.insert("status_code".into(), code.to_string().into());
    }
    if let Some(error) = &event.classification.error {
        document.insert("status_detail".into(), error.as_str().into());
    }
    if let Some(micros) = event.request.duration_us {
        document.insert("duration".into(), (micros / 1000).into());
    }
    document.insert("message".into(), message(event).into());
    let request = http_request(event);
    if !request.is_empty() {
        document.insert("http_request".into(), request.into());
    }
    document.insert("unmapped".into(), unmapped(event).into());
    if settings.with_original {
        document.insert("raw_data".into(), serde_json::to_string(event)?.into());
    }
    Ok(())
}

fn metadata(event: &AuditEvent, settings: &EncodingSettings) -> Value {
    let mut metadata = json!({
        "version": "1.8.0",
        "product": { "name": settings.source.as_str(), "vendor_name": "tower-audit" },
        "uid": event.event_id,
        "log_name": "audit",
        "event_code": event.event_type,
        "original_time": event.created_at,
    });
    if let Some(id) = &event.request.request_id {
        metadata["correlation_uid"] = json!(id);
    }
    metadata
}

fn severity(event: &AuditEvent) -> (u8, &'static str) {
    match (event.phase, event.outcome) {
        _ if event.event_type == EventType::AUDIT_FAILED => (4, "High"),
        (Phase::Unknown, _) | (_, Some(500..)) => (3, "Medium"),
        _ if Outcome::of(event) == Outcome::Failure => (2, "Low"),
        _ => (1, "Informational"),
    }
}

/// The methods of the schema. Others are unmapped.
const METHODS: &[&str] = &["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH"];

fn http_request(event: &AuditEvent) -> Map<String, Value> {
    let mut fields = Map::new();
    let request = &event.request;
    if let Some(method) = event.resource.method.as_deref().filter(|method| METHODS.contains(method)) {
        fields.insert("http_method".into(), method.into());
    }
    if let Some(uri) = request.request_uri.as_deref() {
        let url = match (uri.starts_with('/'), uri.split_once('?')) {
            (true, Some((path, query))) => json!({ "path": path, "query_string": query }),
            (true, None) => json!({ "path": uri }),
            (false, _) => json!({ "url_string": uri }),
        };
        fields.insert("url".into(), url);
    }
    if let Some(agent) = &request.user_agent {
        fields.insert("user_agent".into(), json!(agent));
    }
    if let Some(id) = &request.request_id {
        fields.insert("uid".into(), json!(id));
    }
    fields
}

/// Values without an attribute in the schema.
fn unmapped(event: &AuditEvent) -> Map<String, Value> {
    let mut unmapped = Map::new();
    unmapped.insert("phase".into(), json!(event.phase));
    for (name, value) in [
        ("route", event.resource.route.as_deref()),
        ("method", event.resource.method.as_deref().filter(|method| !METHODS.contains(method))),
        ("acting_for", event.actor.acting_for.as_deref()),
        ("forwarded", event.request.forwarded.as_deref()),
        ("trace_id", event.request.trace_id.as_deref()),
        ("domain", event.classification.domain.as_deref()),
        ("action", event.classification.action.as_deref()),
    ] {
        if let Some(value) = value {
            unmapped.insert(name.into(), value.into());
        }
    }
    if let Some(id) = event.request.started_event_id {
        unmapped.insert("started_event_id".into(), json!(id));
    }
    unmapped
}
