//! Lists in prose are those of the tree.

use std::collections::BTreeSet;

const MANIFEST: &str = include_str!("../../Cargo.toml");
const CRATE_DOCS: &str = include_str!("../../src/lib.rs");
const README: &str = include_str!("../../README.md");
const EVENT_FORMAT: &str = include_str!("../../docs/event-format.md");

#[test]
fn the_table_of_features_is_that_of_the_manifest() {
    let section = MANIFEST.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next()).expect("features");
    let declared: BTreeSet<&str> = section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .filter(|name| *name != "default")
        .collect();
    let table = CRATE_DOCS.split("# Features").nth(1).expect("a table of features");
    let documented: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once('`').map(|(name, _)| name)).collect();
    assert_eq!(documented, declared);
}

#[test]
fn the_examples_of_the_readme_exist() {
    for name in ["quickstart", "hyper", "per_route", "reference"] {
        assert!(README.contains(&format!("`{name}`")), "{name} is not in the README");
        let path = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&path).exists(), "{name} does not exist");
    }
    let quickstart = include_str!("../../examples/quickstart.rs");
    assert!(quickstart.lines().count() < 60, "the quickstart has grown");
}

#[test]
fn the_limits_in_the_docs_are_those_of_the_code() {
    use tower_audit::event::limits as l;
    for (field, limit) in [
        ("actor.user_email", l::MAX_USER_EMAIL_BYTES),
        ("actor.remote_addr", l::MAX_ADDR_BYTES),
        ("resource.route", l::MAX_ROUTE_BYTES),
        ("resource.method", l::MAX_METHOD_BYTES),
        ("request.request_uri", l::MAX_URI_BYTES),
        ("request.user_agent", l::MAX_HEADER_BYTES),
        ("request.forwarded", l::MAX_HEADER_BYTES),
    ] {
        let line = EVENT_FORMAT.lines().find(|line| line.starts_with(&format!("| `{field}`"))).expect("a row");
        assert!(line.trim_end().ends_with(&format!("| {limit} |")), "{line}");
    }
    assert_eq!((l::MAX_DETAILS_BYTES, l::MAX_DETAIL_STRING_BYTES, l::MAX_DETAIL_DEPTH), (16 << 10, 4 << 10, 16));
    assert_eq!(l::MAX_EVENT_BYTES, 64 << 10);
}
