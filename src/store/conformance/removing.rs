//! A removal deletes the events at the given positions, says how many, and deletes nothing else.

use super::Harness;
use super::assertions::{append, assert_holds, count, event_of, keeper, newest_first, page, removal};
use super::fixtures::{at, end_of, event, event_at, events, shuffled, started};
use crate::event::{AuditEvent, EventId, Phase};
use crate::query::{Cursor, Filter, PageQuery};
use crate::store::AuditStore;

async fn remove(store: &dyn AuditStore, positions: &[Cursor]) -> u64 {
    match removal(store).remove(positions).await {
        Ok(deleted) => deleted,
        Err(error) => panic!("a removal failed: {error}"),
    }
}

async fn still_open(store: &dyn AuditStore, ids: &[EventId]) -> Vec<EventId> {
    match removal(store).still_open(ids).await {
        Ok(open) => open,
        Err(error) => panic!("looking for open events failed: {error}"),
    }
}

fn positions(events: &[AuditEvent]) -> Vec<Cursor> {
    events.iter().map(Cursor::of).collect()
}

pub(super) async fn positions_are_those_of_the_listing(harness: &Harness) {
    let fresh = harness.fresh().await;
    // Ten at a time have one time.
    let all: Vec<_> = (0..200).map(|number| event_at(number, (number / 10) as i64)).collect();
    append(&*fresh.store, &shuffled(all)).await;
    let within = Filter { since: Some(at(3)), until: Some(at(17)), ..Filter::default() };
    for filter in [Filter::default(), within] {
        for (skip, limit) in [(0, 0), (0, 1), (0, 500), (7, 20), (139, 1), (199, 1), (1000, 5)] {
            let whole = PageQuery { skip, ..PageQuery::new(filter.clone(), limit) };
            let after = Cursor { created_at: at(9), event_id: event(95).event_id };
            for query in [whole.clone(), whole.after(after)] {
                let expected = positions(&page(&*fresh.store, &query).await);
                match removal(&*fresh.store).positions(&query).await {
                    Ok(found) => assert_eq!(found, expected, "{query:?}"),
                    Err(error) => panic!("positions cannot be read: {error}: {query:?}"),
                }
            }
        }
    }
}

pub(super) async fn exactly_the_events_at_the_positions_go(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..600);
    for batch in shuffled(all.clone()).chunks(150) {
        append(&*fresh.store, batch).await;
    }
    let (doomed, kept): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(number, _)| number % 3 == 1);
    let doomed: Vec<_> = doomed.into_iter().map(|(_, event)| event).collect();
    let kept: Vec<_> = kept.into_iter().map(|(_, event)| event).collect();
    let mut deleted = 0;
    for some in shuffled(doomed.clone()).chunks(70) {
        deleted += remove(&*fresh.store, &positions(some)).await;
    }
    assert_eq!(deleted, doomed.len() as u64, "what the removals say they deleted");
    assert_holds(&*fresh.store, &kept, "after the removals").await;
    for event in &doomed {
        assert_eq!(event_of(&*fresh.store, event.event_id).await, None, "removed");
    }
    assert_eq!(remove(&*fresh.store, &positions(&kept)).await, kept.len() as u64, "everything");
    assert_holds(&*fresh.store, &[], "after everything was removed").await;
}

pub(super) async fn an_event_of_another_time_stays(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..3);
    append(&*fresh.store, &all).await;
    let forged = Cursor { created_at: all[0].created_at, event_id: all[2].event_id };
    assert_eq!(remove(&*fresh.store, &[forged]).await, 0, "the event has another time");
    assert_holds(&*fresh.store, &all, "after a removal at another time").await;
}

pub(super) async fn a_removal_can_be_repeated(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..30);
    append(&*fresh.store, &all).await;
    assert_eq!(remove(&*fresh.store, &[]).await, 0, "nothing was asked for");
    assert_eq!(remove(&*fresh.store, &positions(&all[..20])).await, 20);
    assert_eq!(remove(&*fresh.store, &positions(&all[10..25])).await, 5, "ten of them are gone already");
    if let Err(error) = removal(&*fresh.store).finish(None).await {
        panic!("the end of the removals failed: {error}");
    }
    assert_holds(&*fresh.store, &all[25..], "after repeated removals").await;
}

pub(super) async fn removed_events_may_come_again(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..20);
    append(&*fresh.store, &all).await;
    assert_eq!(remove(&*fresh.store, &positions(&all[..10])).await, 10);
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "what was removed and came again").await;
}

pub(super) async fn a_removal_spares_concurrent_appends(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = events(0..400);
    append(&*fresh.store, &all).await;
    let added: Vec<_> = (0..100).map(|number| event_at(200_000 + number, number as i64)).collect();
    let (store, batches) = (fresh.store.clone(), added.clone());
    let writer = tokio::spawn(async move {
        for batch in batches.chunks(2) {
            append(&*store, batch).await;
            tokio::task::yield_now().await;
        }
    });
    let mut deleted = 0;
    for some in positions(&all[..300]).chunks(7) {
        deleted += remove(&*fresh.store, some).await;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer only appends");
    assert_eq!(deleted, 300, "what the removals say they deleted");
    assert_holds(&*fresh.store, &[&all[300..], &added].concat(), "what was appended during the removals").await;
}

pub(super) async fn a_purge_after_removals_is_exact(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = newest_first(events(0..100));
    append(&*fresh.store, &all).await;
    // The oldest, some in the middle, and those at the instant of the purge.
    let gone = |number: usize| number >= 90 || number.is_multiple_of(4);
    let doomed: Vec<_> =
        all.iter().enumerate().filter(|(number, _)| gone(*number)).map(|(_, event)| event.clone()).collect();
    assert_eq!(remove(&*fresh.store, &positions(&doomed)).await, doomed.len() as u64);
    let old = Filter { until: Some(at(50)), ..Filter::default() };
    let expected = count(&*fresh.store, &old).await;
    let mut purged = 0;
    for _ in 0..200 {
        match keeper(&*fresh.store).purge(at(50), 3).await {
            Ok(chunk) => {
                purged += chunk.deleted;
                if !chunk.has_more {
                    break;
                }
            }
            Err(error) => panic!("a purge after removals failed: {error}"),
        }
    }
    assert_eq!(purged, expected, "what the purge says it deleted");
    let is_left = |(number, event): &(usize, &AuditEvent)| !gone(*number) && event.created_at >= at(50);
    let left: Vec<_> = all.iter().enumerate().filter(is_left).map(|(_, event)| event.clone()).collect();
    assert_holds(&*fresh.store, &left, "after the purge").await;
}

pub(super) async fn open_events_are_named(harness: &Harness) {
    let fresh = harness.fresh().await;
    let (open, ended) = (started(1), started(2));
    append(&*fresh.store, &[open.clone(), ended.clone(), event(3)]).await;
    append(&*fresh.store, &[end_of(&ended, 4, Phase::Completed)]).await;
    let ids = [open.event_id, ended.event_id, event(3).event_id, event(9).event_id];
    assert_eq!(still_open(&*fresh.store, &ids).await, [open.event_id], "the open one");
    assert_eq!(still_open(&*fresh.store, &[]).await, [], "of none");
}
