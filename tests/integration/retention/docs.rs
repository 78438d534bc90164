//! `docs/retention.md` names every field, and its example is read.

use tower_audit::retention::{RetentionRules, RuleField};

const PAGE: &str = include_str!("../../../docs/retention.md");

/// Columns of privacyIDEA's audit table, as its search knows them, without the two that are no columns.
const COLUMNS: &[&str] = &[
    "action",
    "success",
    "authentication",
    "serial",
    "date",
    "startdate",
    "duration",
    "token_type",
    "user",
    "realm",
    "administrator",
    "action_detail",
    "info",
    "privacyidea_server",
    "client",
    "user_agent",
    "user_agent_version",
    "loglevel",
    "policies",
    "clearance_level",
    "resolver",
    "thread_id",
    "container_serial",
    "container_type",
    "id",
];
const OWN: &[&str] = &[
    "event_id",
    "event_type",
    "created_at",
    "phase",
    "outcome",
    "user_email",
    "api_key_hash",
    "remote_addr",
    "acting_for",
    "targets",
    "route",
    "method",
    "request_id",
    "started_event_id",
    "request_uri",
    "user_agent",
    "forwarded",
    "trace_id",
    "duration_us",
    "domain",
    "classification.action",
    "error",
    "details.NAME",
];

#[test]
fn every_column_is_a_field_and_on_the_page() {
    for name in COLUMNS.iter().chain(OWN) {
        let of_format = ["request.", ""].iter().any(|prefix| format!("{prefix}{name}").parse::<RuleField>().is_ok());
        assert!(of_format, "{name}");
        assert!(PAGE.contains(&format!("`{name}`")), "docs/retention.md lacks {name}");
    }
}

#[test]
fn the_examples_of_the_page_are_rules() {
    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        RetentionRules::from_yaml(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}
