//! A purge goes over what it removes once, and over nothing else.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tower_audit::store::{AuditStore, PurgeOutcome};
use tower_audit::{EventId, Phase};

use crate::cluster::{Cluster, Database, eventually};
use crate::postgres::support::{all, at, event, ok, open};

const CHUNK: usize = 1000;

/// Forty thousand events of one day, in the partition of what is older than the first month.
const FILL: &str = r#"
INSERT INTO audit_events(event_id, event_type, created_at, details, phase, event)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || substr(md5(n::text), 1, 15))::uuid,
    'upload', at, '{}', 'completed', '{}'
FROM (SELECT n, '2020-01-01T00:00:00Z'::timestamptz + n * interval '2 seconds' AS at FROM generate_series(1, 40000) AS n) AS rows;
ALTER TABLE audit_events_before SET (autovacuum_enabled = false);
"#;

async fn purge(store: &dyn AuditStore) -> PurgeOutcome {
    ok(store.parts().admin.expect("it is kept").purge(at("2021-01-01T00:00:00Z"), CHUNK).await)
}

/// The pages of the time index that ended sessions have read.
async fn pages_looked_at(database: &Database<'_>) -> u64 {
    eventually("all sessions have ended", async || {
        database
            .sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            == "0"
    })
    .await;
    let pages = "SELECT sum(idx_blks_hit + idx_blks_read) FROM pg_statio_user_indexes \
        WHERE indexrelname ~ '^audit_events_[0-9a-z_]+_created_at_event_id_idx$' AND indexrelname !~ 'type|user|addr|route|outcome|phase'";
    database.sql(pages).parse().expect("a number")
}

#[tokio::test]
async fn a_chunk_does_not_go_over_what_the_chunks_before_it_removed() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql(FILL);
    for _ in 0..20 {
        assert_eq!(purge(&*store).await, PurgeOutcome { deleted: CHUNK as u64, has_more: true });
    }
    ok(store.close().await);
    let before = pages_looked_at(&database).await;
    // It does not know where the other one was: its first chunk goes over all of that.
    let store = open(&database.url()).await;
    for _ in 0..20 {
        assert_eq!(purge(&*store).await, PurgeOutcome { deleted: CHUNK as u64, has_more: true });
    }
    assert_eq!(purge(&*store).await, PurgeOutcome { deleted: 0, has_more: false });
    ok(store.close().await);
    let pages = pages_looked_at(&database).await - before;
    assert!(pages < 2000, "{pages} pages of about 200 were looked at to remove half of what they had");
}

#[tokio::test]
async fn what_comes_late_is_removed_too() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql(FILL);
    assert_eq!(purge(&*store).await, PurgeOutcome { deleted: CHUNK as u64, has_more: true });
    let mut late = event(1);
    late.created_at = at("2019-01-01T00:00:00Z");
    // A month that is old as a whole is dropped at once: this one is not.
    ok(store.append(&[late, event(2)]).await);
    let mut removed = CHUNK as u64;
    loop {
        let purged = purge(&*store).await;
        removed += purged.deleted;
        if !purged.has_more {
            break;
        }
    }
    assert_eq!((removed, all(&*store).await.len()), (40_001, 1));
}

#[tokio::test]
async fn what_another_purge_takes_from_a_chunk_does_not_end_it() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql(FILL);
    let mut other = PgConnection::connect(&database.url()).await.expect("the server lets us in");
    let mut tx = other.begin().await.expect("a transaction");
    let ten = "DELETE FROM audit_events WHERE event_id = ANY (ARRAY(SELECT event_id FROM audit_events ORDER BY created_at LIMIT 10))";
    assert_eq!(sqlx::query(ten).execute(&mut *tx).await.expect("it deletes").rows_affected(), 10);
    let commits = async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("the purge waits for the other", async || database.sql(waits) == "1").await;
        tx.commit().await.expect("it commits");
    };
    let (purged, ()) = tokio::join!(purge(&*store), commits);
    assert_eq!(purged, PurgeOutcome { deleted: CHUNK as u64 - 10, has_more: true });
}

#[tokio::test]
async fn nothing_of_an_open_event_outlives_the_purge() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let mut events = Vec::new();
    for (n, time) in ["2020-05-25T12:00:00Z", "2022-05-25T12:00:00Z"].into_iter().enumerate() {
        let mut started = event(n as u64);
        started.phase = Phase::Started;
        started.created_at = at(time);
        let millis = u128::try_from(started.created_at.as_micros() / 1000).expect("after 1970");
        started.event_id = EventId::from_u128((millis << 80) | (0x7000_8000_0000_0000_0001 + n as u128));
        started.actor.user_email = Some(format!("user-{n}@example.org").into());
        events.push(started);
    }
    ok(store.append(&events).await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_started"), "2");
    assert_eq!(purge(&*store).await.deleted, 1);
    let left = "SELECT count(*), string_agg(event, '') LIKE '%user-1@%' FROM audit_events_started";
    assert_eq!(database.sql(left), "1|t", "the one that is younger stays open");
    ok(store.close().await);
}
