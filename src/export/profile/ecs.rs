//! The Elastic Common Schema, version 9.4.

use std::io;

use serde_json::{Map, Value, json};

use super::EncodingSettings;
use super::activity::{Activity, is_authentication};
use super::ip_address::ip_address;
use super::message::message;
use super::outcome::Outcome;
use crate::event::{AuditEvent, ErrorCode, EventType, Phase};

/// Appends the document without a line feed.
pub(super) fn encode(event: &AuditEvent, settings: &EncodingSettings, out: &mut Vec<u8>) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &document(event, settings)?)?)
}

fn document(event: &AuditEvent, settings: &EncodingSettings) -> io::Result<Value> {
    let mut document = Map::new();
    // The first member, by which a line of this profile is known.
    document.insert("@timestamp".into(), json!(event.created_at));
    document.insert("ecs".into(), json!({ "version": "9.4.0" }));
    document.insert("event".into(), event_fields(event, settings)?);
    document.insert("service".into(), json!({ "name": settings.source.as_str() }));
    document.insert("message".into(), message(event).into());
    let mut set = |name: &str, fields: Map<String, Value>| {
        if !fields.is_empty() {
            document.insert(name.into(), fields.into());
        }
    };
    let actor = &event.actor;
    let mut user = Map::new();
    put(&mut user, "name", actor.user_email.as_deref());
    if let Some(name) = &actor.acting_for {
        user.insert("effective".into(), json!({ "name": name }));
    }
    let names = [&actor.user_email, &actor.acting_for].into_iter().flatten().collect::<Vec<_>>();
    let mut related = Map::new();
    if !names.is_empty() {
        related.insert("user".into(), json!(names));
    }
    let address = actor.remote_addr.as_deref();
    let ip = ip_address(event).map(|ip| ip.to_string());
    let mut client = Map::new();
    put(&mut client, "address", address);
    put(&mut client, "ip", ip.as_deref());
    if let Some(ip) = ip {
        related.insert("ip".into(), json!([ip]));
    }
    set("user", user);
    set("source", client.clone());
    set("client", client);
    set("related", related);

    let (mut http, mut request) = (Map::new(), Map::new());
    put(&mut request, "id", event.request.request_id.as_deref());
    put(&mut request, "method", event.resource.method.as_deref());
    if !request.is_empty() {
        http.insert("request".into(), request.into());
    }
    if let Some(status) = event.outcome {
        http.insert("response".into(), json!({ "status_code": status }));
    }
    set("http", http);
    let mut url = Map::new();
    if let Some(uri) = event.request.request_uri.as_deref() {
        url.insert("original".into(), uri.into());
        if uri.starts_with('/') {
            let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
            url.insert("path".into(), path.into());
            put(&mut url, "query", query);
        }
    }
    set("url", url);
    let mut agent = Map::new();
    put(&mut agent, "original", event.request.user_agent.as_deref());
    set("user_agent", agent);
    let mut trace = Map::new();
    put(&mut trace, "id", event.request.trace_id.as_deref());
    set("trace", trace);
    let mut error = Map::new();
    put(&mut error, "code", event.classification.error.as_ref().map(ErrorCode::as_str));
    set("error", error);
    set("labels", labels(event));
    Ok(document.into())
}

fn event_fields(event: &AuditEvent, settings: &EncodingSettings) -> io::Result<Value> {
    let (category, kind) = categories(event);
    let mut fields = Map::new();
    fields.insert("id".into(), json!(event.event_id));
    fields.insert("kind".into(), "event".into());
    fields.insert("category".into(), json!(category));
    fields.insert("type".into(), json!(kind));
    fields.insert("outcome".into(), Outcome::of(event).as_str().into());
    fields.insert("module".into(), "tower_audit".into());
    fields.insert("dataset".into(), "tower_audit.event".into());
    fields.insert("code".into(), event.event_type.as_str().into());
    let action = event.classification.action.as_deref().unwrap_or(event.event_type.as_str());
    fields.insert("action".into(), action.into());
    put(&mut fields, "provider", event.classification.domain.as_deref());
    put(&mut fields, "reason", event.classification.error.as_ref().map(ErrorCode::as_str));
    if let Some(nanos) = event.request.duration_us.and_then(|micros| i64::try_from(micros).ok()?.checked_mul(1000)) {
        fields.insert("duration".into(), nanos.into());
    }
    if settings.with_original {
        fields.insert("original".into(), serde_json::to_string(event)?.into());
    }
    Ok(fields.into())
}

/// Returns `event.category` and `event.type`, of the closed lists of the schema: each type is one that its categories expect.
fn categories(event: &AuditEvent) -> (Vec<&'static str>, Vec<&'static str>) {
    let activity = Activity::of(event);
    if is_authentication(event) {
        return (vec!["authentication"], vec![if activity == Activity::Logout { "end" } else { "start" }]);
    }
    let verb = match activity {
        Activity::Create => "creation",
        Activity::Read => "access",
        Activity::Update => "change",
        Activity::Delete => "deletion",
        Activity::Login | Activity::Logout | Activity::Other => "info",
    };
    let mut types = vec![verb];
    if event.phase == Phase::Started {
        types.push("start");
    }
    if event.event_type == EventType::ADMIN_ACTION {
        types.push("admin");
    }
    if matches!(event.outcome, Some(401 | 403)) {
        types.push("denied");
    }
    (vec!["api"], types)
}

/// Returns the fields without a place in the schema. Labels are keywords.
fn labels(event: &AuditEvent) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert("audit_phase".into(), event.phase.as_str().into());
    put(&mut labels, "audit_route", event.resource.route.as_deref());
    put(&mut labels, "audit_api_key_hash", event.actor.api_key_hash.as_deref());
    put(&mut labels, "audit_forwarded", event.request.forwarded.as_deref());
    if let Some(target) = event.targets.first() {
        labels.insert("audit_target".into(), target.to_string().into());
    }
    if let Some(id) = event.request.started_event_id {
        labels.insert("audit_started_event_id".into(), json!(id));
    }
    labels
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        fields.insert(name.into(), value.into());
    }
}
