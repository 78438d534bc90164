//! Rules in both formats against an oracle, over generated events.

use proptest::prelude::*;
use serde_json::json;
use tower_audit::retention::{Purge, RetentionPlan, RetentionRules};
use tower_audit::{Actor, AuditEvent, Phase};

use super::support::{DAY_MICROS, Place, aged, fill, left, now, purges};

const USERS: [Option<&str>; 4] = [None, Some("nils"), Some("nils2"), Some("friedrich")];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const ROUTES: [Option<&str>; 4] = [None, Some("/token"), Some("/token/init"), Some("/validate/check")];
const STATUSES: [Option<u16>; 3] = [None, Some(200), Some(403)];
const DAYS: [u32; 6] = [0, 1, 7, 30, 180, 3650];

/// A pattern, and its meaning in Rust.
type Pattern = (&'static str, fn(&str) -> bool);

const ON_ACTION: [Pattern; 8] = [
    (".*", |_| true),
    (".*/validate/check.*", |text| text.contains("/validate/check")),
    ("^GET /token", |text| text.starts_with("GET /token")),
    ("POST /token/init", |text| text.starts_with("POST /token/init")),
    ("POST .*", |text| text.starts_with("POST ")),
    ("(GET|DELETE) /token$", |text| text == "GET /token" || text == "DELETE /token"),
    ("auth", |text| text.starts_with("auth")),
    ("token", |text| text.starts_with("token")),
];
const ON_USER: [Pattern; 4] = [
    ("nils", |text| text.starts_with("nils")),
    ("nils$", |text| text == "nils"),
    ("None", |text| text.starts_with("None")),
    (".*rich", |text| text.contains("rich")),
];
const ON_SUCCESS: [Pattern; 2] = [("1", |text| text == "1"), ("[0N]", |text| text == "0" || text == "None")];

#[derive(Debug, Clone)]
struct Rule {
    days: u32,
    action: usize,
    user: Option<usize>,
    success: Option<usize>,
}

impl Rule {
    /// The rule as a map, or as a pair if it has no more than an action.
    fn yaml(&self, as_pair: bool, as_text: bool) -> String {
        let action = ON_ACTION[self.action].0;
        if as_pair && self.user.is_none() && self.success.is_none() {
            let days = if as_text { format!("\"{}\"", self.days) } else { self.days.to_string() };
            return format!("- [{}, {days}]\n", json!(action));
        }
        let mut text = format!("- rotate: {}\n  action: {action}\n", self.days);
        if let Some(user) = self.user {
            text.push_str(&format!("  user: {}\n", json!(ON_USER[user].0)));
        }
        if let Some(success) = self.success {
            text.push_str(&format!("  success: {}\n", json!(ON_SUCCESS[success].0)));
        }
        text
    }

    fn matches(&self, event: &AuditEvent) -> bool {
        let (method, route) = (event.resource.method.as_deref(), event.resource.route.as_deref());
        let action = match (method, route) {
            (Some(method), Some(route)) => format!("{method} {route}"),
            _ => "auth".to_owned(),
        };
        let user = event.actor.user_email.as_deref().unwrap_or("None");
        let success = event.outcome.map_or("None", |status| if status < 400 { "1" } else { "0" });
        ON_ACTION[self.action].1(&action)
            && self.user.is_none_or(|pattern| ON_USER[pattern].1(user))
            && self.success.is_none_or(|pattern| ON_SUCCESS[pattern].1(success))
    }
}

/// The index of the rule that deletes the event.
fn oracle(rules: &[Rule], event: &AuditEvent) -> Option<usize> {
    let first = rules.iter().position(|rule| rule.matches(event))?;
    let cutoff = now().as_micros() - i64::from(rules[first].days) * DAY_MICROS;
    (event.created_at.as_micros() < cutoff).then_some(first)
}

fn an_event() -> impl Strategy<Value = AuditEvent> {
    let parts = (0..400_i64, 0..USERS.len(), 0..METHODS.len(), 0..ROUTES.len(), 0..STATUSES.len());
    parts.prop_map(|(days, user, method, route, status)| {
        let mut event = aged(days, 0);
        if let Some(user) = USERS[user] {
            event.actor = Actor::user(user);
        }
        if let Some(route) = ROUTES[route] {
            event.resource.method = Some(METHODS[method].into());
            event.resource.route = Some(route.into());
        }
        event.outcome = STATUSES[status];
        event
    })
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let parts =
        (0..DAYS.len(), 0..ON_ACTION.len(), prop::option::of(0..ON_USER.len()), prop::option::of(0..ON_SUCCESS.len()));
    parts.prop_map(|(days, action, user, success)| Rule { days: DAYS[days], action, user, success })
}

async fn check(place: &Place, events: &[AuditEvent], rules: &[Rule], yaml: &str) {
    fill(&*place.store, events).await;
    let list = RetentionRules::from_yaml(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let retention = Purge::new(RetentionPlan::Rules(list)).as_of(now());
    let preview = retention.preview(&*place.store).await.expect("it is counted");
    let verdicts: Vec<_> = events.iter().map(|event| oracle(rules, event)).collect();
    let expected: Vec<u64> =
        (0..rules.len()).map(|rule| verdicts.iter().filter(|verdict| **verdict == Some(rule)).count() as u64).collect();
    assert_eq!(preview.rules, expected, "the preview\n{yaml}");
    assert_eq!(left(&*place.store).await.len(), events.len(), "a preview deletes nothing");

    let report = retention.run(&*place.store).await.expect("it runs");
    assert_eq!(
        (report.rules, report.deleted),
        (expected.clone(), preview.events().expect("they are counted")),
        "the run\n{yaml}"
    );
    let mut kept: Vec<_> =
        events.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_none()).map(|(event, _)| event).collect();
    kept.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    let found = left(&*place.store).await;
    assert_eq!(found.iter().collect::<Vec<_>>(), kept, "{yaml}");

    let purges = purges(&*place.store).await;
    let [completed, started] = purges.as_slice() else { panic!("{purges:?}") };
    assert_eq!((started.phase, completed.phase), (Phase::Started, Phase::Completed));
    for event in [started, completed] {
        let counts: Vec<u64> = event.details["rules"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|rule| rule["events"].as_u64().expect("a number"))
            .collect();
        assert_eq!(counts, expected, "{event:?}");
    }
    assert_eq!((&completed.details["deleted"], &completed.details["ended"]), (&json!(report.deleted), &json!("done")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_delete_what_the_oracle_says(
        events in prop::collection::vec(an_event(), 0..150),
        rules in prop::collection::vec(a_rule(), 1..7),
        as_pair in any::<bool>(),
        as_text in any::<bool>(),
        in_file in prop::bool::weighted(0.25),
    ) {
        let yaml: String = rules.iter().map(|rule| rule.yaml(as_pair, as_text)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = if in_file { Place::sqlite().await } else { Place::memory() };
            check(&place, &events, &rules, &yaml).await;
        });
    }
}

/// More events than a page has, so that a page ends among events that go and events that stay; and whole months of the
/// catch-all rule.
#[tokio::test]
async fn many_pages_are_ruled_like_one() {
    let users = ["nils", "friedrich", "alice"];
    let events: Vec<_> = (0..5300_i64)
        .map(|number| {
            let mut event = aged(number / 15, number);
            event.actor = Actor::user(users[(number % 7 % 3) as usize]);
            event
        })
        .collect();
    let rules = [
        Rule { days: 3650, action: 0, user: Some(3), success: None },
        Rule { days: 7, action: 0, user: Some(0), success: None },
        Rule { days: 180, action: 0, user: None, success: None },
    ];
    let yaml: String = rules.iter().map(|rule| rule.yaml(false, false)).collect();
    check(&Place::memory(), &events, &rules, &yaml).await;
    check(&Place::sqlite().await, &events, &rules, &yaml).await;
}

#[tokio::test]
async fn the_purge_events_name_the_plan() {
    let place = Place::memory();
    fill(&*place.store, &[aged(40, 0), aged(20, 0), aged(1, 0)]).await;
    let rules = RetentionRules::from_yaml("- rotate: 30\n  action: .*\n  user: None\n").expect("rules");
    let retention = Purge::new(RetentionPlan::Rules(rules)).as_of(now()).actor(Actor::user("cron"));
    retention.run(&*place.store).await.expect("it runs");
    let purges = purges(&*place.store).await;
    for event in &purges {
        assert_eq!(event.actor.user_email.as_deref(), Some("cron"));
        assert_eq!(event.details["plan"], "rules");
        assert_eq!(event.details["as_of"], now().to_string());
        assert_eq!(event.details["rules"], json!([{"rotate": 30, "action": ".*", "user": "None", "events": 1}]));
        assert_eq!(event.details["events"], 1);
        assert_eq!(event.details["rules_sha256"].as_str().map(str::len), Some(64));
    }
    assert_eq!(purges.len(), 2);
}

/// A list that is longer than an event may be still leaves its counts.
#[tokio::test]
async fn a_thousand_rules_fit_into_the_event() {
    let place = Place::memory();
    fill(&*place.store, &[aged(40, 0), aged(20, 0)]).await;
    let yaml: String = (0..999).map(|number| format!("- [\"GET /no/such/route/{number}\", 10]\n")).collect();
    let rules = RetentionRules::from_yaml(&(yaml + "- [\".*\", 30]\n")).expect("rules");
    Purge::new(RetentionPlan::Rules(rules)).as_of(now()).run(&*place.store).await.expect("it runs");
    let purges = purges(&*place.store).await;
    assert_eq!(purges[0].details["rules"], json!([{"rule": 1000, "events": 1}]));
    assert_eq!((&purges[0].details["deleted"], &purges[0].details["ended"]), (&json!(1), &json!("done")));
}
