//! Domain and action: of a rule, of a handler, and those of Nexus IQ Server.

use std::convert::Infallible;

use http::{Request, StatusCode};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_audit::event::nexus_iq;
use tower_audit::{Actor, AuditContext, AuditEvent, AuditLayer, AuditPolicy, ErrorCode, EventType, RecordWhen, Rule};

use crate::layer::support::{Body, memory_log, post, response};

/// The events of a request to `/users/7`, newest first, of one rule.
async fn events_of(rule: impl Fn(Rule) -> Rule, handle: fn(&AuditContext) -> StatusCode) -> Vec<AuditEvent> {
    let (log, store) = memory_log().await;
    let own = Rule::new(EventType::new("user.update").expect("a type")).paths(["/users/{id}"]);
    let policy = AuditPolicy::builder().rule(rule(own)).build().expect("a policy");
    let handler = service_fn(move |_: Request<Body>| async move {
        Ok::<_, Infallible>(response(handle(&AuditContext::current().expect("a layer"))))
    });
    AuditLayer::new(&log, policy).layer(handler).oneshot(post("/users/7")).await.expect("infallible");
    store.events()
}

fn named(event: &AuditEvent) -> (Option<&str>, Option<&str>) {
    (event.classification.domain.as_deref(), event.classification.action.as_deref())
}

#[tokio::test(start_paused = true)]
async fn a_rule_names_domain_and_action_and_a_handler_replaces_them() {
    let user_update = |rule: Rule| rule.classify("security.user", "update");
    let events = events_of(user_update, |_| StatusCode::OK).await;
    assert_eq!(
        events.iter().map(named).collect::<Vec<_>>(),
        vec![(Some("security.user"), Some("update")); events.len()]
    );
    let events = events_of(user_update, |audit| {
        audit.classify("security.user.password", "reset");
        StatusCode::OK
    });
    assert_eq!(named(&events.await[0]), (Some("security.user.password"), Some("reset")));
    let events = events_of(|rule| rule, |_| StatusCode::OK).await;
    assert_eq!(named(&events[0]), (None, None));
    // Start and end have the same names, also if the handler names another type.
    let events = events_of(
        |rule| user_update(rule).write_ahead(true),
        |audit| {
            audit.event_type(EventType::new("user.merge").expect("a type"));
            StatusCode::OK
        },
    );
    let events = events.await;
    assert_eq!(events[0].event_type.as_str(), "user.merge");
    assert_eq!(events.iter().map(named).collect::<Vec<_>>(), vec![(Some("security.user"), Some("update")); 2]);
    // The end that closes a `started` event has its names, also if no rule records it by itself.
    let only_failures = |rule: Rule| user_update(rule).write_ahead(true).when(RecordWhen::statuses([500]));
    let (log, store) = memory_log().await;
    let rule = only_failures(Rule::new(EventType::new("user.update").expect("a type")).paths(["/users/{id}"]));
    let policy = AuditPolicy::builder().rule(rule).build().expect("a policy");
    let handler = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(response(StatusCode::OK)) });
    AuditLayer::new(&log, policy).layer(handler).oneshot(post("/users/7")).await.expect("infallible");
    let events = store.events();
    assert_eq!(events.iter().map(named).collect::<Vec<_>>(), vec![(Some("security.user"), Some("update")); 2]);
}

#[tokio::test(start_paused = true)]
async fn sign_ins_are_classified_as_nexus_iq_server_does() {
    let types = ["login", "logout", "failure"];
    let handlers: [fn(&AuditContext) -> StatusCode; 3] = [
        |audit| {
            audit.login(Actor::user("alice"));
            StatusCode::OK
        },
        |audit| {
            audit.logout();
            StatusCode::OK
        },
        |audit| {
            audit.login_failed("alice");
            StatusCode::UNAUTHORIZED
        },
    ];
    for (action, handle) in types.into_iter().zip(handlers) {
        let event = events_of(|rule| rule.classify("a", "b"), handle).await.swap_remove(0);
        assert_eq!(named(&event), (Some("authentication"), Some(action)));
        let error = (action == "failure").then_some(ErrorCode::BAD_AUTHENTICATION);
        assert_eq!(event.classification.error, error);
        assert!(nexus_iq::is_known("authentication", action));
    }
    assert!(!nexus_iq::is_known("authentication", "configure") && !nexus_iq::is_known("login", "authentication"));
}

#[test]
fn a_policy_file_names_both_or_neither() {
    let parse = |keys: &str| {
        let rule = format!("[[rules]]\ntype = \"user.update\"\npaths = [\"/users/{{id}}\"]\n{keys}");
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        std::fs::write(file.path(), rule).expect("it is written");
        AuditPolicy::from_file(file.path()).map_err(|error| error.to_string())
    };
    parse("domain = \"security.user\"\naction = \"update\"").expect("both");
    for (keys, problem) in [
        ("domain = \"a\"", "key `domain`: has no effect without `action`"),
        ("action = \"a\"", "key `action`: has no effect without `domain`"),
        ("domain = \"a\"\naction = \"\"", "key `action` is empty"),
        ("domain = 7\naction = \"a\"", "expected a text"),
    ] {
        let error = parse(keys).expect_err("a fault");
        assert!(error.contains(problem) && error.contains("rule 1"), "{keys}: {error}");
    }
}

/// The rows of the table below a heading of the page: the names between backticks, by cell.
fn rows(heading: &str) -> Vec<[Vec<&'static str>; 2]> {
    const PAGE: &str = include_str!("../../../docs/coming-from/nexus-iq.md");
    let section = PAGE.split(heading).nth(1).and_then(|tail| tail.split("\n## ").next()).expect("the heading");
    let names = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect();
    let cells = |line: &'static str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (first, second) = (cells.next()?, cells.next()?);
        Some([vec![first.trim_end_matches('`')], names(second)])
    };
    section.lines().filter_map(cells).collect()
}

#[test]
fn the_names_of_nexus_iq_server_are_those_of_the_page() {
    let domains: Vec<_> = nexus_iq::DOMAINS.iter().map(|(domain, types)| [vec![*domain], types.to_vec()]).collect();
    assert_eq!(domains, rows("\n## Domain and type\n"));
    // Counted on Sonatype's page "Audit Log", releases 52 to 56.
    assert_eq!((domains.len(), domains.iter().map(|[_, types]| types.len()).sum::<usize>()), (42, 88));
    let errors: Vec<_> = rows("\n## Error\n").into_iter().map(|[error, _]| error[0].to_owned()).collect();
    assert_eq!(errors, ErrorCode::ALL.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(errors.len(), 13);
}
