//! The API behaves as documented.

use serde_json::Value;

use crate::api::support::{ROOT, app, ask, events, spy};

const MANUAL: &str = include_str!("../../../docs/api.md");

async fn openapi() -> Value {
    ask(&app(spy(&[]).await), "", "/audit/openapi.json").await.json()
}

#[tokio::test]
async fn every_parameter_is_in_the_manual() {
    let document = openapi().await;
    for (path, operation) in document["paths"].as_object().unwrap() {
        assert!(MANUAL.contains(&format!("`GET /audit{path}`")), "{path}");
        for parameter in operation["get"]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            assert!(is_in_table(name) || name == "id", "{name}");
        }
        for status in operation["get"]["responses"].as_object().unwrap().keys() {
            assert!(status == "200" || MANUAL.contains(&format!("| **{status}** |")), "{status}");
        }
    }
}

/// A row of the table has one name or several; `detail` is that of `detail.KEY`.
fn is_in_table(name: &str) -> bool {
    let names =
        |row: &str| row.strip_prefix("| `").and_then(|row| row.split_once(" | ")).map(|(names, _)| format!("`{names}"));
    let is_name = |names: String| names.contains(&format!("`{name}`")) || names.contains(&format!("`{name}.KEY`"));
    MANUAL.lines().filter_map(names).any(is_name)
}

#[tokio::test]
async fn every_parameter_described_is_understood() {
    let app = app(spy(&events(3)).await);
    for (path, operation) in openapi().await["paths"].as_object().unwrap() {
        for parameter in operation["get"]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            let value = match name {
                "event_type" => "upload",
                "since" => "2026-05-25",
                "until" => "2026-05-26",
                "outcome" => "200",
                "phase" => "completed",
                "format" => "csv",
                "limit" | "skip" | "top" | "buckets" => "1",
                "by" => "route",
                "target" => "order/7",
                "detail" => "plan=gold",
                "folded" => "true",
                "profile" => "ecs",
                _ => "x",
            };
            if parameter["in"] == "query" && name != "cursor" {
                let uri = format!("/audit{path}?{name}={value}");
                assert_eq!(ask(&app, ROOT, &uri).await.status, 200, "{uri}");
            }
        }
    }
}

#[tokio::test]
async fn a_filter_without_an_index_is_named_in_a_header() {
    let app = app(spy(&events(3)).await);
    assert_eq!(ask(&app, ROOT, "/audit/?uri=/x*&route=/y").await.header("audit-unindexed"), Some("uri"));
    assert_eq!(ask(&app, ROOT, "/audit/?route=/y").await.header("audit-unindexed"), None);
}
