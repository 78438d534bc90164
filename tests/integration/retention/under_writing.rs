//! A purge while others write: its counts are those of the preview, and nothing of theirs is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tower_audit::retention::{Purge, RetentionPlan, RetentionRules};
use tower_audit::{Actor, AuditEvent, EventType};

use super::support::{Place, aged, fill, left, now};

const OLD: i64 = 6000;

/// Writes events without an end until it is told to stop, and returns them.
fn writer(
    store: Arc<dyn tower_audit::store::AuditStore>,
    stop: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Vec<AuditEvent>> {
    tokio::spawn(async move {
        let mut written = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let batch: Vec<_> = (0..7)
                .map(|_| {
                    let mut event = AuditEvent::new(EventType::UPLOAD);
                    event.actor = Actor::user("writer");
                    event
                })
                .collect();
            // Two that write all the time may starve each other, as any two writers of a file.
            while let Err(error) = store.append(&batch).await {
                assert!(error.is_transient(), "{error}");
            }
            written.extend(batch);
            tokio::task::yield_now().await;
        }
        written
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_equals_the_run_while_others_write() {
    let place = Place::sqlite().await;
    let users = ["nils", "nagios", "alice"];
    let old: Vec<_> = (0..OLD)
        .map(|number| {
            let mut event = aged(number % 400, number);
            event.actor = Actor::user(users[(number % 3) as usize]);
            event
        })
        .collect();
    fill(&*place.store, &old).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = [writer(place.store.clone(), stop.clone()), writer(place.second().await, stop.clone())];

    let yaml = "- rotate: 0\n  user: nagios\n- rotate: 30\n  user: nils\n- rotate: 365\n  action: .*\n";
    let rules = RetentionPlan::Rules(RetentionRules::from_yaml(yaml).expect("rules"));
    let plans = [
        (rules, 3),
        (RetentionPlan::older_than("300d").expect("an age"), 0),
        // The writers' events are counted too: as many as there are old ones stay at the least.
        (RetentionPlan::watermarks(500, 500).expect("marks"), 0),
    ];
    for (plan, rule_count) in plans {
        let by_age = !matches!(plan, RetentionPlan::Watermarks { .. });
        let retention = Purge::new(plan).as_of(now());
        let dry = retention.preview(&*place.store).await.expect("it is counted");
        let report = if by_age {
            retention.run(&*place.store).await
        } else {
            retention.run_until(&*place.store, &dry, std::future::pending(), |_| ()).await
        };
        let report = report.expect("it runs");
        // A number reaches into the events of the writers, one of which may come late.
        assert!(if by_age { Some(report.deleted) == dry.events() } else { Some(report.deleted) >= dry.events() });
        assert!(!by_age || (dry.events() > Some(0) && report.rules == dry.rules && report.rules.len() == rule_count));
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.expect("the writer only appends"));
    }
    let mut found = left(&*place.store).await;
    found.retain(|event| event.actor.user_email.as_deref() == Some("writer"));
    // The watermarks may have taken the oldest of them, and no other.
    written.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    assert!(found.len() >= 450, "{}", found.len());
    assert_eq!(found, written[..found.len()]);
}
