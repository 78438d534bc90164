//! Whatever a database or a role presets for its sessions: the same events.

use crate::cluster::Cluster;
use crate::support::{all, at, event, ok, open};

#[tokio::test]
async fn presets_of_the_database_change_nothing() {
    let database = Cluster::shared().database();
    let name = database.name();
    // A table of that name in a schema that comes first, and functions that say something else.
    database.sql(
        "CREATE SCHEMA evil; CREATE TABLE evil.audit_events (event text); \
         CREATE FUNCTION evil.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'; \
         CREATE FUNCTION evil.to_jsonb(text) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$",
    );
    for preset in [
        "search_path = evil, public",
        "TimeZone = 'Pacific/Apia'",
        "DateStyle = 'SQL, DMY'",
        "client_encoding = 'LATIN1'",
        "extra_float_digits = -15",
        "default_transaction_isolation = serializable",
        "default_transaction_read_only = on",
        "statement_timeout = '5s'",
        "lock_timeout = '1ms'",
        "standard_conforming_strings = off",
    ] {
        Cluster::shared().sql("postgres", &format!("ALTER DATABASE {name} SET {preset}"));
    }
    let mut first = event(1);
    first.created_at = at("2026-10-25T00:30:00.000001Z");
    first.actor.user_email = Some("日本 'ö\\' \"$1\" €\u{fffd}@example.org".into());
    first.details.insert("pi".into(), serde_json::json!([std::f64::consts::PI, 1e300, 0.1]));
    let store = open(&database.url()).await;
    ok(store.append(&[first.clone(), event(2)]).await);
    assert_eq!(all(&*store).await.last(), Some(&first));
    ok(store.health().await);
    let again = open(&format!("{}?options=-c%20TimeZone%3DAsia%2FKolkata", database.url())).await;
    assert_eq!(all(&*again).await.last(), Some(&first));
    Cluster::shared().sql("postgres", &format!("ALTER DATABASE {name} RESET ALL"));
    let at = "SET TimeZone = 'UTC'; SELECT created_at FROM audit_events ORDER BY created_at LIMIT 1";
    assert_eq!(database.sql(at), "2026-10-25 00:30:00.000001+00");
    assert_eq!(database.sql("SELECT count(*) FROM evil.audit_events"), "0");
}

#[tokio::test]
async fn names_of_any_letters() {
    let database = Cluster::shared().database();
    let url = format!("{}?schema=it's%20%22mine%22&table=Lög%20;--", database.url());
    let store = open(&url).await;
    let first = event(1);
    ok(store.append(std::slice::from_ref(&first)).await);
    ok(store.health().await);
    ok(store.keeper().expect("it is kept").ensure_indexes().await);
    assert_eq!(all(&*open(&url).await).await, [first]);
    assert_eq!(database.sql(r#"SELECT count(*) FROM "it's ""mine"""."Lög ;--""#), "1");
}

#[tokio::test]
async fn logs_of_one_database_are_apart() {
    let database = Cluster::shared().database();
    let (one, two) = (open(&database.url()).await, open(&format!("{}?table=other", database.url())).await);
    let (first, second) = (event(1), event(2));
    ok(one.append(std::slice::from_ref(&first)).await);
    ok(two.append(std::slice::from_ref(&second)).await);
    ok(two.keeper().expect("it is kept").init().await);
    ok(two.append(std::slice::from_ref(&second)).await);
    assert_eq!(all(&*one).await, [first]);
    assert_eq!(all(&*two).await, [second]);
}
