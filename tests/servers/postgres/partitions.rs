//! A month, a partition: made ahead, dropped whole; and the one that has a place for everything.

use tower_audit::store::AuditStore;
use tower_audit::{EventId, Timestamp};

use crate::cluster::Cluster;
use crate::postgres::support::{all, event, ok, open};

const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_events'::regclass AND inhrelid::regclass::text ~ '_[0-9]+$'";

async fn purge_all(store: &dyn AuditStore, before: Timestamp, at_most: usize) -> u64 {
    let keeper = store.parts().admin.expect("it is kept");
    let mut removed = 0;
    for _ in 0..1000 {
        let purged = ok(keeper.purge(before, at_most).await);
        removed += purged.deleted;
        if !purged.has_more {
            return removed;
        }
    }
    panic!("no end");
}

fn years_from_now(years: i64) -> Timestamp {
    Timestamp::from_micros(Timestamp::now().as_micros() + years * 31_557_600_000_000).expect("a time")
}

#[tokio::test]
async fn every_event_has_a_place() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    assert_eq!(database.sql(PARTITIONS), "4", "this month and three more");
    let mut stray = event(2);
    stray.event_id = EventId::from_u128(u128::MAX);
    let mut early = event(3);
    early.event_id = EventId::from_u128(0);
    let mut far = event(4);
    far.event_id = EventId::from_u128(0x0fff_ffff_ffff_7fff << 64);
    ok(store.append(&[event(1), stray, early, far]).await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_default"), "2");
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_before"), "1");
    assert_eq!(all(&*store).await.len(), 4);
}

#[tokio::test]
async fn what_waits_in_the_default_partition_moves_when_its_month_is_made() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let months = "SELECT string_agg(format('DROP TABLE %s', inhrelid::regclass), ';') FROM pg_inherits \
        WHERE inhparent = 'audit_events'::regclass AND inhrelid::regclass::text ~ '_[0-9]+$'";
    database.sql(&database.sql(months));
    let events: Vec<_> = (0..50).map(event).collect();
    ok(store.append(&events).await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_default"), "50");
    ok(store.parts().admin.expect("it is kept").migrate().await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_default"), "0");
    assert_eq!(database.sql(PARTITIONS), "4");
    ok(store.append(&events).await);
    assert_eq!(all(&*store).await.len(), 50, "and their ids are still known");
}

#[tokio::test]
async fn whole_months_go_at_once() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let events: Vec<_> = (0..3000).map(event).collect();
    ok(store.append(&events).await);
    let mut stray = event(5000);
    stray.event_id = EventId::from_u128(7);
    ok(store.append(&[stray]).await);
    let purged = ok(store.parts().admin.expect("it is kept").purge(years_from_now(1), 10).await);
    assert_eq!((purged.deleted, purged.has_more), (3000, true), "the month of today");
    assert_eq!(purge_all(&*store, years_from_now(1), 10).await, 1, "what the default partition has");
    assert_eq!(database.sql(PARTITIONS), "0");
    ok(store.append(&[event(1)]).await);
    assert_eq!(all(&*store).await.len(), 1);
}

#[tokio::test]
async fn a_month_with_something_newer_goes_by_the_event() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let mut newer = event(1);
    newer.created_at = years_from_now(2);
    let mut batch: Vec<_> = (0..100).map(event).collect();
    batch.push(newer.clone());
    ok(store.append(&batch).await);
    assert_eq!(purge_all(&*store, years_from_now(1), 30).await, 100);
    assert_eq!(all(&*store).await, [newer]);
}

#[tokio::test]
async fn a_listing_goes_over_an_index() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    for batch in 0..5 {
        let events: Vec<_> = (0..1000).map(|n| event(batch * 1000 + n)).collect();
        ok(store.append(&events).await);
    }
    database.sql("ANALYZE audit_events");
    let month = database
        .sql("SELECT relname FROM pg_class WHERE relname ~ '^audit_events_[0-9_]+$' ORDER BY reltuples DESC LIMIT 1");
    for condition in [
        "true",
        "event_type = 'upload'",
        "actor_user_email = 'user7@example.org'",
        "actor_remote_addr = '192.0.2.8'",
        "resource_route = '/nowhere'",
        "outcome = 404",
        "phase = 'started'",
        "(created_at, event_id) < (now() - interval '1 hour', '00000000-0000-0000-0000-000000000000')",
    ] {
        let plan = database.sql(&format!(
            "EXPLAIN SELECT event FROM public.audit_events WHERE {condition} \
             ORDER BY created_at DESC, event_id DESC LIMIT 100"
        ));
        assert!(plan.contains("Index") && !plan.contains(&format!("Seq Scan on {month}")), "{condition}: {plan}");
    }
}
