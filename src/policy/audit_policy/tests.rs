//! Matching cannot be dodged, and decisions follow the order of the rules.

use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::policy::{RecordWhen, presets};

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method")
}

fn status(status: u16) -> RequestOutcome<'static> {
    RequestOutcome { status: StatusCode::from_u16(status).ok(), ..RequestOutcome::default() }
}

fn own(name: &str) -> EventType {
    name.parse().expect("a type")
}

/// The type that an end is recorded as.
fn decided(policy: &AuditPolicy, candidates: MatchingRules, ended: &RequestOutcome<'_>) -> Option<String> {
    policy.decide(candidates, ended).map(|decision| decision.event_type.to_string())
}

fn full() -> AuditPolicy {
    AuditPolicy::builder().preset_ivre().base_path("/cgi").max_results(10).build().expect("a policy")
}

#[test]
fn the_presets_by_method_and_path() {
    let policy = presets::ivre();
    for (name, path, rules) in [
        ("POST", "/scans", &[0][..]),
        ("POST", "/view/", &[0]),
        ("POST", "/flows", &[0]),
        ("POST", "/flows/cleanup", &[0]),
        ("post", "/scans", &[0]),
        ("GET", "/scans", &[]),
        ("PUT", "/scans", &[]),
        ("POST", "/scans/x", &[]),
        ("POST", "/Scans", &[]),
        ("PUT", "/auth/admin/users/a", &[1]),
        ("DELETE", "/auth/admin", &[1]),
        ("PROPFIND", "/auth/admin/", &[1]),
        ("get", "/auth/admin/users", &[1]),
        ("GET", "/auth/admin/users", &[]),
        ("HEAD", "/auth/admin/users", &[]),
        ("OPTIONS", "/auth/admin/users", &[]),
        ("TRACE", "/auth/admin/users", &[]),
        ("PUT", "/auth/administrator", &[]),
        ("PUT", "/x/auth/admin/u", &[]),
        ("POST", "*", &[]),
        ("POST", "", &[]),
    ] {
        assert_eq!(policy.matching_rules(&method(name), path).iter().collect::<Vec<_>>(), rules, "{name} {path}");
    }
    assert_eq!(policy.rules().len(), 4);
    assert!(!policy.inspects_responses());
}

#[test]
fn spellings_that_dodge_nothing() {
    let policy = full();
    for path in [
        "/auth/admin/../../public",
        "/./auth/admin/../../public",
        "/%2e/auth/admin/../../public",
        "/x/../auth/admin/u",
        "/auth/%61dmin/u",
        "//auth///admin/./u/",
        "/auth%2fadmin%2Fu",
        "/auth/admin/%2e%2e/%2e%2e/public",
        "/x/%2E%2e/auth/admin",
        "/x/../auth/%61dmin/%2e%2e/%2e%2e/public",
        "/x%2f..%2fauth/admin/u",
        "/./auth/.%2f/admin",
        "/../auth/admin",
        "/a/b/c/d/e/f/g/h/../../../../../../../../auth/admin/u",
        "/auth//../admin/u",
        "/auth/%2f..%2F/admin/u",
        "/auth//%2e./admin/u",
        "/cgi/auth/admin/u",
        "//cgi/./auth//admin/u",
        "/%63gi/auth/admin",
        "/x/../cgi/auth/admin",
        "/cgi/../auth/admin/u",
        "/cgi/../cgi/auth/admin/u",
        // Resolved between slashes, then decoded and split.
        "/p%2fq/../auth%2fadmin/u",
        "/p%2fq%2fr/../../auth%2f.%2fadmin/u",
        "/p%252fq/../auth/admin/u",
        // Parsers of the WHATWG's URL standard take a backslash for a slash.
        "/auth\\admin\\u",
        "/auth\\admin%2fu",
        "\\auth/admin/u",
        "/x\\..\\auth/admin",
        "/auth%5cadmin%5Cu",
        // Decoded by the proxy, and again by the app.
        "/auth%252fadmin/u",
        "/auth%255cadmin/u",
        "/%2561uth/%61dmin/u",
        "/auth/%252561dmin",
        "/%252e%252e/auth/admin/u",
        "/cgi%252fauth/admin",
    ] {
        assert!(policy.matching_rules(&Method::PUT, path).contains(1), "{path}");
    }
    for path in [
        "/cgix/auth/admin",
        "/auth/adm%69n2",
        "/auth/%2561dmi",
        "/%",
        "/a\\dmin",
        "/admin\\auth",
        "/auth/../admin",
        "/..",
        "/%2f",
    ] {
        assert!(policy.matching_rules(&Method::PUT, path).is_empty(), "{path}");
    }
}

/// `base_path("/auth")` in front of an app with routes of its own under `/auth`: a proxy that strips the prefix, or another
/// that leaves it.
#[test]
fn a_base_path_that_is_also_a_segment_of_the_app() {
    let policy = AuditPolicy::builder().preset_ivre().base_path("/auth").build().expect("a policy");
    for path in [
        "/auth/admin/u",
        "/auth/auth/admin/u",
        "/auth//admin/u",
        "/auth/%61dmin/u",
        "/auth/x/../admin/u",
        "/auth/auth/x/../admin/u",
        "/auth/auth%2fadmin",
    ] {
        assert!(policy.matching_rules(&Method::PUT, path).contains(1), "{path}");
        assert!(policy.explain(&Method::PUT, path).is_write_ahead(), "{path}");
    }
    for path in ["/auth", "/admin/u", "/auth/auth", "/auth/scans"] {
        assert!(!policy.matching_rules(&Method::PUT, path).contains(1), "{path}");
    }
    assert!(policy.matching_rules(&Method::POST, "/auth/scans").contains(0));
}

/// A parameter that was encoded stays one segment for an app that splits before it decodes.
#[test]
fn an_encoded_slash_is_one_segment_or_two() {
    let policy =
        AuditPolicy::builder().rule(presets::ivre::upload().paths(["/{id}/x", "/a/b/y"])).build().expect("a policy");
    for path in ["/a%2fb/x", "/a%5cb/x", "/a%252fb/x", "/a%2fb/%2578", "/a%2fb/y", "/a%252fb/y", "/a%5cb/y"] {
        assert!(policy.matching_rules(&Method::POST, path).contains(0), "{path}");
    }
    for path in ["/a%2fb/z", "/a/b/x", "/a%2520b/y"] {
        assert!(!policy.matching_rules(&Method::POST, path).contains(0), "{path}");
    }
}

/// A router that matches paths as they are hands `.` to `{id}`; dropping it would leave the segment out.
#[test]
fn a_dot_can_be_a_parameter() {
    let policy = AuditPolicy::builder().rule(presets::ivre::upload().paths(["/users/{id}"])).build().expect("a policy");
    for path in ["/users/.", "/users/..", "/users/%2e", "/users/%2e%2e", "/users/a%2fb"] {
        assert!(policy.matching_rules(&Method::POST, path).contains(0), "{path}");
    }
}

#[test]
fn a_pattern_may_be_written_encoded() {
    for pattern in ["/a b", "/a%20b"] {
        let policy = AuditPolicy::builder().rule(presets::ivre::upload().paths([pattern])).build().expect("a policy");
        for path in ["/a%20b", "/%61%20b", "/a b"] {
            assert!(policy.matching_rules(&Method::POST, path).contains(0), "{pattern} {path}");
        }
    }
}

#[test]
fn hostile_paths_take_linear_time() {
    let policy = full();
    for path in [
        "/a".repeat(500_000),
        "/..".repeat(300_000),
        "/%2e%2e".repeat(50_000),
        "%2f".repeat(100_000),
        "%".repeat(200_000),
        "/".repeat(1_000_000),
        format!("{}{}/auth/admin", "/a".repeat(100_000), "/..".repeat(100_000)),
    ] {
        let candidates = policy.matching_rules(&Method::PUT, &path);
        assert_eq!(candidates.contains(1), path.ends_with("admin"));
    }
}

#[test]
fn templates() {
    let rule = presets::ivre::upload().paths(["/files/{*rest}", "/files/{name}", "/raw/{*rest}", "/scans/"]);
    let policy = AuditPolicy::builder().rule(rule).base_path("/cgi").build().expect("a policy");
    for (path, template) in [
        ("/files/a", Some("/files/{name}")),
        ("/cgi/files/a", Some("/files/{name}")),
        ("/cgi//files/%61", Some("/files/{name}")),
        ("/files/a/b", None),
        ("/raw/a", None),
        ("/scans", Some("/scans/")),
        ("/other", None),
    ] {
        assert_eq!(policy.route_pattern(0, path), template, "{path}");
    }
    assert_eq!(policy.route_pattern(1, "/scans"), None);
}

#[test]
fn ends_of_the_presets() {
    let policy = full();
    let upload = policy.matching_rules(&Method::POST, "/scans");
    let admin = policy.matching_rules(&Method::PUT, "/auth/admin/u");
    let abnormal = RequestOutcome { abnormal: true, ..RequestOutcome::default() };
    let counted = |count| RequestOutcome { result_count: Some(count), ..status(200) };
    for (candidates, ended, expected) in [
        (upload, status(200), Some("upload")),
        (upload, status(503), Some("upload")),
        (upload, abnormal, Some("upload")),
        (upload, status(302), Some("upload")),
        (upload, status(404), Some("upload")),
        (admin, status(200), Some("admin_action")),
        (admin, status(403), Some("admin_action")),
        (admin, abnormal, Some("admin_action")),
        (MatchingRules::NONE, status(200), None),
        (MatchingRules::NONE, abnormal, None),
        (MatchingRules::NONE, counted(9), None),
        (MatchingRules::NONE, counted(10), None),
        (MatchingRules::NONE, counted(11), Some("oversize_query")),
        (upload, counted(11), Some("upload")),
        (upload, RequestOutcome { result_count: Some(11), ..status(404) }, Some("upload")),
    ] {
        assert_eq!(decided(&policy, candidates, &ended).as_deref(), expected, "{candidates:?} {ended:?}");
    }
    assert!(policy.inspects_responses());
    assert_eq!(policy.first_write_ahead(upload), None);
    assert_eq!(policy.first_write_ahead(admin), Some(1));
}

#[test]
fn the_handler_names_the_type() {
    let login = || presets::auth().paths(["/login"]).fail_mode(FailMode::Open);
    let policy = AuditPolicy::builder()
        .rule(presets::ivre::upload().fail_mode(FailMode::Open))
        .rule(login())
        .exclude(["admin_action"])
        .build()
        .expect("a policy");
    // Every attempt, whatever its handler comes to say of it; but not a look at the form.
    assert!(policy.matching_rules(&Method::GET, "/login").is_empty());
    let candidates = policy.matching_rules(&Method::POST, "/login");
    assert_eq!(candidates.first(), Some(1));
    assert_eq!(decided(&policy, candidates, &status(413)).as_deref(), Some("auth"));
    let narrow =
        AuditPolicy::builder().rule(login().methods(["GET"]).when(RecordWhen::declared())).build().expect("a policy");
    assert_eq!(decided(&narrow, narrow.matching_rules(&Method::GET, "/login"), &status(303)), None);

    let (auth, invited) = (EventType::AUTH, own("user.invited"));
    let says = |declared| RequestOutcome { declared_type: Some(declared), ..status(404) };
    let open = |rule, event_type: &EventType| {
        Some(Decision { rule: Some(rule), event_type: event_type.clone(), fail_mode: FailMode::Open })
    };
    assert_eq!(policy.decide(candidates, &says(&auth)), open(1, &auth));
    assert_eq!(policy.decide(MatchingRules::NONE, &says(&auth)), open(1, &auth));
    assert_eq!(policy.decide(policy.matching_rules(&Method::POST, "/scans"), &says(&auth)), open(0, &auth));
    assert_eq!(
        policy.decide(MatchingRules::NONE, &says(&invited)),
        Some(Decision { rule: None, event_type: invited.clone(), fail_mode: FailMode::Closed })
    );
    assert_eq!(policy.decide(MatchingRules::NONE, &says(&EventType::ADMIN_ACTION)), None);
    // An excluded declaration counts as none.
    let admin = RequestOutcome { declared_type: Some(&EventType::ADMIN_ACTION), ..status(200) };
    assert_eq!(decided(&policy, policy.matching_rules(&Method::POST, "/scans"), &admin).as_deref(), Some("upload"));
}

#[test]
fn what_is_excluded_never_decides() {
    let policy = AuditPolicy::builder()
        .preset_ivre()
        .max_results(10)
        .exclude(["admin_action", "oversize_query"])
        .build()
        .expect("a policy");
    let candidates = policy.matching_rules(&Method::PUT, "/auth/admin/u");
    assert!(candidates.is_empty() && policy.first_write_ahead(candidates).is_none() && !policy.inspects_responses());
    assert_eq!(decided(&policy, candidates, &RequestOutcome { result_count: Some(11), ..status(200) }), None);
}

#[test]
fn the_first_rule_in_order_decides() {
    let rule = |name: &str, when| Rule::new(own(name)).paths(["/{*path}"]).when(when);
    let policy = AuditPolicy::builder()
        .rule(rule("a.denied", RecordWhen::statuses([401, 403])))
        .rule(rule("a.failed", RecordWhen::statuses(400..=599)))
        .rule(rule("a.any", RecordWhen::always()))
        .build()
        .expect("a policy");
    let candidates = policy.matching_rules(&Method::GET, "/x");
    for (code, expected) in [(403, "a.denied"), (404, "a.failed"), (200, "a.any")] {
        assert_eq!(decided(&policy, candidates, &status(code)).as_deref(), Some(expected));
    }
}

#[test]
fn what_was_started_is_completed() {
    let rule = presets::ivre::upload().when(RecordWhen::effect_possible()).write_ahead(true);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a policy");
    let candidates = policy.matching_rules(&Method::POST, "/scans");
    assert_eq!(decided(&policy, candidates, &status(404)).as_deref(), Some("upload"));
    assert_eq!(decided(&policy, MatchingRules::NONE, &status(404)), None);
}

#[test]
fn a_policy_is_shared_between_threads() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<AuditPolicy>();
    check::<PolicyBuilder>();
    check::<PolicyError>();
}

/// One change to a path that must not matter.
fn dodge(path: &str, kind: u8, at: usize) -> String {
    let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    let insert = |text: &str| {
        let at = slashes[at % slashes.len()];
        format!("{}{text}{}", &path[..at], &path[at..])
    };
    match kind {
        0 => insert("/"),
        1 => insert("/."),
        2 => insert("/a/.."),
        3 => insert("/%2e"),
        4 => insert("/a/%2E."),
        5 => format!("{path}/"),
        6 => format!("{path}//."),
        _ => {
            let plain: Vec<usize> = path
                .char_indices()
                .filter(|&(at, char)| {
                    char.is_ascii_alphabetic()
                        && !path[..at].ends_with('%')
                        && !path[..at.saturating_sub(1)].ends_with('%')
                        && at > 1
                })
                .map(|(at, _)| at)
                .collect();
            let Some(&at) = plain.get(at % plain.len().max(1)) else { return path.to_owned() };
            format!("{}%{:02x}{}", &path[..at], path.as_bytes()[at], &path[at + 1..])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_dodges_gets_around_a_rule(
        start in prop::sample::select(&["/auth/admin/users/bob", "/cgi/auth/admin/users", "/auth/admin"][..]),
        dodges in prop::collection::vec((0_u8..8, any::<usize>()), 0..8),
    ) {
        let mut path = start.to_owned();
        for (kind, at) in dodges {
            path = dodge(&path, kind, at);
        }
        prop_assert!(full().matching_rules(&Method::PUT, &path).contains(1), "{}", path);
    }

    #[test]
    fn both_ways_of_matching_agree(path in "(/(cgi|scans|auth|admin|flows|cleanup|x|é|a\\.b)){0,5}/?") {
        let policy = full();
        if path_variants::is_plain(&path) {
            let open = policy.0.with_matcher.0;
            prop_assert_eq!(policy.match_plain_path(open, &path), policy.match_variants(open, &path));
        }
    }

    #[test]
    fn nothing_panics(name in "[A-Za-z]{1,8}", path in ".{0,40}|[/.%2eEfF]{0,40}") {
        let policy = full();
        let candidates = policy.matching_rules(&method(&name), &path);
        for index in candidates.iter() {
            policy.route_pattern(index, &path);
        }
        policy.strip_base_path(&path);
    }
}
