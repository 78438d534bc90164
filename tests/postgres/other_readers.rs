//! A reader that knows the columns of such a log from elsewhere: plain columns, a UUID, a JSON column, newest first.

use crate::cluster::Cluster;
use crate::support::{at, event, ok, open};

#[tokio::test]
async fn a_reader_of_the_older_columns_reads_it() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let mut first = event(1);
    first.created_at = at("2026-05-25T12:00:00.123456Z");
    first.actor.api_key_hash = Some("ab".repeat(32));
    first.resource.method = Some("PROPPATCH-AND-MORE".into());
    first.details.insert("source".into(), serde_json::json!({"categories": ["a", ""], "of": 1.5}));
    let mut second = event(2);
    second.created_at = at("2026-05-25T12:00:01Z");
    second.outcome = None;
    second.actor.user_email = None;
    ok(store.append(&[first.clone(), second]).await);

    let columns = "id, event_id, event_type, created_at, actor_user_email, actor_api_key_hash, actor_remote_addr, \
        resource_route, resource_method, details, outcome";
    let types = columns.replace(", ", "), pg_typeof(");
    assert_eq!(
        database.sql(&format!("SELECT pg_typeof({types}) FROM audit_events LIMIT 1")),
        "bigint|uuid|text|timestamp with time zone|text|text|text|text|text|jsonb|integer"
    );
    let listed = database.sql(
        "SET TimeZone = 'UTC'; SELECT a.event_type, a.created_at, a.actor_user_email, a.outcome, a.details #>> '{n}' \
         FROM audit_events a ORDER BY a.created_at DESC LIMIT 10 OFFSET 0",
    );
    assert_eq!(
        listed,
        "upload|2026-05-25 12:00:01+00|||2\nupload|2026-05-25 12:00:00.123456+00|user1@example.org|200|1"
    );
    for (filter, count) in [
        ("event_type = 'upload'::varchar", "2"),
        ("actor_user_email = 'user1@example.org'::varchar", "1"),
        ("created_at >= '2026-05-25T12:00:01+00:00'::timestamptz", "1"),
        ("created_at < '2026-05-25T14:00:01+02:00'::timestamptz", "1"),
        ("outcome = 200 AND details @> '{\"source\": {\"of\": 1.5}}'::jsonb", "1"),
    ] {
        assert_eq!(
            database.sql(&format!("SELECT count(*) AS count_1 FROM audit_events WHERE {filter}")),
            count,
            "{filter}"
        );
    }
    let id = first.event_id;
    let got =
        database.sql(&format!("SELECT event_id, resource_method FROM audit_events WHERE event_id = '{id}'::uuid"));
    assert_eq!(got.replace('-', ""), format!("{id}|PROPPATCHANDMORE"));
    let whole: tower_audit::AuditEvent =
        serde_json::from_str(&database.sql(&format!("SELECT event FROM audit_events WHERE event_id = '{id}'")))
            .unwrap();
    assert_eq!(whole, first);
}
