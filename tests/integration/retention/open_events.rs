//! `started` events of requests that run are not torn from their ends.

use tower_audit::retention::{Purge, RetentionPlan, RetentionRules};
use tower_audit::{Actor, AuditEvent, AuditLog, EventType, Phase, Timestamp};

use super::support::{Place, all, left};

fn started() -> AuditEvent {
    let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
    event.phase = Phase::Started;
    event.actor = Actor::user("alice");
    event
}

fn end_of(started: &AuditEvent) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
    event.request.started_event_id = Some(started.event_id);
    event.actor = started.actor.clone();
    event
}

#[tokio::test]
async fn a_rule_leaves_an_open_event_until_it_has_ended() {
    let place = Place::sqlite().await;
    let (open, ended) = (started(), started());
    place.store.append(&[open.clone(), ended.clone(), end_of(&ended)]).await.expect("it is kept");
    // Without a rule that matches everything: such a rule deletes old events whatever they hold.
    let rules = || RetentionPlan::Rules(RetentionRules::from_yaml("- ['.*$', 0]").expect("rules"));
    let preview = Purge::new(rules()).preview(&*place.store).await.expect("it is counted");
    assert_eq!((preview.events(), preview.open), (Some(2), 1));
    assert_eq!(Purge::new(rules()).run(&*place.store).await.expect("it runs").deleted, 2);
    assert_eq!(left(&*place.store).await, std::slice::from_ref(&open));
    let end = end_of(&open);
    place.store.append(std::slice::from_ref(&end)).await.expect("it is kept");
    assert_eq!(Purge::new(rules()).run(&*place.store).await.expect("it runs").rules.iter().sum::<u64>(), 4);
    assert_eq!(left(&*place.store).await, []);
}

/// A number or an age deletes the event, but a crash is recorded all the same.
#[tokio::test]
async fn what_a_watermark_takes_is_still_closed_if_the_process_dies() {
    let place = Place::sqlite().await;
    let open = started();
    let before = Timestamp::now();
    place.store.append(std::slice::from_ref(&open)).await.expect("it is kept");
    let newer: Vec<_> = (0..5).map(|_| AuditEvent::new(EventType::AUTH)).collect();
    place.store.append(&newer).await.expect("they are kept");
    let plan = RetentionPlan::watermarks(3, 2).expect("marks");
    let second = place.second().await;
    assert_eq!(Purge::new(plan).run(&*second).await.expect("it runs").deleted, 4);
    second.close().await.expect("it closes");
    assert!(!all(&*place.store).await.contains(&open));
    // The process dies; the next log records the end of its request.
    let url = place.url();
    let _folder = place.dies();
    let log = AuditLog::open(&url).await.expect("it opens");
    let found = all(&**log.store().expect("it is on")).await;
    let unknown = found.iter().find(|event| event.phase == Phase::Unknown).expect("its end");
    assert_eq!(unknown.request.started_event_id, Some(open.event_id));
    assert_eq!((unknown.actor.user_email.as_deref(), unknown.created_at >= before), (Some("alice"), true));
}

/// An event that has been open for a day is purged together with its copy.
#[tokio::test]
async fn an_old_open_event_goes_with_its_copy() {
    let place = Place::sqlite().await;
    let mut open = started();
    open.created_at = "2020-01-01T00:00:00Z".parse().expect("a time");
    place.store.append(std::slice::from_ref(&open)).await.expect("it is kept");
    let removal = place.store.parts().removal.expect("a removal part");
    assert_eq!(removal.still_open(&[open.event_id]).await.expect("it is read"), [open.event_id]);
    assert_eq!(Purge::older_than("1d").expect("an age").run(&*place.store).await.expect("it runs").deleted, 1);
    assert_eq!(removal.still_open(&[open.event_id]).await.expect("it is read"), []);
}
