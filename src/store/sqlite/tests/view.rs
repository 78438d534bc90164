//! The view `audit_events` is complete, has PostgreSQL's columns, and is for reading only.

use super::super::events_view;
use super::super::segments::segment;
use super::*;
use crate::event::Target;
use crate::query::Cursor;
use crate::store::{Removal as _, StoreAdmin as _};
use serde_json::{Value, json};

fn rich(n: u64) -> AuditEvent {
    let mut event = event(n);
    event.resource.method = Some("POST".into());
    event.actor.acting_for = n.is_multiple_of(2).then(|| "alice".into());
    event.request.request_id = Some(format!("request-{n}").into());
    event.request.request_uri = Some("/scans/7?\"".into());
    event.classification.action = Some("update".into());
    event.targets = (0..n % 4).map(|id| Target::new("order", id)).collect();
    event
}

/// The rows of the view, each as a JSON object, by id.
async fn rows(place: &Place) -> Vec<Value> {
    let sql = "SELECT json_object('event_id', event_id, 'event_type', event_type, 'created_at', created_at, 'phase', phase, \
        'user', actor_user_email, 'for', actor_acting_for, 'route', resource_route, 'method', resource_method, \
        'outcome', outcome, 'request', request_id, 'uri', request_uri, 'action', action, 'n', json_extract(details, '$.n'), \
        'type', target_type, 'id', target_id, 'more', json(more_targets), 'event', json(event)) \
        FROM audit_events ORDER BY event_id";
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut place.raw().await).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

fn expected(event: &AuditEvent) -> Value {
    let target = event.targets.first();
    let more: Vec<String> = event.targets.iter().skip(1).map(ToString::to_string).collect();
    json!({
        "event_id": event.event_id, "event_type": event.event_type, "created_at": event.created_at,
        "phase": event.phase, "user": event.actor.user_email, "for": event.actor.acting_for,
        "route": event.resource.route, "method": event.resource.method, "outcome": event.outcome,
        "request": event.request.request_id, "uri": event.request.request_uri, "action": event.classification.action,
        "n": event.details["n"], "type": target.map(|target| &target.target_type), "id": target.map(|target| &target.id),
        "more": if more.is_empty() { Value::Null } else { json!(more) }, "event": event,
    })
}

async fn assert_shows(place: &Place, events: &[AuditEvent], what: &str) {
    let right: Vec<Value> = events.iter().map(expected).collect();
    assert_eq!(rows(place).await, right, "{what}");
}

#[tokio::test]
async fn the_view_has_every_event_wherever_it_lies() {
    let place = Place::new();
    let store = place.open().await;
    assert_shows(&place, &[], "an empty log").await;
    let mut events: Vec<_> = (0..120).map(rich).collect();
    // Before 1970.
    events[0].created_at = Timestamp::from_micros(-1_234_567).unwrap();
    store.append(&events[..60]).await.unwrap();
    assert_shows(&place, &events[..60], "journal").await;
    settle(&store).await;
    assert_shows(&place, &events[..60], "a segment").await;
    store.append(&events[60..100]).await.unwrap();
    assert_shows(&place, &events[..100], "both").await;
    // Full, so that the next events begin another.
    sqlx::query("UPDATE audit_segments SET merged = 15").execute(&mut place.raw().await).await.unwrap();
    store.append(&events[100..]).await.unwrap();
    let store = {
        store.close().await.unwrap();
        place.open().await
    };
    settle(&store).await;
    assert_eq!(place.number("SELECT count(*) FROM audit_segments").await, 2);
    assert_shows(&place, &events, "two segments").await;
    while store.purge(at(60), 1000).await.unwrap().has_more {}
    assert_eq!(place.number("SELECT count(*) FROM audit_segments").await, 1);
    assert_shows(&place, &events[60..], "after a purge").await;
    store.recreate().await.unwrap();
    assert_shows(&place, &[], "made anew").await;
    place.assert_whole().await;
}

/// Retention by rules removes single events; the segment goes with its last one.
#[tokio::test]
async fn the_view_outlives_a_segment_whose_events_are_removed_one_by_one() {
    let place = Place::new();
    let store = place.open().await;
    let events: Vec<_> = (0..20).map(rich).collect();
    store.append(&events[..10]).await.unwrap();
    settle(&store).await;
    store.append(&events[10..]).await.unwrap();
    let positions: Vec<Cursor> = events[..10].iter().map(Cursor::of).collect();
    assert_eq!(store.remove(&positions[..9]).await.unwrap(), 9);
    assert_shows(&place, &events[9..], "a segment with one event").await;
    assert_eq!(store.remove(&positions).await.unwrap(), 1);
    assert_eq!(place.number("SELECT count(*) FROM audit_segments").await, 0);
    assert_shows(&place, &events[10..], "no segment").await;
}

#[tokio::test]
async fn the_view_is_for_reading_and_damage_hides_no_event() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&[rich(1)]).await.unwrap();
    store.append(&[rich(2)]).await.unwrap();
    for sql in [
        "DELETE FROM audit_events",
        "UPDATE audit_events SET phase = 'x'",
        "INSERT INTO audit_events(event) VALUES ('')",
    ] {
        let error = sqlx::query(sql).execute(&mut place.raw().await).await.unwrap_err().to_string();
        assert!(error.contains("because it is a view"), "{error}");
    }
    let damage = "UPDATE audit_journal SET events = '[{' WHERE seq = (SELECT max(seq) FROM audit_journal)";
    sqlx::query(damage).execute(&mut place.raw().await).await.unwrap();
    let shown = "SELECT count(*) + 10 * sum(event_type = 'audit.unreadable') FROM audit_events";
    assert_eq!(place.number(shown).await, 12);
}

#[tokio::test]
async fn the_view_has_the_columns_of_postgresql() {
    const SCHEMA: &str = include_str!("../../postgres/schema.sql");
    let (_, table) = SCHEMA.split_once("CREATE TABLE IF NOT EXISTS {table}(").unwrap();
    let (table, _) = table.split_once(") PARTITION").unwrap();
    let mut right: Vec<&str> = table.split(",\n").filter_map(|line| line.split_whitespace().next()).collect();
    // Numbers of rows would change when an event moves.
    right.retain(|name| *name != "id");
    right.sort_unstable();
    let place = Place::new();
    place.open().await;
    let found: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('audit_events') ORDER BY name")
        .fetch_all(&mut place.raw().await)
        .await
        .unwrap();
    assert_eq!(found, right);
}

/// More than SQLite takes in one UNION.
#[tokio::test]
async fn the_view_of_many_segments_can_be_read() {
    const SEGMENTS: i64 = 1600;
    let place = Place::new();
    place.open().await.close().await.unwrap();
    let mut db = place.raw().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut db).await.unwrap();
    for n in 1..=SEGMENTS {
        segment::create(&mut db, n).await.unwrap();
        let sql = format!(
            "INSERT INTO audit_segments VALUES ({n}, {n}, {n}, x'', x'', 1, 2, 15, 0); INSERT INTO audit_segment_{n} \
             VALUES (1, randomblob(16), {n}, 'upload', 'completed', NULL, NULL, NULL, 200, '{{\"details\":{{}}}}')"
        );
        sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut db).await.unwrap();
    }
    events_view::refresh(&mut db).await.unwrap();
    sqlx::query("COMMIT").execute(&mut db).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM audit_events").await, SEGMENTS);
    let some = "SELECT count(*) FROM audit_events WHERE created_at < '1970-01-01T00:00:00.000011Z' AND details = '{}'";
    assert_eq!(place.number(some).await, 10);
}

#[tokio::test]
async fn a_table_of_the_apps_own_with_that_name_is_left_alone() {
    let place = Place::new();
    let options = SqliteConnectOptions::new().filename(place.path()).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE audit_events(mine TEXT)").execute(&pool).await.unwrap();
    let store = SqliteStore::from_pool(&pool, OpenOptions::default()).await.unwrap();
    store.append(&[rich(1)]).await.unwrap();
    settle(&store).await;
    sqlx::query("INSERT INTO audit_events VALUES ('x')").execute(&pool).await.unwrap();
    assert_eq!(place.number("SELECT count(mine) FROM audit_events").await, 1);
    assert_eq!(all(&store).await, [rich(1)]);
}

/// Every statement of the page runs.
#[tokio::test]
async fn the_examples_of_the_manual_run() {
    const PAGE: &str = include_str!("../../../../docs/stores/sqlite.md");
    let place = Place::new();
    let store = place.open().await;
    store.append(&(0..40).map(rich).collect::<Vec<_>>()).await.unwrap();
    settle(&store).await;
    let examples: Vec<&str> =
        PAGE.split("```sql\n").skip(1).filter_map(|after| Some(after.split_once("```")?.0)).collect();
    assert!(examples.len() >= 3);
    for sql in examples {
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut place.raw().await).await;
        assert!(!rows.unwrap_or_else(|error| panic!("{sql}: {error}")).is_empty(), "{sql}");
    }
}
