//! The differences that a handler records.

use std::collections::BTreeMap;

use axum::{Router, routing};
use http::Request;
use serde::Serialize;
use serde_json::json;
use tower::ServiceExt as _;
use tower_audit::{AuditContext, AuditEvent, AuditLayer, AuditPolicy, Phase};

use crate::layer::support::{memory_log, of_phase};

#[derive(Serialize)]
struct Order {
    status: &'static str,
    iban: &'static str,
    password: &'static str,
}

const BEFORE: Order = Order { status: "open", iban: "DE01", password: "S3cr3t" };
const AFTER: Order = Order { status: "shipped", iban: "DE02", password: "S3cr3t-too" };

async fn event_of(handler: fn(&AuditContext)) -> AuditEvent {
    let (log, store) = memory_log().await;
    let policy = AuditPolicy::builder().preset_mutations().redact(["iban"]).build().expect("valid");
    let handler = move |audit: AuditContext| async move { handler(&audit) };
    let app = Router::new().route("/orders/{id}", routing::put(handler)).layer(AuditLayer::new(&log, policy));
    let request = Request::put("/orders/7").body(axum::body::Body::empty()).expect("valid");
    app.oneshot(request).await.expect("infallible");
    of_phase(&store, Phase::Completed)[0].clone()
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_changes_without_what_is_secret() {
    let event = event_of(|audit| {
        audit.diff(&BEFORE, &AFTER).diff(&(), &json!({"tracking": 1}));
    })
    .await;
    assert_eq!(
        json!(event.details),
        json!({"changes": [
            {"path": "/iban", "op": "replace", "from": "***", "to": "***"},
            {"path": "/password", "op": "replace", "from": "***", "to": "***"},
            {"path": "/status", "op": "replace", "from": "open", "to": "shipped"},
            {"path": "/tracking", "op": "add", "to": 1},
        ]})
    );
}

#[tokio::test(start_paused = true)]
async fn equal_values_are_an_empty_list_and_no_json_is_said() {
    let event = event_of(|audit| {
        audit.diff(&BEFORE, &BEFORE);
    })
    .await;
    assert_eq!(json!(event.details), json!({"changes": []}));
    let event = event_of(|audit| {
        audit.diff(&BTreeMap::from([(vec![1], 2)]), &());
    })
    .await;
    assert_eq!(json!(event.details), json!({"changes_error": "the values are no JSON"}));
}
