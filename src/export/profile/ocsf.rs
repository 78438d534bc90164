//! The Open Cybersecurity Schema Framework, version 1.8.0: API Activity, Authentication and Account Change.

mod account_change;
mod class;
mod common;

use std::io;

use serde_json::{Map, Value, json};

use super::EncodingSettings;
use super::ip_address::ip_address;
use crate::event::AuditEvent;
use class::Class;

/// Appends the event without a line feed.
pub(super) fn encode(event: &AuditEvent, settings: &EncodingSettings, out: &mut Vec<u8>) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &Value::from(document(event, settings)?))?)
}

fn document(event: &AuditEvent, settings: &EncodingSettings) -> io::Result<Map<String, Value>> {
    let class = Class::of(event);
    let (activity, activity_name) = class.activity(event);
    let mut document = Map::new();
    document.insert("activity_id".into(), activity.into());
    document.insert("activity_name".into(), activity_name.into());
    document.insert("category_uid".into(), class.category().into());
    document.insert("category_name".into(), class.category_name().into());
    document.insert("class_uid".into(), class.uid().into());
    document.insert("class_name".into(), class.name().into());
    document.insert("type_uid".into(), (class.uid() * 100 + activity).into());
    document.insert("type_name".into(), format!("{}: {activity_name}", class.name()).into());
    common::put(&mut document, event, settings)?;
    match class {
        Class::ApiActivity => {
            document.insert("api".into(), api(event, settings));
            if let Some(code) = event.outcome {
                document.insert("http_response".into(), json!({ "code": code }));
            }
            let resources: Vec<_> = event.targets.iter().map(resource).collect();
            if !resources.is_empty() {
                document.insert("resources".into(), resources.into());
            }
            document.insert("actor".into(), actor(event, settings));
            document.insert("src_endpoint".into(), source_endpoint(event, settings));
        }
        Class::Authentication => {
            document.insert("user".into(), user(event).unwrap_or_else(|| json!({ "name": "unknown" })));
            document.insert("service".into(), json!({ "name": settings.source.as_str() }));
            document.insert("src_endpoint".into(), source_endpoint(event, settings));
        }
        Class::AccountChange => {
            document.insert("user".into(), account_change::changed_user(event));
            document.insert("actor".into(), actor(event, settings));
            document.insert("src_endpoint".into(), source_endpoint(event, settings));
        }
    }
    Ok(document)
}

fn api(event: &AuditEvent, settings: &EncodingSettings) -> Value {
    let operation = event.classification.action.as_deref().unwrap_or(event.event_type.as_str());
    let mut api = json!({ "operation": operation, "service": { "name": settings.source.as_str() } });
    if let Some(id) = &event.request.request_id {
        api["request"] = json!({ "uid": id });
    }
    if let Some(code) = event.outcome {
        api["response"] = json!({ "code": code });
        if let Some(error) = &event.classification.error {
            api["response"]["error"] = json!(error);
        }
    }
    api
}

fn resource(target: &crate::event::Target) -> Value {
    let mut resource = json!({ "type": target.target_type, "uid": target.id });
    if let Some(label) = &target.label {
        resource["name"] = json!(label);
    }
    resource
}

/// The principal; of an event that is no request without one, the service itself.
fn actor(event: &AuditEvent, settings: &EncodingSettings) -> Value {
    match user(event) {
        Some(user) => json!({ "user": user }),
        None if is_request(event) => json!({ "app_name": "unknown" }),
        None => json!({ "app_name": settings.source.as_str() }),
    }
}

fn user(event: &AuditEvent) -> Option<Value> {
    let actor = &event.actor;
    let key = actor.api_key_hash.as_deref();
    let mut user = Map::new();
    match (actor.user_email.as_deref(), key) {
        (Some(name), _) => user.insert("name".into(), name.into()),
        (None, Some(key)) => user.insert("uid".into(), key.into()),
        (None, None) => return None,
    };
    if let Some(key) = key {
        user.insert("credential_uid".into(), key.into());
    }
    Some(user.into())
}

/// The client; of an event that is no request, the service itself.
fn source_endpoint(event: &AuditEvent, settings: &EncodingSettings) -> Value {
    match (ip_address(event), event.actor.remote_addr.as_deref()) {
        (Some(ip), _) => json!({ "ip": ip.to_string() }),
        (None, Some(address)) => json!({ "name": address }),
        (None, None) if is_request(event) => json!({ "name": "unknown" }),
        (None, None) => json!({ "svc_name": settings.source.as_str() }),
    }
}

fn is_request(event: &AuditEvent) -> bool {
    event.resource.method.is_some() || event.request.request_uri.is_some()
}
