//! Months: made ahead, dropped whole, and never in the way of an event.

use tower_audit::store::MAX_REMOVED;
use tower_audit::{AuditEvent, EventId};

use crate::mariadb::{Database, Server};
use crate::mysql::support::{all, at, event, ok, open};

/// The names of the partitions, in their order.
fn partitions(database: &Database<'_>) -> Vec<String> {
    let sql = format!(
        "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME = 'audit_events' \
         ORDER BY PARTITION_ORDINAL_POSITION",
        database.name()
    );
    database.sql(&sql).lines().map(str::to_owned).collect()
}

/// An event of that time, with an id of that time.
fn event_at(n: u64, time: &str) -> AuditEvent {
    let mut event = event(n);
    event.created_at = at(time);
    let millis = u128::try_from(event.created_at.as_micros() / 1000).expect("a time after 1970");
    let random = event.event_id.as_u128() & ((1 << 80) - 1);
    event.event_id = EventId::from_u128(millis << 80 | random);
    event
}

/// The table as it was made some months ago: without the last ones, and with two old ones.
fn grown_old(database: &Database<'_>) {
    let months = partitions(database);
    let last = &months[months.len() - 4..months.len() - 2];
    database.sql(&format!("ALTER TABLE audit_events DROP PARTITION {}", last.join(", ")));
    let id = |event: AuditEvent| format!("{:032x}", event.event_id.as_u128() >> 80 << 80);
    let bound = |time| id(event_at(0, time));
    let now = database.sql(
        "SELECT PARTITION_DESCRIPTION FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_NAME = 'audit_events' AND PARTITION_NAME = 'p_before'",
    );
    database.sql(&format!(
        "ALTER TABLE audit_events REORGANIZE PARTITION p_before INTO (PARTITION p_before VALUES LESS THAN (0x{}), \
         PARTITION p2025_01 VALUES LESS THAN (0x{}), PARTITION p2025_02 VALUES LESS THAN (0x{}), \
         PARTITION p2025_03 VALUES LESS THAN ({now}))",
        bound("2025-01-01T00:00:00Z"),
        bound("2025-02-01T00:00:00Z"),
        bound("2025-03-01T00:00:00Z"),
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_made_ahead_and_those_of_a_gap_are_caught_up() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    let made = partitions(&database);
    assert_eq!(made.first().map(String::as_str), Some("p_before"));
    assert_eq!(&made[made.len() - 2..], ["p_later", "p_other"]);
    assert_eq!(made.len(), 10, "this month and six more: {made:?}");
    grown_old(&database);
    // An event of a month that is not there yet has a place, and moves into its month.
    let future = event_at(1, "2090-01-01T00:00:00Z");
    let other = {
        let mut other = event(2);
        other.event_id = EventId::from_u128(u128::MAX);
        other
    };
    ok(store.append(&[future.clone(), other.clone()]).await);
    ok(store.parts().admin.expect("an admin part").migrate().await);
    let again = partitions(&database);
    assert_eq!(&again[again.len() - 5..], &made[made.len() - 5..], "the months are there again");
    assert_eq!(database.sql("SELECT COUNT(*) FROM audit_events PARTITION (p_later)"), "1");
    assert_eq!(database.sql("SELECT COUNT(*) FROM audit_events PARTITION (p_other)"), "1");
    assert_eq!(all(&*store).await.len(), 2);
    // The id is the key over all of them.
    ok(store.append(&[future, other, event(3)]).await);
    assert_eq!(all(&*store).await.len(), 3);
    let found = ok(store.diagnose().await);
    assert!(found.iter().any(|found| found.subject == "partitions" && found.message.contains("p_later")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_drops_months_of_which_everything_is_old_and_deletes_the_others_by_the_row() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    grown_old(&database);
    let january: Vec<_> = (0..30).map(|n| event_at(n, "2025-01-10T00:00:00Z")).collect();
    let mut february: Vec<_> = (0..5).map(|n| event_at(n, "2025-02-10T00:00:00Z")).collect();
    // One that came late: its id is of February, its time is later.
    february[0].created_at = at("2026-06-01T00:00:00Z");
    ok(store.append(&january).await);
    ok(store.append(&february).await);
    ok(store.append(&[event(1)]).await);
    let admin = store.parts().admin.expect("an admin part");
    let before = at("2025-06-01T00:00:00Z");
    let first = ok(admin.purge(before, 3).await);
    assert_eq!((first.deleted, first.has_more), (30, true), "a month at once, however few are asked for");
    assert!(!partitions(&database).contains(&"p2025_01".to_owned()));
    let mut deleted = 0;
    loop {
        let next = ok(admin.purge(before, 3).await);
        deleted += next.deleted;
        assert!(next.deleted <= 3, "by the row");
        if !next.has_more {
            break;
        }
    }
    assert_eq!(deleted, 4);
    assert_eq!(all(&*store).await.len(), 2, "what is younger is there");
    assert!(partitions(&database).contains(&"p2025_02".to_owned()), "it has an event that is not old");
}

/// Appends go on while a purge deletes by the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_events_are_removed_by_id_and_time() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    let events: Vec<_> = (0..10).map(event).collect();
    ok(store.append(&events).await);
    let removal = store.parts().removal.expect("a removal part");
    let query = tower_audit::query::PageQuery::new(tower_audit::query::Filter::default(), MAX_REMOVED);
    let mut positions = ok(removal.positions(&query).await);
    assert_eq!(positions.len(), 10);
    positions[0].created_at = at("2020-01-01T00:00:00Z");
    assert_eq!(ok(removal.remove(&positions[..4]).await), 3, "one has another time");
    assert_eq!(all(&*store).await.len(), 7);
}

/// A sort would read every event of the filter for each page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_found_in_the_order_of_its_index() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    ok(store.append(&(0..500).map(event).collect::<Vec<_>>()).await);
    database.sql("ANALYZE TABLE audit_events");
    for condition in
        ["true", "actor_user_email = 'user7@example.org'", "outcome = 200", "resource_route = '/scans/{id}'"]
    {
        let sql = format!(
            "EXPLAIN SELECT event_id FROM audit_events WHERE {condition} AND created_at <= NOW(6) \
             AND (event_id < 0x04 OR created_at < NOW(6)) ORDER BY created_at DESC, event_id DESC LIMIT 10"
        );
        let plan = database.sql(&sql);
        assert!(!plan.contains("filesort"), "{condition}: {plan}");
    }
}
