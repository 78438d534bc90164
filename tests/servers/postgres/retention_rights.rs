//! Retention with separate rights: a purger needs no other right for an age or a number, and the reader's for rules.

use tower_audit::Phase;
use tower_audit::retention::{Purge, PurgeError, RetentionPlan, RetentionRules};
use tower_audit::store::StoreErrorKind;

use crate::cluster::{Cluster, unique};
use crate::postgres::support::{all, at, end_of, event, ok, open, open_to_read, started};

fn rules(yaml: &str) -> Purge {
    Purge::new(RetentionPlan::Rules(RetentionRules::from_yaml(yaml).expect("rules")))
}

#[tokio::test]
async fn a_purger_rotates_by_number_and_reads_nothing() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    let events: Vec<_> = (0..50).map(event).collect();
    ok(owner.append(&events).await);
    ok(tower_audit::store::postgres::create_roles(&database.url()).await);
    let purger = unique("purger");
    database.sql(&format!("CREATE ROLE {purger} LOGIN IN ROLE {}", database.role("purger")));
    let store = ok(open_to_read(&database.url_as(&purger)).await);

    let plan = || Purge::new(RetentionPlan::watermarks(40, 15).expect("marks"));
    assert_eq!(plan().preview(&*store).await.expect("it is counted").events(), Some(35));
    assert_eq!(plan().run(&*store).await.expect("it runs").deleted, 35);
    let mut newest = events;
    newest.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    newest.truncate(15);
    assert_eq!(all(&*owner).await[2..], newest[..]);

    // Rules look at the events: the error has the statement that permits it.
    match rules("- ['.*', 0]").run(&*store).await {
        Err(PurgeError::NotPlanned(error)) => {
            let text = error.to_string();
            assert_eq!(error.kind(), StoreErrorKind::Denied, "{text}");
            assert!(text.contains(&format!("GRANT \"{}\" TO \"{purger}\"", database.role("reader"))), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(all(&*owner).await.len(), 17, "nothing was recorded");
    database.sql(&format!("GRANT \"{}\" TO {purger}", database.role("reader")));
    assert_eq!(rules("- [upload, 0]").run(&*store).await.expect("it runs").deleted, 0, "these have a route");
    let by_rule = rules("- rotate: 0\n  event_type: upload\n").run(&*store).await.expect("it runs");
    assert_eq!((by_rule.deleted, by_rule.rules), (15, vec![15]));
    ok(store.close().await);
    ok(owner.close().await);
}

#[tokio::test]
async fn whole_months_are_dropped_by_a_rule_that_matches_everything() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    // A month of its own, as one that was made long ago.
    database.sql(
        "ALTER TABLE audit_events DETACH PARTITION audit_events_before; \
         CREATE TABLE audit_events_2025_01 PARTITION OF audit_events \
         FOR VALUES FROM ('01941f29-7c00-0000-0000-000000000000') TO ('0194bece-a000-0000-0000-000000000000')",
    );
    let mut old = event(1);
    old.created_at = at("2025-01-15T00:00:00Z");
    old.event_id = tower_audit::EventId::from_u128(0x0194_6742_b800_7000_8000_0000_0000_0001);
    ok(store.append(&[old, event(2)]).await);
    let partition = "SELECT count(*) FROM pg_class WHERE relname = 'audit_events_2025_01'";
    assert_eq!(
        (database.sql(partition).as_str(), database.sql("SELECT count(*) FROM audit_events_2025_01").as_str()),
        ("1", "1")
    );
    let report = rules("- rotate: 10\n  user: nobody\n- ['.*', 30]\n").run(&*store).await.expect("it runs");
    assert_eq!((report.deleted, report.rules), (1, vec![0, 1]));
    assert_eq!(database.sql(partition), "0", "the month was dropped, not emptied");
    ok(store.close().await);
}

#[tokio::test]
async fn a_rule_leaves_open_events_and_deletes_ended_ones() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let (open_one, ended) = (started(1), started(2));
    ok(store.append(&[open_one.clone(), ended.clone()]).await);
    ok(store.append(&[end_of(&ended)]).await);
    let plan = rules("- rotate: 0\n  action: '.*$'\n");
    let preview = plan.preview(&*store).await.expect("it is counted");
    assert_eq!((preview.events(), preview.open), (Some(2), 1));
    assert_eq!(plan.run(&*store).await.expect("it runs").deleted, 2);
    let left = all(&*store).await;
    assert_eq!((left.len(), &left[2]), (3, &open_one));
    assert_eq!((left[0].phase, left[1].phase), (Phase::Completed, Phase::Started));
    ok(store.close().await);
}
