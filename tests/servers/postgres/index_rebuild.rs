//! An index that is missing is made while others append.

use std::time::Duration;

use crate::cluster::{Cluster, eventually};
use crate::postgres::support::{event, ok, open, open_with_timeout};

/// The number of the partitions' indexes that are valid and attached.
const WHOLE: &str = "SELECT count(*) FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid \
    WHERE i.inhparent = 'audit_events_idx_type_created'::regclass AND x.indisvalid";
const IS_VALID: &str = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'audit_events_idx_type_created'::regclass";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_are_not_kept_waiting() {
    let database = Cluster::shared().database();
    let store = open_with_timeout(&database.url(), Duration::from_secs(2)).await;
    ok(store.append(&(0..1000).map(event).collect::<Vec<_>>()).await);
    let partitions = database.sql(WHOLE);
    database.sql("DROP INDEX audit_events_idx_type_created");
    let month = database.sql("SELECT tableoid::regclass FROM audit_events LIMIT 1");
    // The making of the index of this month waits for whoever has written to it.
    let writing = database.hold(&format!("LOCK TABLE ONLY {month} IN ROW EXCLUSIVE MODE"));
    let keeper = open(&database.url()).await;
    let making = tokio::spawn(async move { ok(keeper.parts().admin.expect("it is kept").migrate().await) });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' \
        AND wait_event_type = 'Lock' AND datname = current_database()";
    eventually("the making waits", async || database.sql(waits) == "1").await;
    for n in 0..20 {
        ok(store.append(&[event(1000 + n)]).await);
    }
    assert_eq!(database.sql(waits), "1", "it was being made all the while");
    assert_eq!(database.sql(IS_VALID), "f");
    drop(writing);
    making.await.expect("it is made");
    assert_eq!(database.sql(IS_VALID), "t");
    assert_eq!(database.sql(WHOLE), partitions);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), "1020");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_interrupted_goes_on() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    ok(store.append(&(0..100).map(event).collect::<Vec<_>>()).await);
    let partitions = database.sql(WHOLE);
    database.sql("DROP INDEX audit_events_idx_type_created");
    let month = database.sql("SELECT tableoid::regclass FROM audit_events LIMIT 1");
    let writing = database.hold(&format!("LOCK TABLE ONLY {month} IN ROW EXCLUSIVE MODE"));
    let keeper = open(&database.url()).await;
    let making = tokio::spawn(async move { keeper.parts().admin.expect("it is kept").migrate().await });
    let session = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' \
        AND wait_event_type = 'Lock' AND datname = current_database()";
    eventually("the making waits", async || !database.sql(session).is_empty()).await;
    database.sql(&format!("SELECT pg_terminate_backend({})", database.sql(session)));
    assert!(making.await.expect("it does not panic").is_err());
    drop(writing);
    let half = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_ne!(database.sql(half), "0", "something is left half made");
    let (one, two) = (open(&database.url()).await, open(&database.url()).await);
    let both = tokio::join!(
        one.parts().admin.expect("it is kept").migrate(),
        two.parts().admin.expect("it is kept").migrate()
    );
    ok(both.0);
    ok(both.1);
    assert_eq!(database.sql(half), "0");
    assert_eq!(database.sql(IS_VALID), "t");
    assert_eq!(database.sql(WHOLE), partitions);
    let twice = "SELECT count(*) FROM pg_index x JOIN pg_inherits p ON p.inhrelid = x.indrelid \
        WHERE p.inhparent = 'audit_events'::regclass AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = x.indexrelid)";
    assert_eq!(database.sql(twice), "0", "nothing is left beside them");
}
