//! Rows that no writer of ours makes: whoever may append can. They blind no reader, and show nobody under another's name.

use std::collections::BTreeSet;
use std::process::Command;

use tower_audit::query::{Buckets, Cursor, Filter, PageQuery, TextPattern};
use tower_audit::store::Reader;
use tower_audit::{AuditEvent, EventId, Phase, Timestamp};

use crate::cluster::Cluster;
use crate::postgres::support::{at, event, ok, open};

/// A role that appends makes a row between the events `1` and `2`, or wherever its time is.
const STRAYS: [(&str, &str); 8] = [
    ("'2026-05-25T12:00:01.5Z'", "'x'"),
    ("'2026-05-25T12:00:01.5Z'", "''"),
    ("'2026-05-25T12:00:01.5Z'", "'[]'"),
    ("'2026-05-25T12:00:01.5Z'", "repeat('[', 1000000)"),
    // The event of another row: with its id, with its time.
    ("'2026-05-25T12:00:01.5Z'", "(SELECT event FROM audit_events WHERE actor_user_email = 'user0@example.org')"),
    (
        "'2026-05-25T12:00:01.5Z'",
        "(SELECT replace(event, replace(event_id::text, '-', ''), '019e5f0000007000800000000000ffff') FROM audit_events \
         WHERE actor_user_email = 'user3@example.org')",
    ),
    ("'infinity'", "'x'"),
    ("'-infinity'", "'x'"),
];

#[tokio::test]
async fn a_row_that_is_no_event_hides_no_other() {
    const ID: EventId = EventId::from_u128(0x019e_5f00_0000_7000_8000_0000_0000_ffff);
    for (time, text) in STRAYS {
        let database = Cluster::shared().database();
        let store = open(&database.url()).await;
        let mut events: Vec<_> = (0..4).map(event).collect();
        for (event, second) in events.iter_mut().zip(0..) {
            event.created_at = at(&format!("2026-05-25T12:00:0{second}Z"));
        }
        ok(store.append(&events).await);
        events.reverse();
        database.sql(&format!(
            "INSERT INTO audit_events (event_id, event_type, created_at, phase, actor_user_email, outcome, event) \
             VALUES ('{ID}', 'made.up', {time}, 'odd', 'mallory', 70000, {text})"
        ));
        let reader = store.parts().reader.expect("the store is read");
        for limit in 1..=6 {
            let (mut strays, kept): (Vec<_>, Vec<_>) =
                walk(reader, &Filter::default(), limit).await.into_iter().partition(|event| event.event_id == ID);
            assert_eq!(kept, events, "pages of {limit}: {time} {text}");
            let stray = strays.pop().expect("it is shown, too");
            assert!(strays.is_empty(), "pages of {limit}: {time} {text}");
            assert_eq!((stray.event_type.as_str(), stray.phase), ("made.up", Phase::Unknown));
            assert_eq!((stray.actor.user_email.as_deref(), stray.outcome), (Some("mallory"), None));
            assert!(stray.details["unreadable_event"].is_string(), "{stray:?}");
            assert_eq!(ok(reader.get(ID).await), Some(stray));
        }
        let hers = Filter::new().user_email("mallory*".parse::<TextPattern>().expect("a pattern"));
        assert_eq!(walk(reader, &hers, 3).await.len(), 1, "{time} {text}");
    }
}

/// Changes of a column of alice's event, and the column's name.
const EDITS: [(&str, &str); 9] = [
    ("event_type = 'auth'", "event_type"),
    ("phase = 'started'", "phase"),
    ("actor_user_email = 'bob@example.org'", "actor_user_email"),
    ("actor_api_key_hash = 'ab'", "actor_api_key_hash"),
    ("actor_remote_addr = NULL", "actor_remote_addr"),
    ("resource_route = '/other'", "resource_route"),
    ("resource_method = 'PUT'", "resource_method"),
    ("outcome = 401", "outcome"),
    ("details = '{\"n\": 2}'", "details"),
];

#[tokio::test]
async fn what_is_shown_is_what_the_filter_matched() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let mut alice = event(1);
    alice.actor.user_email = Some("alice@example.org".into());
    alice.resource.method = Some("POST".into());
    let mut events = vec![alice; EDITS.len()];
    events.iter_mut().for_each(|event| event.event_id = EventId::new());
    ok(store.append(&events).await);
    let reader = store.parts().reader.expect("the store is read");
    for ((edit, column), event) in EDITS.iter().zip(&events) {
        assert_eq!(ok(reader.get(event.event_id).await).as_ref(), Some(event));
        database.sql(&format!("UPDATE audit_events SET {edit} WHERE event_id = '{}'", event.event_id));
        let shown = ok(reader.get(event.event_id).await).expect("it is there");
        let columns = database.sql(&format!(
            "SELECT concat_ws(',', event_type, phase, actor_user_email, actor_api_key_hash, actor_remote_addr, \
             resource_route, resource_method, outcome, details->>'n') FROM audit_events WHERE event_id = '{}'",
            event.event_id
        ));
        let said = [
            Some(shown.event_type.to_string()),
            Some(shown.phase.as_str().to_owned()),
            shown.actor.user_email.as_deref().map(str::to_owned),
            shown.actor.api_key_hash.as_deref().map(str::to_owned),
            shown.actor.remote_addr.as_deref().map(str::to_owned),
            shown.resource.route.as_deref().map(str::to_owned),
            shown.resource.method.as_deref().map(str::to_owned),
            shown.outcome.map(|outcome| outcome.to_string()),
            Some(shown.details["n"].to_string()),
        ];
        assert_eq!(said.into_iter().flatten().collect::<Vec<_>>().join(","), columns);
        let why = shown.details["unreadable_event"].as_str().expect("it is marked");
        assert!(why.contains(&format!(": {column} differ")) && !why.contains("alice"), "{why}");
    }
    let of = |email: &str| Filter::new().user_email(TextPattern::exact(email));
    for (email, count) in [("alice@example.org", EDITS.len() - 1), ("bob@example.org", 1)] {
        let found = walk(reader, &of(email), 2).await;
        assert!(found.iter().all(|event| event.actor.user_email.as_deref() == Some(email)), "{found:?}");
        assert_eq!(found.len(), count);
    }
}

#[tokio::test]
async fn what_a_later_version_wrote_is_shown_and_removed() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let (first, second) = (event(1), event(2));
    ok(store.append(&[first.clone(), second.clone()]).await);
    database.sql(&format!(
        "UPDATE audit_events SET phase = 'archived', event = replace(event, 'completed', 'archived') WHERE event_id = '{}'",
        first.event_id
    ));
    let reader = store.parts().reader.expect("the store is read");
    let shown = ok(reader.get(first.event_id).await).expect("it is there");
    assert_eq!((shown.phase, shown.actor.user_email), (Phase::Unknown, first.actor.user_email));
    assert!(shown.details["unreadable_event"].as_str().is_some_and(|text| text.contains("archived")));
    assert_eq!(walk(reader, &Filter::default(), 1).await.len(), 2);
    let purged = ok(store.parts().admin.expect("it is kept").purge(tower_audit::Timestamp::MAX, 10).await);
    assert_eq!(purged.deleted, 2);
}

#[tokio::test]
async fn what_another_program_inserts_is_read_from_its_columns() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let ours = event(1);
    ok(store.append(std::slice::from_ref(&ours)).await);
    // As IVRE does it, with ids of no time; and an import by one statement.
    database.sql(
        "INSERT INTO audit_events (event_id, event_type, created_at, actor_user_email, actor_remote_addr, \
         resource_route, resource_method, details, outcome) VALUES ('c0ffee00-0000-4000-8000-000000000001', 'upload', \
         '2020-01-01T00:00:00Z', 'alice@example.org', '192.0.2.7', '/scans', 'POST', \
         '{\"source\": \"s\", \"categories\": [\"a\"], \"n\": 1.5}', 200)",
    );
    database.sql(
        "CREATE TABLE older AS SELECT 'c0ffee00-0000-4000-8000-000000000002'::uuid AS event_id, 'auth'::text AS event_type, \
         '2020-01-02T00:00:00Z'::timestamptz AS created_at, '[1]'::jsonb AS details; \
         INSERT INTO audit_events (event_id, event_type, created_at, details) SELECT * FROM older",
    );
    let mut first = AuditEvent::new(tower_audit::EventType::UPLOAD);
    first.event_id = EventId::from_u128(0xc0ff_ee00_0000_4000_8000_0000_0000_0001);
    first.created_at = at("2020-01-01T00:00:00Z");
    first.actor = tower_audit::Actor::user("alice@example.org");
    first.actor.remote_addr = Some("192.0.2.7".into());
    first.resource.route = Some("/scans".into());
    first.resource.method = Some("POST".into());
    first.outcome = Some(200);
    for (name, value) in [("source", "s".into()), ("categories", vec!["a"].into()), ("n", 1.5.into())] {
        first.details.insert(name.into(), value);
    }
    let mut second = AuditEvent::new(tower_audit::EventType::AUTH);
    second.event_id = EventId::from_u128(0xc0ff_ee00_0000_4000_8000_0000_0000_0002);
    second.created_at = at("2020-01-02T00:00:00Z");
    second.details.insert("details".into(), vec![1].into());
    let reader = store.parts().reader.expect("the store is read");
    assert_eq!(walk(reader, &Filter::default(), 2).await, [ours, second, first.clone()]);
    let hers = Filter::new().user_email(TextPattern::exact("alice@example.org"));
    assert_eq!(walk(reader, &hers, 2).await, [first]);
    let purged = ok(store.parts().admin.expect("it is kept").purge(at("2021-01-01T00:00:00Z"), 10).await);
    assert_eq!(purged.deleted, 2);
}

#[tokio::test]
async fn a_started_event_that_is_none_is_ended_all_the_same() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let (first, second) = (crate::postgres::support::started(1), crate::postgres::support::started(2));
    ok(store.append(&[first.clone(), second]).await);
    database.sql(&format!("UPDATE audit_events_started SET event = 'x' WHERE event_id = '{}'", first.event_id));
    ok(store.close().await);
    let store = open(&database.url()).await;
    assert_eq!(crate::postgres::support::close_orphans(&*store).await, 2);
    let ended: Vec<_> = crate::postgres::support::all(&*store).await;
    assert!(ended.iter().any(|event| event.request.started_event_id == Some(first.event_id)), "{ended:?}");
}

/// Rows with times that no event can have, at both ends of time, and events at the ends.
const TIMES: [(&str, usize); 6] = [
    ("'infinity'", 700),
    ("'294276-01-01'", 800),
    ("'9999-12-31 23:59:59.999999+00'", 3),
    ("'0001-01-01 00:00:00+00'", 3),
    ("'0044-03-15 BC'", 800),
    ("'-infinity'", 700),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_with_times_that_no_event_can_have_are_listed_counted_and_purged_once_each() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let events: Vec<_> = (0..50).map(event).collect();
    ok(store.append(&events).await);
    for (time, count) in TIMES {
        database.sql(&format!(
            "INSERT INTO audit_events (event_id, event_type, created_at, actor_user_email) \
             SELECT gen_random_uuid(), 'made.up', {time}, 'mallory' FROM generate_series(1, {count})"
        ));
    }
    let strays: usize = TIMES.iter().map(|(_, count)| count).sum();
    let reader = store.parts().reader.expect("the store is read");
    let everything = Filter::default();
    let pattern = |text: &str| text.parse::<TextPattern>().expect("a pattern");
    let filters = [
        (everything.clone(), strays + 50),
        (everything.clone().since(Timestamp::MIN), strays + 50),
        (everything.clone().since(at("2020-01-01T00:00:00Z")), strays / 2 + 50),
        (everything.clone().until(at("2020-01-01T00:00:00Z")), strays / 2),
        (everything.clone().until(Timestamp::MIN), 0),
        (everything.clone().user_email(pattern("mall*")), strays),
    ];
    for (filter, count) in filters {
        assert_eq!(ok(reader.count(&filter).await), count as u64, "{filter:?}");
        let whole: u64 = {
            let width = 10_000_000_000_000_000;
            let buckets = Buckets::new(Timestamp::MIN, width, 32).expect("they cover all of time");
            ok(reader.histogram(&filter, &buckets).await).iter().sum()
        };
        assert_eq!(whole, count as u64, "{filter:?}");
        for limit in [97, 1000] {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = ok(reader.query(&PageQuery::new(filter.clone(), limit).after(after)).await);
                after = page.last().map(Cursor::of);
                listed.extend(page.iter().map(Cursor::of));
                // A page that is not full is the last one.
                if page.len() < limit {
                    break;
                }
            }
            assert_eq!(listed.len(), count, "pages of {limit}: {filter:?}");
            assert!(listed.is_sorted_by(|newer, older| newer > older), "pages of {limit}: {filter:?}");
            for skip in [1, 1400, 1503, 1530, 1553, 1600, 4000] {
                let query = PageQuery::new(filter.clone(), limit).skip(skip);
                let page: Vec<_> = ok(reader.query(&query).await).iter().map(Cursor::of).collect();
                let skip = usize::try_from(skip).expect("it is small").min(count);
                assert_eq!(page, listed[skip..count.min(skip + limit)], "{skip} and pages of {limit}: {filter:?}");
            }
        }
    }
    let marked = ok(reader.query(&PageQuery::new(everything.clone(), 10_000)).await);
    let marked = marked.iter().filter(|event| event.details.contains_key("unreadable_event")).count();
    assert_eq!(marked, strays - 6);
    let exported = program(&["export"], &database.url());
    assert_eq!(exported.lines().collect::<BTreeSet<_>>().len(), strays + 50);
    let purge = ["purge", "--older-than", "1d"];
    let counted = program(&[&purge[..], &["--dry-run", "-q"]].concat(), &database.url());
    let removed = program(&purge, &database.url());
    assert_eq!((counted.trim(), removed.trim()), ("1503", "1503"));
    // The purge's own record is two events.
    assert_eq!(ok(reader.count(&everything).await), 50 + 1503 + 2);
}

/// The output of the program, which succeeds.
fn program(arguments: &[&str], url: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tower-audit")).args(arguments).args(["--url", url]).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn details_that_cannot_be_read_are_marked() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for details in ["{\"n\": 1e400}", &format!("{{\"deep\": {deep}}}")] {
        for text in ["", "x"] {
            let id = EventId::new();
            database.sql(&format!(
                "INSERT INTO audit_events (event_id, event_type, created_at, details, event) \
                 VALUES ('{id}', 'made.up', now(), '{details}', '{text}')"
            ));
            let shown = ok(store.parts().reader.expect("the store is read").get(id).await).expect("it is there");
            assert!(shown.details["unreadable_event"].is_string(), "{details} {text}: {shown:?}");
        }
    }
}

/// All events that a filter selects, page by page.
async fn walk(reader: &dyn Reader, filter: &Filter, limit: usize) -> Vec<AuditEvent> {
    let mut events = Vec::new();
    let mut after = None;
    for _ in 0..20 {
        let page = ok(reader.query(&PageQuery::new(filter.clone(), limit).after(after)).await);
        let Some(last) = page.last() else { return events };
        after = Some(Cursor::of(last));
        events.extend(page);
    }
    panic!("the pages of {limit} do not end");
}
