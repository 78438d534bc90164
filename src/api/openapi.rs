//! `GET /openapi.json`: the OpenAPI document, made from the tables that requests are parsed by.

use axum::extract::OriginalUri;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::parameter_schema::{FORMATS, Parameter};
use super::response::json as json_response;
use crate::event::limits::{MAX_TARGET_TYPE_BYTES, MAX_TARGETS};
use crate::event::{EventType, Phase};
use crate::query::{Condition, Field};

/// Returns the document to every caller: it has no events.
pub(super) async fn serve(OriginalUri(uri): OriginalUri) -> Response {
    // The path as the outermost router saw it, with every prefix.
    let mount = uri.path().strip_suffix("/openapi.json").unwrap_or_default();
    json_response(document(mount).to_string() + "\n")
}

/// The document, by OpenAPI 3.1.
fn document(mount: &str) -> Value {
    let paths: Map<_, _> = Operation::ALL.iter().map(|it| (it.path.to_owned(), json!({ "get": get(it) }))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Audit log",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "description": "Who did what, when. A user reads their own events, an administrator everyone's. Parameters \
                            that are unknown, empty or given twice are errors.",
        },
        "servers": [{ "url": if mount.is_empty() { "/" } else { mount } }],
        "security": [{ "app": [] }],
        "paths": paths,
        "components": {
            "schemas": {
                "AuditEvent": event(), "Statistics": statistics(), "SealState": seal_state(), "Problem": problem(),
            },
            "securitySchemes": {
                "app": { "type": "http", "scheme": "bearer", "description": "The authentication of the app." },
            },
        },
    })
}

fn get(operation: &Operation) -> Value {
    let mut parameters: Vec<_> = operation
        .parameters()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "in": "query",
                "description": parameter.description,
                "schema": schema_of(parameter),
            })
        })
        .collect();
    if operation.path.contains("{id}") {
        parameters.push(json!({
            "name": "id",
            "in": "path",
            "required": true,
            "description": "A UUID in any of its textual forms.",
            "schema": { "type": "string", "pattern": "^[0-9a-fA-F]{32}$" },
        }));
    }
    let mut responses = Map::from_iter([("200".to_owned(), success(operation))]);
    let shared = [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::NOT_IMPLEMENTED,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    for status in shared.iter().chain(operation.error_statuses) {
        responses.insert(status.as_u16().to_string(), refusal(*status));
    }
    if operation.parameters().next().is_some() {
        // Not the API's own: the longest values of all parameters together are longer than a server takes.
        let about = "The server does not take a request target of this length; hyper takes 65,534 bytes.";
        responses.insert(StatusCode::URI_TOO_LONG.as_u16().to_string(), json!({ "description": about }));
    }
    json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    })
}

/// Returns the schema. A repeated parameter is an array: that is OpenAPI's default style (`form`, `explode`).
fn schema_of(parameter: &Parameter) -> Value {
    let one = (parameter.schema)();
    if parameter.may_repeat {
        // Each field to count by is given once.
        let unique = parameter.name == "by";
        let most = Condition::<Phase>::MAX_VALUES;
        json!({ "type": "array", "items": one, "minItems": 1, "maxItems": most, "uniqueItems": unique })
    } else {
        one
    }
}

fn success(operation: &Operation) -> Value {
    let event = json!({ "$ref": "#/components/schemas/AuditEvent" });
    let events = json!({ "type": "array", "items": event });
    let text = json!({ "type": "string" });
    let header = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    match operation.name {
        "list" => json!({
            "description": "The page.",
            "headers": {
                "audit-next-cursor": header("The cursor of the next page; absent on the last one."),
                "audit-unindexed": header("The filters that the store has no index for; absent if there are none."),
                "link": header("The next page, as `rel=\"next\"`, relative to this one; absent on the last one."),
            },
            "content": { "application/json": { "schema": events } },
        }),
        "count" => json!({
            "description": "The number.",
            "content": { "application/json": { "schema": { "type": "integer", "minimum": 0 } } },
        }),
        "export" => json!({
            "description": format!(
                "The events, as {}. The array is of audit events without a `profile`, else of what the profile makes of them.",
                FORMATS.join(", ")
            ),
            "content": {
                "application/jsonl": { "schema": text },
                "text/csv": { "schema": text },
                "application/json": { "schema": { "type": "array" } },
                "application/cloudevents-batch+json": { "schema": { "type": "array", "items": { "type": "object" } } },
                "text/plain": { "schema": text },
            },
        }),
        "stats" => json!({
            "description": "The numbers.",
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Statistics" } } },
        }),
        "seal" => json!({
            "description": "The state.",
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/SealState" } } },
        }),
        "proof" => json!({
            "description": "The proof.",
            "headers": { "content-disposition": header("The name of the file.") },
            "content": { "text/plain": { "schema": text } },
        }),
        _ => json!({ "description": "The event.", "content": { "application/json": { "schema": event } } }),
    }
}

fn refusal(status: StatusCode) -> Value {
    let mut response = json!({
        "description": match status {
            StatusCode::BAD_REQUEST => "A parameter or an id is invalid.",
            StatusCode::UNAUTHORIZED => "The caller is anonymous.",
            StatusCode::FORBIDDEN => "Another user's events.",
            StatusCode::NOT_FOUND => "The event does not exist, or is not visible to the caller; the responses are equal.",
            StatusCode::NOT_IMPLEMENTED => "There is no readable store.",
            StatusCode::SERVICE_UNAVAILABLE => "Temporary failure of the store, the gate, or the record of the read.",
            _ => "The store fails.",
        },
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let header = match status {
        StatusCode::UNAUTHORIZED => Some(("www-authenticate", "How to authenticate.")),
        StatusCode::SERVICE_UNAVAILABLE => Some(("retry-after", "Seconds.")),
        _ => None,
    };
    if let Some((name, about)) = header {
        response["headers"] = json!({ name: { "description": about, "schema": { "type": "string" } } });
    }
    response
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "const": "about:blank" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
        },
    })
}

fn statistics() -> Value {
    let (time, number) =
        (json!({ "type": "string", "format": "date-time" }), json!({ "type": "integer", "minimum": 0 }));
    let values = json!({
        "type": "array",
        "description": "The values with the most events, the most frequent first; null is no value.",
        "items": {
            "type": "object",
            "required": ["value", "count"],
            "properties": { "value": { "type": ["string", "null"] }, "count": number },
        },
    });
    let by: Map<_, _> = Field::COUNTED.iter().map(|field| (field.as_str().to_owned(), values.clone())).collect();
    json!({
        "type": "object",
        "required": ["since", "until", "total", "by", "histogram"],
        "properties": {
            "since": time,
            "until": time,
            "total": number,
            "by": { "type": "object", "properties": by, "additionalProperties": false },
            "histogram": {
                "type": "object",
                "required": ["interval_seconds", "buckets"],
                "properties": {
                    "interval_seconds": number,
                    "buckets": {
                        "type": "array",
                        "description": "In the order of time, without gaps.",
                        "items": {
                            "type": "object",
                            "required": ["since", "until", "count"],
                            "properties": { "since": time, "until": time, "count": number },
                        },
                    },
                },
            },
        },
    })
}

fn seal_state() -> Value {
    let number = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["state", "index", "erased", "checkpoint"],
        "properties": {
            "state": {
                "enum": ["none", "waiting", "sealed", "damaged"],
                "description": "`none`: the log is not sealed; `waiting`: the event has no leaf yet; `damaged`: the event is another than the one \
                                that was sealed.",
            },
            "index": { "type": ["integer", "null"], "minimum": 0, "description": "The number of the leaf." },
            "erased": number,
            "checkpoint": {
                "type": ["object", "null"],
                "description": "The newest checkpoint.",
                "required": ["origin", "size", "sealed_at"],
                "properties": {
                    "origin": { "type": "string" },
                    "size": number,
                    "sealed_at": { "type": "string", "format": "date-time" },
                },
            },
        },
    })
}

/// The schema of an event, as in `docs/event-format.md`. Later versions may have more fields.
fn event() -> Value {
    let text = json!({ "type": "string" });
    let nullable = json!({ "type": ["string", "null"] });
    let id = json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" });
    json!({
        "type": "object",
        "description": "One immutable entry of the log.",
        "required": ["event_id", "event_type", "created_at", "phase", "actor", "resource", "outcome", "details"],
        "properties": {
            "event_id": id,
            "event_type": { "type": "string", "maxLength": EventType::MAX_BYTES },
            "created_at": { "type": "string", "format": "date-time" },
            "phase": { "enum": [Phase::Completed, Phase::Started, Phase::Unknown] },
            "actor": {
                "type": "object",
                "required": ["user_email", "api_key_hash", "remote_addr"],
                "properties": {
                    "user_email": nullable, "api_key_hash": nullable, "remote_addr": nullable, "acting_for": text,
                },
            },
            "resource": {
                "type": "object",
                "required": ["route", "method"],
                "properties": { "route": nullable, "method": nullable },
            },
            "targets": {
                "type": "array",
                "maxItems": MAX_TARGETS,
                "items": {
                    "type": "object",
                    "required": ["type", "id"],
                    "properties": {
                        "type": { "type": "string", "maxLength": MAX_TARGET_TYPE_BYTES },
                        "id": text, "label": text,
                    },
                },
            },
            "targets_omitted": { "type": "integer", "minimum": 1 },
            "outcome": { "type": ["integer", "null"] },
            "details": { "type": "object" },
            "request": {
                "type": "object",
                "properties": {
                    "request_id": text, "started_event_id": id, "request_uri": text, "user_agent": text,
                    "forwarded": text, "trace_id": text, "duration_us": { "type": "integer", "minimum": 0 },
                },
            },
            "classification": {
                "type": "object",
                "properties": { "domain": text, "action": text, "error": text },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, AuditEvent, ErrorCode, EventId, Target};

    /// An event with every field there is.
    fn whole() -> AuditEvent {
        let text = || Some("x".into());
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.actor = Actor::user("x").acting_for("y");
        event.targets = (0..20).map(|id| Target::new("x", id).with_label("x")).collect();
        event.request.request_id = text();
        event.request.started_event_id = Some(EventId::from_u128(1));
        event.request.request_uri = text();
        event.request.user_agent = text();
        event.request.forwarded = text();
        event.request.trace_id = text();
        event.request.duration_us = Some(1);
        event.classification.domain = text();
        event.classification.action = text();
        event.classification.error = Some(ErrorCode::BAD_REQUEST);
        event
    }

    fn keys(value: &Value) -> std::collections::BTreeSet<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_event_described_has_the_fields_of_an_event() {
        let (described, found) = (event(), serde_json::to_value(whole()).unwrap());
        assert_eq!(keys(&described["properties"]), keys(&found));
        for part in ["actor", "resource", "request", "classification"] {
            assert_eq!(keys(&described["properties"][part]["properties"]), keys(&found[part]), "{part}");
        }
        assert_eq!(keys(&described["properties"]["targets"]["items"]["properties"]), keys(&found["targets"][0]));
    }

    #[test]
    fn every_operation_and_every_parameter_is_described() {
        let document = document("/cgi/audit");
        assert_eq!(document["servers"][0]["url"], "/cgi/audit");
        assert_eq!(keys(&document["paths"]), Operation::ALL.iter().map(|operation| operation.path).collect());
        for operation in Operation::ALL {
            let described = document["paths"][operation.path]["get"]["parameters"].as_array().unwrap();
            let names = described.iter().filter(|it| it["in"] == "query").map(|it| it["name"].as_str().unwrap());
            assert!(names.eq(operation.parameters().map(|parameter| parameter.name)));
        }
    }

    #[test]
    fn references_lead_somewhere() {
        fn visit(value: &Value, root: &Value) {
            match value {
                Value::Object(entries) => {
                    if let Some(target) = entries.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').expect("within the document");
                        assert!(root.pointer(pointer).is_some(), "{target}");
                    }
                    entries.values().for_each(|entry| visit(entry, root));
                }
                Value::Array(items) => items.iter().for_each(|item| visit(item, root)),
                _ => {}
            }
        }
        let document = document("");
        visit(&document, &document);
    }
}
