//! Ages, watermarks and floors.

use std::time::Duration;

use serde_json::json;
use tower_audit::retention::{Purge, PurgeError, RetentionPlan, RetentionRules};
use tower_audit::store::{MemoryStore, RetentionFloor};
use tower_audit::{AuditEvent, AuditLog, Phase};

use super::support::{Place, aged, all, fill, left, now, purges};

fn watermarks(high: u64, low: u64) -> Purge {
    Purge::new(RetentionPlan::watermarks(high, low).expect("marks")).as_of(now())
}

/// `count` events of 200 days, of which runs of seven have the same time.
fn events(count: i64) -> Vec<AuditEvent> {
    let mut events: Vec<_> = (0..count).map(|number| aged(200 - number * 200 / count.max(1), number / 7)).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut events);
    events
}

#[tokio::test]
async fn exactly_the_newest_remain() {
    for (count, high, low) in [
        (0, 10, 5),
        (9, 10, 5),
        (10, 10, 5),
        (11, 10, 5),
        (100, 10, 0),
        (100, 99, 99),
        (100, 100, 99),
        (100, 50, 37),
        (2500, 2000, 1499),
        (3001, 1000, 1000),
    ] {
        for place in [Place::memory(), Place::sqlite().await] {
            let mut events = events(count);
            fill(&*place.store, &events).await;
            let preview = watermarks(high, low).preview(&*place.store).await.expect("it is counted");
            let report = watermarks(high, low).run(&*place.store).await.expect("it runs");
            events.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
            let goes = if count as u64 > high { count as u64 - low } else { 0 };
            assert_eq!((preview.events(), report.deleted), (Some(goes), goes), "{count} {high} {low}");
            events.truncate(count as usize - goes as usize);
            assert_eq!(left(&*place.store).await, events, "{count} {high} {low}");
            let purges = purges(&*place.store).await;
            for event in &purges {
                assert_eq!(event.details["plan"], "watermarks");
                assert_eq!(
                    (&event.details["high_watermark"], &event.details["low_watermark"]),
                    (&json!(high), &json!(low))
                );
            }
            assert_eq!((purges.len(), &purges[0].details["deleted"]), (2, &json!(goes)));
        }
    }
    assert!(RetentionPlan::watermarks(5, 6).unwrap_err().to_string().contains("expected 5 at most"));
}

/// All events of one moment: more than a page, and the ids decide.
#[tokio::test]
async fn ids_decide_among_events_of_one_moment() {
    for place in [Place::memory(), Place::sqlite().await] {
        let mut events: Vec<_> = (0..2300).map(|_| aged(10, 0)).collect();
        fill(&*place.store, &events).await;
        let report = watermarks(2000, 1100).run(&*place.store).await.expect("it runs");
        events.sort_by_key(|event| std::cmp::Reverse(event.event_id));
        events.truncate(1100);
        assert_eq!((report.deleted, left(&*place.store).await), (1200, events));
    }
}

/// A purge that was stopped between the marks is finished by the next run, which finds fewer events than the high mark.
#[tokio::test]
async fn an_interrupted_purge_is_finished_by_the_next() {
    let place = Place::sqlite().await;
    fill(&*place.store, &events(4000)).await;
    let retention = watermarks(3500, 1000);
    let preview = retention.preview(&*place.store).await.expect("it is counted");
    let stopped = retention.run_until(&*place.store, &preview, std::future::ready(()), |_| ()).await;
    assert!(matches!(stopped, Err(PurgeError::Interrupted { deleted: 1..3000 })), "{stopped:?}");
    assert!((1001..3500).contains(&all(&*place.store).await.len()));
    assert_eq!(purges(&*place.store).await[0].details["ended"], "interrupted");
    retention.run(&*place.store).await.expect("it runs");
    assert_eq!(all(&*place.store).await.len(), 1000 + 2, "the newest, and the two events of this run");
    // It has ended now: the next one waits for the high mark again.
    assert_eq!(retention.run(&*place.store).await.expect("it runs").deleted, 0);
}

#[tokio::test]
async fn an_age_takes_precedence_over_watermarks_and_rules_over_both() {
    let rules = || RetentionPlan::Rules(RetentionRules::from_yaml("- ['.*', 1]").expect("rules"));
    let age = || RetentionPlan::older_than("365d").expect("an age");
    let marks = || RetentionPlan::watermarks(2, 1).expect("marks");
    assert!(matches!(marks().or(age()), RetentionPlan::OlderThan { .. }));
    assert!(matches!(age().or(marks()), RetentionPlan::OlderThan { .. }));
    assert!(matches!(age().or(rules()), RetentionPlan::Rules(_)));
    assert!(matches!(rules().or(marks()), RetentionPlan::Rules(_)));
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn nothing_below_the_floor_is_deleted() {
    let floor = 30 * DAY;
    for on_store in [false, true] {
        let memory = MemoryStore::new();
        // The floor of a store counts from the real time.
        let shift = tower_audit::Timestamp::now().as_micros() - now().as_micros();
        let mut events: Vec<_> = [100, 50, 31, 29, 10, 0].into_iter().map(|days| aged(days, 0)).collect();
        for event in &mut events {
            event.created_at =
                tower_audit::Timestamp::from_micros(event.created_at.as_micros() + shift).expect("in range");
        }
        let floored = RetentionFloor::new(memory.clone(), floor);
        let store: &dyn tower_audit::store::AuditStore = if on_store { &floored } else { &memory };
        fill(store, &events).await;
        let with_floor = |plan: RetentionPlan| {
            let retention = Purge::new(plan);
            if on_store { retention } else { retention.floor(floor) }
        };

        let young = with_floor(RetentionPlan::older_than("29d").expect("an age")).run(store).await;
        assert!(matches!(young, Err(PurgeError::BelowFloor { .. })), "{young:?}");
        assert_eq!(all(store).await.len(), 6, "nothing was deleted and nothing recorded");

        let rules =
            RetentionRules::from_yaml("- rotate: 60\n  action: GET\n- rotate: 0\n  action: .*\n").expect("rules");
        let by_rules = with_floor(RetentionPlan::Rules(rules));
        let preview = by_rules.preview(store).await.expect("it is counted");
        assert_eq!((preview.events(), preview.kept_by_floor, preview.floor), (Some(3), 3, Some(floor)));
        let by_number = with_floor(RetentionPlan::watermarks(2, 1).expect("marks"));
        let preview = by_number.preview(store).await.expect("it is counted");
        assert_eq!((preview.events(), preview.kept_by_floor), (Some(3), 2));

        assert_eq!(by_rules.run(store).await.expect("it runs").deleted, 3);
        let purge = &purges(store).await[0];
        assert_eq!((&purge.details["floor"], &purge.details["kept_by_floor"]), (&json!("30 days"), &json!(3)));
        assert_eq!(by_number.run(store).await.expect("it runs").deleted, 0);
        assert_eq!(left(store).await.len(), 3);
        let old = with_floor(RetentionPlan::older_than("30d").expect("an age")).run(store).await;
        assert_eq!(old.expect("it runs").deleted, 0);
    }
}

#[tokio::test]
async fn the_floor_of_a_log_holds_for_its_store() {
    let log = AuditLog::builder().store(MemoryStore::new()).retention_floor(DAY).open().await.expect("it opens");
    log.record(aged(100, 0)).await.expect("it is kept");
    let store = log.store().expect("it is on");
    let error = Purge::older_than("1h").expect("an age").run(&**store).await.expect_err("it is refused");
    assert!(error.to_string().contains("the retention floor of 1 day"), "{error}");
    assert!(store.parts().admin.expect("an admin part").recreate().await.is_err());
    assert_eq!(Purge::older_than("2d").expect("an age").run(&**store).await.expect("it runs").deleted, 1);
    assert_eq!(purges(&**store).await[0].phase, Phase::Completed);
}
