//! Rows that no writer of ours makes: whoever may append can. They blind no reader, and show nobody under another's name.

use tower_audit::query::{Cursor, Filter, PageQuery, TextPattern};
use tower_audit::store::Reader;
use tower_audit::{AuditEvent, EventId, Phase};

use crate::cluster::Cluster;
use crate::support::{at, event, ok, open};

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
        let reader = store.reader().expect("the store is read");
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
        let hers =
            Filter { user_email: TextPattern::parse("mallory*").expect("a pattern").into(), ..Filter::default() };
        assert_eq!(walk(reader, &hers, 3).await.len(), 1, "{time} {text}");
    }
}

/// What somebody makes of a column of an event that alice has, and the column's name.
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
    let reader = store.reader().expect("the store is read");
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
    let of = |email: &str| Filter { user_email: TextPattern::exact(email).into(), ..Filter::default() };
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
    let reader = store.reader().expect("the store is read");
    let shown = ok(reader.get(first.event_id).await).expect("it is there");
    assert_eq!((shown.phase, shown.actor.user_email), (Phase::Unknown, first.actor.user_email));
    assert!(shown.details["unreadable_event"].as_str().is_some_and(|text| text.contains("archived")));
    assert_eq!(walk(reader, &Filter::default(), 1).await.len(), 2);
    let purged = ok(store.keeper().expect("it is kept").purge(tower_audit::Timestamp::MAX, 10).await);
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
    let reader = store.reader().expect("the store is read");
    assert_eq!(walk(reader, &Filter::default(), 2).await, [ours, second, first.clone()]);
    let hers = Filter { user_email: TextPattern::exact("alice@example.org").into(), ..Filter::default() };
    assert_eq!(walk(reader, &hers, 2).await, [first]);
    let purged = ok(store.keeper().expect("it is kept").purge(at("2021-01-01T00:00:00Z"), 10).await);
    assert_eq!(purged.deleted, 2);
}

#[tokio::test]
async fn a_started_event_that_is_none_is_ended_all_the_same() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let (first, second) = (crate::support::started(1), crate::support::started(2));
    ok(store.append(&[first.clone(), second]).await);
    database.sql(&format!("UPDATE audit_events_open SET event = 'x' WHERE event_id = '{}'", first.event_id));
    ok(store.close().await);
    let store = open(&database.url()).await;
    assert_eq!(crate::support::close_orphans(&*store).await, 2);
    let ended: Vec<_> = crate::support::all(&*store).await;
    assert!(ended.iter().any(|event| event.request.started_event_id == Some(first.event_id)), "{ended:?}");
}

/// All events that a filter selects, page by page.
async fn walk(reader: &dyn Reader, filter: &Filter, limit: usize) -> Vec<AuditEvent> {
    let mut events = Vec::new();
    let mut after = None;
    for _ in 0..20 {
        let page = ok(reader.query(&PageQuery { after, ..PageQuery::new(filter.clone(), limit) }).await);
        let Some(last) = page.last() else { return events };
        after = Some(Cursor::of(last));
        events.extend(page);
    }
    panic!("the pages of {limit} do not end");
}
