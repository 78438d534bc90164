//! Both formats say the same, and what is wrong is found by line and key.

use crate::event::EventType;
use crate::policy::{
    ApiKeySource, AuditPolicy, FailMode, ProxyHeader, QueryString, RecordWhen, RequestPath, Rule, presets,
};

const TOML: &str = r#"
preset = "ivre"
base_path = "/cgi"
max_results = 1_000
declare = ["user.invited"]

[[rules]]
type = "user.reset"
methods = ["POST", "purge"]
paths = ["/users/{id}/reset"]
when = ["2xx", 404, "500-599", "abnormal"]
write_ahead = true
fail_mode = "open"
target = "user/{id}"

[[rules]]
type = "upload"
paths = ["/import"]
body_end = true
target = "off"

[filter]
include = ["all"]
exclude = ["user.invited"]

[capture]
trusted_proxies = ["10.0.0.0/8", "::1"]
proxy_header = "forwarded"
query_string = "redacted"
path = "template"
api_key = "x-api-key"
default_target = false
redact = ["patient"]
"#;

const YAML: &str = r#"
preset: ivre
base_path: /cgi
max_results: 1000
declare: [user.invited]
rules:
  - type: user.reset
    methods: [POST, purge]
    paths: ["/users/{id}/reset"]
    when: [2xx, 404, 500-599, abnormal]
    write_ahead: true
    fail_mode: open
    target: user/{id}
  - type: upload
    paths:
      - /import
    body_end: true
    target: off
filter:
  include: [all]
  exclude: [user.invited]
capture:
  trusted_proxies: [10.0.0.0/8, "::1"]
  proxy_header: forwarded
  query_string: redacted
  path: template
  api_key: x-api-key
  default_target: false
  redact: [patient]
"#;

fn built() -> AuditPolicy {
    let name = |name: &str| name.parse::<EventType>().expect("a type");
    AuditPolicy::builder()
        .rule(
            Rule::new(name("user.reset"))
                .methods(["POST", "purge"])
                .paths(["/users/{id}/reset"])
                .when(RecordWhen::effect_possible().or(RecordWhen::statuses([404])))
                .write_ahead(true)
                .target("user", "{id}")
                .fail_mode(FailMode::Open),
        )
        .rule(presets::ivre::upload().paths(["/import"]).body_end(true).without_target())
        .preset_ivre()
        .base_path("/cgi")
        .max_results(1000)
        .declare(["user.invited"])
        .include(["all"])
        .exclude(["user.invited"])
        .trusted_proxies(
            ["10.0.0.0/8".parse().expect("a net"), "::1/128".parse().expect("a net")],
            ProxyHeader::Forwarded,
        )
        .query_string(QueryString::Redacted)
        .request_path(RequestPath::Template)
        .api_key(ApiKeySource::XApiKey)
        .default_target(false)
        .redact(["patient"])
        .build()
        .expect("a policy")
}

#[test]
fn both_formats_and_the_builder_make_the_same() {
    let expected = format!("{:#?}", built());
    assert_eq!(format!("{:#?}", AuditPolicy::from_toml(TOML).expect("toml")), expected);
    assert_eq!(format!("{:#?}", AuditPolicy::from_yaml(YAML).expect("yaml")), expected);
}

#[test]
fn words_that_older_yaml_takes_for_something_else() {
    let policy = AuditPolicy::from_yaml("preset: ivre\ncapture: {query_string: off}").expect("a policy");
    assert_eq!(policy.capture_config().query_string(), QueryString::Off);
}

/// Each fault, in TOML, with the whole beginning of its error.
#[test]
fn faults_in_toml() {
    for (text, error) in [
        (
            "preset = \"ivre\"\n\n[[rules]]\ntype = \"upload\"\npaths = [\"/a\"]\n\nwrite_ahaed = true",
            "line 7: rule 1 (`upload`): key `write_ahaed` is unknown: expected one of `type`, `methods`, `paths`, `when`, \
             `write_ahead`, `body_end`, `target`, `domain`, `action`, `headers`, `query`, `body`, `fail_mode`",
        ),
        ("presets = true", "line 1: key `presets` is unknown: expected one of `preset`, `base_path`,"),
        (
            "preset = \"ivre\"\n[filter]\nincluded = []",
            "line 3: key `filter.included` is unknown: expected one of `include`",
        ),
        ("preset = \"ivre\"\n[capture]\npepper = \"x\"", "line 3: key `capture.pepper` is unknown: expected one of"),
        ("\"a\\nb\" = 1", "line 1: key `a\\nb` is unknown: expected one of"),
        ("", "nothing would be audited: expected `preset = \"mutations\"`, or"),
        ("base_path = \"/cgi\"", "nothing would be audited: expected"),
        ("preset = true", "line 1: key `preset`: true: expected \"mutations\" or \"ivre\""),
        ("preset = \"ivr\"", "line 1: key `preset`: \"ivr\": expected \"mutations\" or \"ivre\""),
        ("preset = \"ivre\"\nmax_results = -1", "line 2: key `max_results`: -1: expected a number from 0"),
        ("preset = \"ivre\"\nmax_results = 1.5", "line 2: key `max_results`: a fraction: expected a number from 0"),
        ("declare = []\nmax_results = 1", "line 2: key `max_results`: has no effect without a rule"),
        (
            "preset = \"ivre\"\nbase_path = \"cgi\"",
            "line 2: key `base_path`: \"cgi\" is no path pattern: it must start with `/`",
        ),
        ("preset = \"ivre\"\nrules = 1", "line 2: key `rules`: a number: expected a list"),
        ("rules = [\n  1,\n]", "line 2: rule 1: a number: expected a table with keys such as"),
        (
            "[[rules]]\ntype = \"upload\"\n\n[[rules]]\npaths = [\"/\"]",
            "line 4: rule 2: key `type` is missing: expected the type of the events",
        ),
        (
            "[[rules]]\ntype = \"Upload\"",
            "line 2: rule 1 (`Upload`): key `type`: \"Upload\" is no event_type: expected",
        ),
        (
            "[[rules]]\ntype = \"auth\"\n[[rules]]\ntype = \"a.b\"\npaths = [\n  \"/ok\",\n  \"bad\",\n]",
            "line 7: rule 2 (`a.b`): key `paths`: \"bad\" is no path pattern: it must start with `/`",
        ),
        ("[[rules]]\ntype = \"a.b\"\nmethods = [\"GET\"]", "line 1: rule 1 (`a.b`): key `paths` is missing: expected"),
        ("[[rules]]\ntype = \"a.b\"\npaths = []", "line 3: rule 1 (`a.b`): key `paths`: the list is empty: expected"),
        (
            "[[rules]]\ntype = \"upload\"\nmethods = [\"PUT\",\n\"P T\"]",
            "line 4: rule 1 (`upload`): key `methods`: \"P T\" is no HTTP method",
        ),
        (
            "[[rules]]\ntype = \"upload\"\nmethods = [\"PUT\"]",
            "line 1: rule 1 (`upload`): key `paths` is missing: expected patterns such as",
        ),
        (
            "[[rules]]\ntype = \"upload\"\nmethods = \"PUT\"",
            "line 3: rule 1 (`upload`): key `methods`: \"PUT\": expected a list of methods, \"any\" or \"unsafe\"",
        ),
        (
            "[[rules]]\ntype = \"upload\"\nwhen = \"sometimes\"",
            "line 3: rule 1 (`upload`): key `when`: \"sometimes\": expected",
        ),
        ("[[rules]]\ntype = \"upload\"\nwhen = [200,\n 99]", "line 4: rule 1 (`upload`): key `when`: 99: expected"),
        (
            "[[rules]]\ntype = \"upload\"\nwhen = [\"299-200\"]",
            "line 3: rule 1 (`upload`): key `when`: \"299-200\": expected",
        ),
        ("[[rules]]\ntype = \"upload\"\nwhen = \"0xx\"", "line 3: rule 1 (`upload`): key `when`: \"0xx\": expected"),
        ("[[rules]]\ntype = \"upload\"\nwhen = []", "line 3: rule 1 (`upload`): key `when`: the list is empty"),
        (
            "[[rules]]\ntype = \"upload\"\nfail_mode = \"ajar\"",
            "line 3: rule 1 (`upload`): key `fail_mode`: \"ajar\": expected \"closed\" or \"open\"",
        ),
        (
            "max_results = 1\n[[rules]]\ntype = \"oversize_query\"\n\nwrite_ahead = true",
            "line 5: rule 1 (`oversize_query`): key `write_ahead`: cannot be true",
        ),
        (
            "preset = \"ivre\"\n[filter]\nexclude = [\n\"auth\",\n\"autn\"]",
            "line 5: key `filter.exclude`: \"autn\" is no known event type: expected",
        ),
        ("preset = \"ivre\"\n[filter]", "line 2: key `filter`: neither `include` nor `exclude` has an entry"),
        (
            "preset = \"ivre\"\nfilter = []",
            "line 2: key `filter`: a list: expected a table with keys such as `include`",
        ),
        ("preset = \"ivre\"\ndeclare = [\"X\"]", "line 2: key `declare`: \"X\" is no event_type: expected"),
        (
            "preset = \"ivre\"\n[capture]\ntrusted_proxies = [\"10.0.0.0/8\",\n\"proxy\"]",
            "line 4: key `capture.trusted_proxies`: \"proxy\" is no network: expected",
        ),
        (
            "preset = \"ivre\"\n[capture]\nproxy_header = \"forwarded\"",
            "line 3: key `capture.proxy_header`: has no effect without",
        ),
        (
            "preset = \"ivre\"\n[capture]\nquery_string = \"on\"",
            "line 3: key `capture.query_string`: \"on\": expected \"off\" or \"redacted\"",
        ),
        (
            "preset = \"ivre\"\n[capture]\npath = \"as sent\"",
            "line 3: key `capture.path`: \"as sent\": expected \"redacted\" or \"as-sent\" or \"template\"",
        ),
        ("preset = \"ivre\"\n[capture]\napi_key = true", "line 3: key `capture.api_key`: true: expected \"both\" or"),
        ("preset = \"ivre\"\n[capture]\nredact = [\"a\",\n\"-\"]", "line 4: key `capture.redact`: \"-\" is no name"),
        (
            "preset = \"ivre\"\n\n[[rules]]\npaths = [\"/q\"]\ntype = \"oversize_query\"",
            "line 5: rule 1 (`oversize_query`): key `type`: has no effect without `max_results`",
        ),
        (
            "[[rules]]\ntype = \"upload\"\nbody_end = true\nwrite_ahead = false",
            "line 4: rule 1 (`upload`): key `write_ahead`: cannot be false where `body_end` is true",
        ),
        (
            "[[rules]]\ntype = \"a.b\"\npaths = [\"/a/{id}\"]\ntarget = \"order\"",
            "line 4: rule 1 (`a.b`): key `target`: \"order\": expected TYPE/ID with parameters of the path",
        ),
        (
            "[[rules]]\ntype = \"a.b\"\npaths = [\"/a/{id}\"]\ntarget = \"order/{nr}\"",
            "line 4: rule 1 (`a.b`): key `target`: `{nr}` is no parameter of the rule's paths",
        ),
        (
            "preset = \"ivre\"\n[capture]\ndefault_target = \"off\"",
            "line 3: key `capture.default_target`: \"off\": expected true or false",
        ),
        ("preset = \"ivre\"\npreset = false", "line 2: not TOML: duplicate key"),
        ("preset = \"ivre\"\nbase_path = ", "line 2: not TOML: "),
    ] {
        let found = AuditPolicy::from_toml(text).expect_err(text).to_string();
        assert!(found.starts_with(error), "{text}\n{found}\n{error}");
        assert!(!found.contains('\n'), "{found}");
    }
}

/// Names faults of YAML, too, whose lines are found in another way.
#[test]
fn faults_in_yaml() {
    for (text, error) in [
        (
            "preset: ivre\nrules:\n  - type: upload\n    paths: [/a]\n\n    write_ahaed: true",
            "line 6: rule 1 (`upload`): key `write_ahaed` is unknown: expected one of",
        ),
        ("preset: ivre\nfilter:\n  included: []", "line 3: key `filter.included` is unknown: expected one of"),
        ("", "nothing would be audited: expected `preset: mutations`, or"),
        (
            "rules:\n  - type: upload\n    body_end: true\n    write_ahead: false",
            "line 4: rule 1 (`upload`): key `write_ahead`: cannot be false",
        ),
        ("preset: yes", "line 1: key `preset`: \"yes\": expected \"mutations\" or \"ivre\""),
        ("rules:\n  - type: upload\n\n  - paths: [/]", "line 4: rule 2: key `type` is missing"),
        (
            "rules:\n  - type: auth\n  - type: a.b\n    paths:\n      - /ok\n      - bad",
            "line 6: rule 2 (`a.b`): key `paths`: \"bad\" is no path pattern",
        ),
        ("rules:\n  - type: a.b", "line 2: rule 1 (`a.b`): key `paths` is missing"),
        (
            "rules:\n  - type: upload\n    when: [200, 2xx,\n      x]",
            "line 4: rule 1 (`upload`): key `when`: \"x\": expected",
        ),
        ("rules:\n  - type: upload\n    paths: [1]", "line 3: rule 1 (`upload`): key `paths`: 1: expected a text"),
        ("rules:", "line 1: key `rules`: nothing: expected a list"),
        ("preset: ivre\nfilter:", "line 2: key `filter`: nothing: expected a table"),
        (
            "preset: ivre\nfilter:\n  exclude:\n    - auth\n    - autn",
            "line 5: key `filter.exclude`: \"autn\" is no known",
        ),
        ("[1]", "line 1: a list: expected a table with keys such as"),
        ("preset: ivre\npreset: false", "line 2: not YAML: "),
        ("preset: ivre\nbase_path: [", "line 2: not YAML: "),
        ("preset: ivre\nbase_path: *nowhere", "line 2: not YAML: "),
    ] {
        let found = AuditPolicy::from_yaml(text).expect_err(text).to_string();
        assert!(found.starts_with(error), "{text}\n{found}\n{error}");
        assert!(!found.contains('\n'), "{found}");
    }
}

/// The stack of a test's thread is that of a thread of the app's: 2 MiB.
#[test]
fn depth_is_limited() {
    for depth in [20, 60, 10_000] {
        let error = AuditPolicy::from_yaml(&"[".repeat(depth)).expect_err("too deep").to_string();
        assert!(error.starts_with("line 1: not YAML: "), "{error}");
        let nested = format!("rules: {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(AuditPolicy::from_yaml(&nested).is_err());
        let error = AuditPolicy::from_toml(&format!("rules = {}", "[".repeat(depth))).expect_err("too deep");
        assert!(error.to_string().starts_with("line 1: "), "{error}");
    }
}

#[test]
fn files() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    };
    for (name, content) in [("a.toml", TOML), ("a.yaml", YAML), ("a.yml", YAML)] {
        let policy = AuditPolicy::from_file(write(name, content.as_bytes())).expect(name);
        assert_eq!(policy.rules().len(), 6);
    }
    for (name, content, error) in [
        (
            "b.toml",
            &b"preset = \"ivre\"\nmuont = 1"[..],
            "b.toml: line 2: key `muont` is unknown: expected one of `preset`",
        ),
        ("b.json", b"{}", "b.json: no policy file by its name: expected one that ends in"),
        ("policy", b"", "policy: no policy file by its name: expected one that ends in"),
        ("c.toml", b"preset = \"ivre\"\n# \xff", "c.toml: line 2: the file is not UTF-8"),
        ("d.toml", &[b'#'; 1024 * 1024 + 1], "d.toml: the file is too large: expected 1 MiB at most"),
    ] {
        let found = AuditPolicy::from_file(write(name, content)).expect_err(name).to_string();
        assert!(found.contains(error), "{found}\n{error}");
    }
    let missing = AuditPolicy::from_file(folder.path().join("none.toml")).expect_err("none");
    assert!(missing.to_string().ends_with("none.toml: the file cannot be read"));
    assert!(std::error::Error::source(&missing).is_some());
}

#[test]
fn a_pepper_comes_from_elsewhere() {
    let policy = AuditPolicy::from_toml("preset = \"ivre\"").expect("a policy");
    let peppered = policy.clone().with_pepper(*b"hunter2").expect("a policy");
    assert_eq!(peppered.capture_config().pepper(), Some(&b"hunter2"[..]));
    assert_eq!(policy.capture_config().pepper(), None);
    assert!(policy.with_pepper([]).is_err());
}
