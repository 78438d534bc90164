//! Settings that a database or a role presets do not change events.

use tower_audit::AuditEvent;
use tower_audit::query::{Field, Filter};

use crate::cluster::{Cluster, unique};
use crate::postgres::support::{all, at, close_orphans, end_of, event, ok, open, started};

/// Settings of sessions by a database, a role and a URL.
const PRESETS: [&[(&str, &str)]; 3] = [
    &[
        ("TimeZone", "Pacific/Apia"),
        ("DateStyle", "SQL, DMY"),
        ("client_encoding", "LATIN1"),
        ("extra_float_digits", "-15"),
        ("default_transaction_isolation", "serializable"),
        ("statement_timeout", "30ms"),
        ("standard_conforming_strings", "off"),
    ],
    &[
        ("TimeZone", "America/New_York"),
        ("client_encoding", "EUC_JP"),
        ("bytea_output", "escape"),
        ("default_transaction_read_only", "on"),
        ("lock_timeout", "1ms"),
        ("array_nulls", "off"),
    ],
    &[
        ("TimeZone", "Asia/Kolkata"),
        ("client_encoding", "SQL_ASCII"),
        ("IntervalStyle", "sql_standard"),
        ("transform_null_equals", "on"),
        ("quote_all_identifiers", "on"),
    ],
];

/// An event with all that a session could get wrong.
fn delicate() -> AuditEvent {
    let mut event = event(1);
    // There are two of this hour where clocks are set back.
    event.created_at = at("2026-10-25T00:30:00.000001Z");
    event.actor.user_email = Some("日本 'ö\\' \"$1\" €\u{fffd}@example.org".into());
    event.actor.remote_addr = Some("NULL".into());
    event.resource.route = Some("{\\x00,\"a\",NULL}".into());
    event.details.insert("pi".into(), serde_json::json!([std::f64::consts::PI, 1e300, 0.1]));
    event
}

/// A log lives its whole life and nothing is other than it should be.
async fn live(url: &str) {
    let store = open(url).await;
    let (first, second) = (delicate(), started(2));
    ok(store.append(&[first.clone(), second.clone()]).await);
    ok(store.append(&[end_of(&second), started(3)]).await);
    ok(store.health().await);
    assert_eq!(all(&*store).await.last(), Some(&first));
    let reader = store.parts().reader.expect("it is read");
    assert_eq!(ok(reader.get(first.event_id).await), Some(first.clone()));
    let filter = Filter::new().until(at("2026-10-25T00:30:00.000002Z"));
    assert_eq!(ok(reader.count(&filter).await), 1);
    let filter = Filter::new().until(first.created_at);
    assert_eq!(ok(reader.count(&filter).await), 0);
    let value_count = ok(reader.top_values(&Filter::default(), Field::EventType, 10).await);
    assert_eq!((value_count.len(), value_count[0].count), (1, 4));
    ok(store.close().await);
    let again = open(url).await;
    assert_eq!(close_orphans(&*again).await, 1);
    let keeper = again.parts().admin.expect("it is kept");
    ok(keeper.migrate().await);
    let purged = ok(keeper.purge(at("2026-10-26T00:00:00Z"), 10).await);
    assert_eq!((purged.deleted, purged.has_more), (1, false));
    ok(keeper.recreate().await);
    assert_eq!(all(&*again).await, []);
}

#[tokio::test]
async fn no_preset_of_a_database_a_role_or_a_url_changes_anything() {
    let database = Cluster::shared().database();
    let name = database.name();
    let role = unique("preset");
    database.sql(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON DATABASE {name} TO {role}"));
    database.sql(&format!("CREATE SCHEMA ours AUTHORIZATION {role}"));
    let plain = format!("{}?schema=ours", database.url_as(&role));
    live(&plain).await;
    let [of_database, of_role, of_url] = PRESETS;
    for (setting, value) in of_database {
        database.sql(&format!("ALTER DATABASE {name} SET {setting} = '{value}'"));
    }
    live(&plain).await;
    for (setting, value) in of_role {
        database.sql(&format!("ALTER ROLE {role} SET {setting} = '{value}'"));
    }
    live(&plain).await;
    let options = of_url.iter().map(|(setting, value)| format!("-c%20{setting}%3D{value}"));
    live(&format!("{plain}&options={}", options.collect::<Vec<_>>().join("%20"))).await;
    let store = open(&plain).await;
    ok(store.append(&[delicate()]).await);
    Cluster::shared().sql("postgres", &format!("ALTER DATABASE {name} RESET ALL; ALTER ROLE {role} RESET ALL"));
    let at = "SET TimeZone = 'UTC'; SELECT created_at FROM ours.audit_events ORDER BY created_at LIMIT 1";
    assert_eq!(database.sql(at), "2026-10-25 00:30:00.000001+00");
}

#[tokio::test]
async fn what_other_schemas_have_of_the_same_names_is_not_reached() {
    let database = Cluster::shared().database();
    let name = database.name();
    database.sql(
        "CREATE SCHEMA evil; CREATE TABLE evil.audit_events (event text); CREATE TABLE evil.audit_events_version (version int); \
         INSERT INTO evil.audit_events_version VALUES (999); \
         CREATE VIEW evil.pg_settings AS SELECT 'x'::text AS name, 'y'::text AS setting; \
         CREATE VIEW evil.pg_class AS SELECT 1 AS oid; CREATE VIEW evil.pg_locks AS SELECT 1 AS granted; \
         CREATE DOMAIN evil.uuid AS int; CREATE DOMAIN evil.timestamptz AS int; CREATE DOMAIN evil.jsonb AS int; \
         CREATE FUNCTION evil.sprung(text, text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$; \
         CREATE FUNCTION evil.sprung(uuid, uuid) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$; \
         CREATE FUNCTION evil.sprung(int, int) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung'; END$$; \
         CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.sprung); \
         CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.sprung); \
         CREATE OPERATOR evil.= (LEFTARG = pg_catalog.uuid, RIGHTARG = pg_catalog.uuid, FUNCTION = evil.sprung); \
         CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.sprung); \
         CREATE FUNCTION evil.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'; \
         CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE sql AS $$SELECT ''$$; \
         CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$SELECT 'evil'$$; \
         CREATE FUNCTION evil.to_jsonb(text) RETURNS pg_catalog.jsonb LANGUAGE sql AS $$SELECT '{}'::pg_catalog.jsonb$$",
    );
    database.sql(&format!("ALTER DATABASE {name} SET search_path = evil, pg_catalog, public"));
    live(&format!("{}?schema=public", database.url())).await;
    Cluster::shared().sql("postgres", &format!("ALTER DATABASE {name} RESET ALL"));
    assert_eq!(database.sql("SELECT count(*) FROM evil.audit_events"), "0");
}

#[tokio::test]
async fn names_of_any_letters() {
    let database = Cluster::shared().database();
    let url = format!("{}?schema=it's%20%22mine%22%5C&table=%5C'Lög%20;--$x$%25I{{bare}}", database.url());
    let store = open(&url).await;
    let first = event(1);
    ok(store.append(std::slice::from_ref(&first)).await);
    ok(store.health().await);
    ok(store.parts().admin.expect("it is kept").migrate().await);
    assert_eq!(all(&*open(&url).await).await, [first]);
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE relkind = 'r'"),
        "6"
    );
    assert_eq!(database.sql(r#"SELECT count(*) FROM "it's ""mine""\"."\'Lög ;--$x$%I{bare}""#), "1");
}

#[tokio::test]
async fn logs_of_one_database_are_apart() {
    let database = Cluster::shared().database();
    let (one, two) = (open(&database.url()).await, open(&format!("{}?table=other", database.url())).await);
    let (first, second) = (event(1), event(2));
    ok(one.append(std::slice::from_ref(&first)).await);
    ok(two.append(std::slice::from_ref(&second)).await);
    ok(two.parts().admin.expect("it is kept").recreate().await);
    ok(two.append(std::slice::from_ref(&second)).await);
    assert_eq!(all(&*one).await, [first]);
    assert_eq!(all(&*two).await, [second]);
}
