//! Every filter's first page and its ten thousandth come from an index: the server itself says how it answered.

use std::collections::VecDeque;

use serde_json::Value;
use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::store::Reader;
use tower_audit::{EventId, Timestamp};

use crate::cluster::{Cluster, Database};
use crate::postgres::support::{event, ok, open};

const PAGE: usize = 10;
const LAST: u64 = 10_000;

/// Two hundred thousand events, one every three minutes up to the middle of this month, whatever day it is: on its first day this
/// month's partition would be so small that the server reads it whole. By one statement, for it takes a second.
const FILL: &str = r#"
INSERT INTO audit_events(event_id, event_type, created_at, actor_user_email, actor_remote_addr, resource_route, details,
    outcome, phase, event, request_id, trace_id, target_type, target_id)
SELECT id, type, at, email, addr, route, '{}', outcome, phase,
    json_build_object('event_id', replace(id::text, '-', ''), 'event_type', type, 'phase', phase, 'outcome', outcome,
        'created_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'actor', json_build_object('user_email', email, 'remote_addr', addr),
        'resource', json_build_object('route', route),
        'request', json_build_object('request_id', request, 'trace_id', trace),
        'targets', json_build_array(json_build_object('type', 'order', 'id', target))), request, trace, 'order', target
FROM (
    SELECT at,
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || substr(md5(n::text), 1, 15))::uuid AS id,
        CASE WHEN n % 3 = 0 THEN 'hot' ELSE md5(n::text) END AS request,
        CASE WHEN n / 3 % 2 = 1 THEN 'hot' ELSE md5((n / 3)::text) END AS trace,
        CASE WHEN n % 4 = 2 THEN 'hot' ELSE (n % 50000)::text END AS target,
        CASE WHEN n % 20 < 14 THEN 'upload' WHEN n % 20 < 18 THEN 'auth' ELSE 'admin_action' END AS type,
        CASE WHEN n % 7 = 0 THEN NULL WHEN n % 3 = 0 THEN 'robot@example.org'
            ELSE format('user-%s@example.org', lpad(to_hex(n * 7919 % 20000), 4, '0')) END AS email,
        CASE WHEN n % 3 = 0 THEN '192.0.2.1' ELSE format('10.0.%s.%s', n * 31 % 200, n % 250) END AS addr,
        CASE n % 10 WHEN 0 THEN '/flows/cleanup' WHEN 1 THEN format('/areas/%s/{id}', n % 40) WHEN 2 THEN NULL
            ELSE '/scans' END AS route,
        CASE WHEN n % 1000 = 7 THEN NULL WHEN n % 20000 = 5 THEN 418 WHEN n % 4 = 0 THEN 403 ELSE 200 END AS outcome,
        CASE WHEN n % 1000 = 7 THEN 'unknown' ELSE 'completed' END AS phase
    FROM (
        SELECT n, date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '15 days' - n * interval '3 minutes' AS at
        FROM generate_series(1, 200000) AS n
    ) AS moments
) AS rows;
ANALYZE audit_events;
"#;

/// The filters of one field, each by something frequent and by something rare or absent; and those of several fields,
/// of several values, and by patterns. With each, how many rows may be read for one that is answered: what is frequent
/// is rightly met by going through the index of time.
const FILTERS: [(&[(&str, &str)], u64); 33] = [
    (&[], 1),
    (&[("event_type", "upload")], 10),
    (&[("event_type", "oversize_query")], 1),
    (&[("user_email", "robot@example.org")], 10),
    (&[("user_email", "user-0007@example.org")], 1),
    (&[("user_email", "nobody@example.org")], 1),
    (&[("since", "400d")], 1),
    (&[("until", "100d")], 1),
    (&[("since", "300d"), ("until", "100d")], 1),
    (&[("outcome", "403")], 10),
    (&[("outcome", "418")], 1),
    (&[("route", "/scans")], 10),
    (&[("route", "/nowhere")], 1),
    (&[("remote_addr", "192.0.2.1")], 10),
    (&[("remote_addr", "203.0.113.9")], 1),
    (&[("phase", "completed")], 1),
    (&[("phase", "unknown")], 1),
    (&[("request_id", "b6d767d2f8ed5d21a44b0e5886680cb9")], 1),
    (&[("trace_id", "b6d767d2f8ed5d21a44b0e5886680cb9")], 2),
    (&[("request_id", "hot")], 10),
    (&[("trace_id", "hot")], 10),
    (&[("target", "order/777")], 2),
    (&[("target", "order/none")], 1),
    (&[("target", "order/hot")], 10),
    (&[("target", "order/hot"), ("folded", "true")], 10),
    (&[("target", "order/777"), ("folded", "true")], 2),
    (&[("user_email", "robot*")], 20),
    (&[("user_email", "user-000*")], 20),
    (&[("user_email", "zz*")], 1),
    (&[("event_type", "!upload")], 20),
    (&[("event_type", "auth"), ("event_type", "admin_action")], 20),
    (&[("outcome", "4xx")], 20),
    (&[("route", "/scans"), ("outcome", "!200"), ("user_email", "robot@example.org")], 100),
];

#[tokio::test]
async fn every_page_of_every_filter_comes_from_an_index() {
    let database = Cluster::shared().database();
    let filler = open(&database.url()).await;
    database.sql(FILL);
    log_plans(&database);
    ok(filler.close().await);
    let store = open(&database.url()).await;
    let reader = store.parts().reader.expect("the store is read");
    for (set, most_read) in FILTERS {
        let mut filter = Filter::default();
        for (name, value) in set {
            filter.set(name, value, Timestamp::now()).expect("a filter");
        }
        assert!(reader.unindexed(&filter).is_empty(), "{set:?}");
        let events = ok(reader.count(&filter).await);
        let skip = ((LAST - 1) * PAGE as u64).min(events.saturating_sub(PAGE as u64));
        let first = PageQuery::new(filter, PAGE);
        let mut last = first.clone();
        if skip > 0 {
            let before = ok(reader.query(&PageQuery::new(first.filter.clone(), 1).skip(skip - 1)).await);
            last.after = before.first().map(Cursor::of);
        }
        for (name, query) in [("first", &first), ("last", &last)] {
            let what = format!("the {name} page of {set:?}, which has {events} events");
            // A statement that is asked often gets a plan that does not know its values.
            for _ in 0..6 {
                assert_eq!(ok(reader.query(query).await).len() as u64, events.min(PAGE as u64), "{what}");
            }
            let plan = plan_of(reader, query).await;
            let read = rows_read(&plan, &what);
            assert!(read <= most_read * PAGE as u64 + PARTITIONS, "{what} reads {read} rows: {plan:#}");
        }
    }
}

/// By what the server sends, an event of another user is not told from one that is missing. On a server of its own, whose log has the
/// plans of this test alone.
#[tokio::test]
async fn nothing_of_an_event_of_another_user_is_sent() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = open(&database.url()).await;
    let theirs = event(7);
    ok(store.append(std::slice::from_ref(&theirs)).await);
    ok(store.close().await);
    log_plans(&database);
    let store = open(&database.url()).await;
    let reader = store.parts().reader.expect("the store is read");
    // The session is opened, and its settings are made.
    assert_eq!(ok(reader.get_of(EventId::new(), "user7@example.org").await), None);
    for (id, user, rows) in [
        (theirs.event_id, "user7@example.org", 1.0),
        (theirs.event_id, "user8@example.org", 0.0),
        (EventId::new(), "user8@example.org", 0.0),
    ] {
        let before = cluster.log().len();
        let found = ok(reader.get_of(id, user).await);
        assert_eq!(found.is_some(), rows > 0.0, "{user}");
        let plans = plans_in(&cluster.log()[before..]);
        let [plan] = &*plans else { panic!("{plans:#?}") };
        assert_eq!(plan["Plan"]["Actual Rows"].as_f64(), Some(rows), "{plan:#}");
    }
}

/// A hash index has some 150 pages of one value that sixty thousand events have, and goes through them for each insert.
#[tokio::test]
async fn a_value_that_many_events_have_costs_an_append_no_more() {
    let database = Cluster::shared().database();
    ok(open(&database.url()).await.close().await);
    let insert = |value: &str, events: u32| {
        format!(
            "INSERT INTO audit_events(event_id, event_type, created_at, details, outcome, phase, event, request_id, \
             trace_id, target_type, target_id) SELECT gen_random_uuid(), 'upload', now(), '{{}}', 200, 'completed', \
             '{{}}', '{value}', '{value}', 'order', '{value}' FROM generate_series(1, {events})"
        )
    };
    database.sql(&insert("hot", 60_000));
    let pages = |value: &str| {
        let plan =
            database.sql(&format!("BEGIN; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}; ROLLBACK", insert(value, 1)));
        let plan = &plan[plan.find('[').expect("a plan")..];
        let plan: Value = serde_json::Deserializer::from_str(plan).into_iter().next().expect("a plan").expect("JSON");
        let number = |name: &str| plan[0]["Plan"][name].as_u64().expect("a number of pages");
        number("Shared Hit Blocks") + number("Shared Read Blocks")
    };
    let (rare, hot) = (pages("rare"), pages("hot"));
    assert!(hot <= rare + 20, "an append touches {hot} pages with a frequent value, and {rare} with a rare one");
}

#[tokio::test]
async fn what_no_index_answers_is_named() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let reader = store.parts().reader.expect("the store is read");
    for (name, value, named) in [
        ("uri", "/orders/*", "uri"),
        ("method", "!GET", "method"),
        ("target_type", "order", "target_type"),
        ("detail.plan", "gold", "detail"),
        ("user_email", "*@example.org", "user_email"),
    ] {
        let mut filter = Filter::default();
        filter.set(name, value, Timestamp::now()).expect("a filter");
        assert_eq!(reader.unindexed(&filter), [named]);
    }
}

/// The number of rows that may be read twice: one of each partition.
const PARTITIONS: u64 = 12;

/// The server's plan of a query, with its counts.
async fn plan_of(reader: &dyn Reader, query: &PageQuery) -> Value {
    let before = Cluster::shared().log().len();
    ok(reader.query(query).await);
    let log = Cluster::shared().log();
    let plans = plans_in(&log[before..]);
    assert_eq!(plans.len(), 1, "{log}");
    plans.into_iter().next().expect("there is one")
}

/// Has the server write the plan of each statement to its log.
fn log_plans(database: &Database<'_>) {
    for setting in [
        "session_preload_libraries = auto_explain",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "auto_explain.log_format = json",
    ] {
        database.sql(&format!("ALTER DATABASE {} SET {setting}", database.name()));
    }
}

fn plans_in(log: &str) -> Vec<Value> {
    let plans = log.split("plan:\n").skip(1);
    plans.filter_map(|text| serde_json::Deserializer::from_str(text).into_iter().next()?.ok()).collect()
}

/// The number of rows that were read. They came from indexes, except for tables that are nearly empty.
fn rows_read(plan: &Value, what: &str) -> u64 {
    let mut read = 0;
    let mut nodes = VecDeque::from([&plan["Plan"]]);
    while let Some(node) = nodes.pop_front() {
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let rows = (number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck"))
            * number("Actual Loops");
        if kind == "Seq Scan" {
            assert!(rows < 1.0, "{what} is looked for in a whole table: {plan:#}");
        }
        if node["Relation Name"].is_string() {
            read += rows as u64;
        }
        nodes.extend(node["Plans"].as_array().into_iter().flatten());
    }
    read
}
