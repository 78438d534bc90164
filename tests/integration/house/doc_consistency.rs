//! Lists in prose are those of the tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const MANIFEST: &str = include_str!("../../../Cargo.toml");
const CRATE_DOCS: &str = include_str!("../../../src/lib.rs");
const README: &str = include_str!("../../../README.md");
const GUARANTEES: &str = include_str!("../../../docs/guarantees.md");
const THREATS: &str = include_str!("../../../docs/threat-model.md");
const OPERATE: &str = include_str!("../../../docs/operate.md");
const STATS: &str = include_str!("../../../src/writer/stats.rs");
const EVENT_FORMAT: &str = include_str!("../../../docs/event-format.md");

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
    for name in ["quickstart", "hyper", "per_route", "shop", "reference"] {
        assert!(README.contains(&format!("`{name}`")), "{name} is not in the README");
        let path = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&path).exists(), "{name} does not exist");
    }
    let quickstart = include_str!("../../../examples/quickstart.rs");
    assert!(quickstart.lines().count() < 60, "the quickstart has grown");
    assert!(include_str!("../../../examples/shop.rs").lines().count() < 300, "the shop has grown");
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
    assert_eq!(l::MAX_EVENT_BYTES, 128 << 10);
}

#[test]
fn the_table_of_log_lines_is_that_of_the_source() {
    let mut files = Vec::new();
    rust_files(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut files);
    let written: BTreeSet<(String, String)> =
        files.iter().flat_map(|file| log_lines(&std::fs::read_to_string(file).expect("a source file"))).collect();
    let section = OPERATE.split("\n## Every line of the log\n").nth(1).and_then(|tail| tail.split("\n## ").next());
    let documented: BTreeSet<(String, String)> = section
        .expect("the section")
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ").map(str::to_owned);
            Some((cells.next()?, cells.next()?))
        })
        .filter(|(level, _)| level.bytes().all(|byte| byte.is_ascii_uppercase()))
        .collect();
    assert!(written.len() > 30, "the source is not read as it is: {written:?}");
    let absent: Vec<_> = written.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&written).collect();
    assert!(absent.is_empty() && stale.is_empty(), "add to the table: {absent:#?}; remove from it: {stale:#?}");
}

/// A subscriber that blocks would delay an append, so the stores leave their lines to a thread.
#[test]
fn no_store_writes_a_line_itself() {
    let mut files = Vec::new();
    rust_files(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store").as_path(), &mut files);
    let mut lines = 0;
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source file");
        let macros = ["info!", "warn!", "error!", "debug!", "trace!", "event!"];
        for (at, path) in source.match_indices("tracing::") {
            if !macros.iter().any(|name| source[at + path.len()..].starts_with(name)) {
                continue;
            }
            let before = source[..at].trim_end().trim_end_matches('{').trim_end();
            assert!(before.ends_with("log_line(||") || before.ends_with("log_line(move ||"), "{}", file.display());
            lines += 1;
        }
    }
    assert!(lines > 10, "the source is not read as it is");
}

#[test]
fn every_promise_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checks = std::fs::read_to_string(root.join("src/store/conformance/checks.rs")).expect("the list of checks");
    let mut tests = 0;
    for token in [GUARANTEES, THREATS].iter().flat_map(|page| page.split('`').skip(1).step_by(2)) {
        let Some((place, name)) =
            token.split_once("::").filter(|(place, _)| *place == "conformance" || place.ends_with(".rs"))
        else {
            continue;
        };
        tests += 1;
        if place == "conformance" {
            assert!(checks.contains(&format!("::{name} [")), "no check of the conformance suite: {token}");
            continue;
        }
        let source = std::fs::read_to_string(root.join("tests").join(place));
        let source = source.unwrap_or_else(|error| panic!("a page names {token}: {error}"));
        assert!(source.contains(&format!("fn {name}(")), "a page names {token}, which is not there");
    }
    assert!(tests > 60, "{tests} tests of the page are read");
    for adversary in THREATS.split("\n## ").filter(|section| section.contains("*Cannot*")) {
        let name = adversary.lines().next().unwrap_or_default();
        let cannot = adversary.split("*Cannot*").nth(1).unwrap_or_default();
        assert!(cannot.contains(".rs::"), "{name:?} cannot do something that has no test");
    }
    for promise in GUARANTEES.split("\n### ").skip(1) {
        let name = promise.lines().next().unwrap_or_default();
        assert!(promise.contains("\nTests: `"), "the promise {name:?} has no test");
    }
}

#[test]
fn every_counter_has_an_alert() {
    let fields: Vec<&str> =
        STATS.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.strip_suffix(": u64,")).collect();
    assert!(fields.len() > 10, "{fields:?}");
    for field in fields {
        assert!(OPERATE.contains(&format!("\n| `{field}` | ")), "{field} is not in docs/operate.md");
    }
}

#[test]
fn every_relative_link_of_a_page_leads_to_a_heading_or_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in [root.join("docs"), root.join("docs/stores"), root.join("docs/coming-from")] {
        let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    let mut links = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).expect("a page");
        let targets = text.split("](").skip(1).filter_map(|tail| tail.split(')').next());
        for target in targets.filter(|target| !target.contains(':') && !target.contains(' ')) {
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            assert!(file.exists(), "{} links to {target}", page.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).expect("a page");
                let has_it = text.lines().any(|line| line.starts_with('#') && anchor_of(line) == heading);
                assert!(has_it, "{} links to {target}, a heading that is not there", page.display());
            }
        }
    }
    assert!(links > 50, "{links} links are read");
}

/// Returns the anchor that Markdown renderers give a heading: lower case, hyphens for blanks, no punctuation.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'))
        .map(|char| if char == ' ' { '-' } else { char })
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns level and text of each line that a source file writes to the operator's log. The text is the last literal of the
/// macro's call.
fn log_lines(source: &str) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for level in ["info", "warn", "error"] {
        for call in source.split(&format!("tracing::{level}!(")).skip(1) {
            let text = literals_of_call(call).pop().expect("a text");
            lines.push((level.to_uppercase(), text));
        }
    }
    lines
}

/// Returns the string literals up to the parenthesis that ends the call.
fn literals_of_call(call: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut depth = 1;
    let mut chars = call.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' => {
                let mut literal = String::new();
                while let Some(char) = chars.next().filter(|char| *char != '"') {
                    match char {
                        '\\' if chars.next_if_eq(&'\n').is_some() => {
                            while chars.next_if(|char| char.is_whitespace()).is_some() {}
                        }
                        '\\' => literal.extend(chars.next()),
                        _ => literal.push(char),
                    }
                }
                literals.push(literal);
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    literals
}
