//! A purge removes what is old, says how much, and nothing else.

use super::Harness;
use super::assertions::{append, assert_holds, assert_selects, count, event_of, keeper};
use super::fixtures::{at, event_at, shuffled};
use crate::event::{AuditEvent, Timestamp};
use crate::query::Filter;
use crate::store::{AuditStore, PurgeOutcome};

async fn purge(store: &dyn AuditStore, before: Timestamp, at_most: usize) -> PurgeOutcome {
    match keeper(store).purge(before, at_most).await {
        Ok(purged) => purged,
        Err(error) => panic!("a purge failed: {error}"),
    }
}

/// Purges until there is no more, and says how many were removed.
async fn purge_all(store: &dyn AuditStore, before: Timestamp, at_most: usize, there_are: u64) -> u64 {
    let mut removed = 0;
    for _ in 0..there_are + 20 {
        let purged = purge(store, before, at_most).await;
        removed += purged.deleted;
        if !purged.has_more {
            return removed;
        }
    }
    panic!("purging {there_are} events by {at_most} does not come to an end");
}

/// `old` events before the start of the samples, two of them right before it, and `new` from then on.
fn old_and_new(old: u64, new: u64) -> (Vec<AuditEvent>, Vec<AuditEvent>) {
    let old_ones = (0..old).map(|number| event_at(number, -1 - (number / 2) as i64)).collect();
    let new_ones = (0..new).map(|number| event_at(100_000 + number, (number / 2) as i64)).collect();
    (old_ones, new_ones)
}

pub(super) async fn a_purge_spares_its_instant(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = [event_at(1, -1), event_at(2, 0), event_at(3, 0), event_at(4, 1)];
    append(&*fresh.store, &all).await;
    assert_eq!(purge_all(&*fresh.store, at(-1), 100, 4).await, 0, "nothing is older than the oldest");
    assert_holds(&*fresh.store, &all, "after a purge of nothing").await;
    assert_eq!(purge_all(&*fresh.store, at(0), 100, 4).await, 1, "one is older than the instant");
    assert_holds(&*fresh.store, &all[1..], "what is as old as the instant").await;
    assert_eq!(purge_all(&*fresh.store, at(1), 100, 4).await, 2, "two are older by a microsecond");
    assert_holds(&*fresh.store, &all[3..], "what is newer").await;
}

pub(super) async fn a_purge_goes_in_chunks(harness: &Harness) {
    for old in [0, 1, 9, 10, 11, 19, 20, 21] {
        let fresh = harness.fresh().await;
        let (old_ones, new_ones) = old_and_new(old, 5);
        append(&*fresh.store, &shuffled([old_ones, new_ones.clone()].concat())).await;
        assert_eq!(purge_all(&*fresh.store, at(0), 10, old).await, old, "what the purges of {old} say they removed");
        assert_holds(&*fresh.store, &new_ones, "after the purges").await;
    }
    let fresh = harness.fresh().await;
    let (old_ones, _) = old_and_new(2000, 0);
    append(&*fresh.store, &old_ones).await;
    let purged = purge(&*fresh.store, at(0), 10).await;
    let left = count(&*fresh.store, &Filter::default()).await;
    assert_eq!(purged.deleted + left, 2000, "what a purge says it removed, and what is left");
    assert!(purged.has_more, "there is more to remove");
    assert!((1..=1000).contains(&purged.deleted), "about ten were asked for, and {} are gone", purged.deleted);
}

pub(super) async fn a_purge_removes_all_old_events_and_no_more(harness: &Harness) {
    for at_most in [1, 7, 300, 5000] {
        let fresh = harness.fresh().await;
        let (old_ones, new_ones) = old_and_new(300, 60);
        for batch in shuffled([old_ones, new_ones.clone()].concat()).chunks(50) {
            append(&*fresh.store, batch).await;
        }
        assert_eq!(purge_all(&*fresh.store, at(0), at_most, 300).await, 300, "purges of {at_most}");
        assert_holds(&*fresh.store, &new_ones, "after the purges").await;
        assert_eq!(purge_all(&*fresh.store, at(0), at_most, 0).await, 0, "a second time");
        assert_eq!(purge_all(&*fresh.store, Timestamp::MAX, at_most, 60).await, 60, "everything");
        assert_holds(&*fresh.store, &[], "after a purge of everything").await;
    }
}

pub(super) async fn a_purge_of_nothing_removes_nothing(harness: &Harness) {
    let fresh = harness.fresh().await;
    assert_eq!(purge_all(&*fresh.store, at(0), 10, 0).await, 0, "in an empty store");
    let (_, new_ones) = old_and_new(0, 30);
    append(&*fresh.store, &new_ones).await;
    for before in [Timestamp::MIN, at(-1_000_000), at(0)] {
        assert_eq!(purge_all(&*fresh.store, before, 10, 0).await, 0, "before {before}");
    }
    assert_holds(&*fresh.store, &new_ones, "after purges of nothing").await;
}

pub(super) async fn purged_events_are_gone_everywhere(harness: &Harness) {
    let fresh = harness.fresh().await;
    let (old_ones, new_ones) = old_and_new(50, 50);
    append(&*fresh.store, &[old_ones.clone(), new_ones.clone()].concat()).await;
    purge_all(&*fresh.store, at(0), 20, 50).await;
    for event in &old_ones {
        assert_eq!(event_of(&*fresh.store, event.event_id).await, None, "purged");
    }
    for event in &new_ones {
        assert_eq!(event_of(&*fresh.store, event.event_id).await.as_ref(), Some(event), "not purged");
    }
    let until = Filter { until: Some(at(0)), ..Filter::default() };
    assert_selects(&*fresh.store, until, &[], "what was purged").await;
    let late = event_at(500_000, -10);
    append(&*fresh.store, std::slice::from_ref(&late)).await;
    assert_holds(&*fresh.store, &[&new_ones[..], &[late]].concat(), "an old event that came after the purge").await;
}

pub(super) async fn a_purge_spares_concurrent_appends(harness: &Harness) {
    let fresh = harness.fresh().await;
    let (old_ones, mut new_ones) = old_and_new(400, 20);
    append(&*fresh.store, &[old_ones, new_ones.clone()].concat()).await;
    let added: Vec<_> = (0..100).map(|number| event_at(200_000 + number, number as i64)).collect();
    let (store, batches) = (fresh.store.clone(), added.clone());
    let writer = tokio::spawn(async move {
        for batch in batches.chunks(2) {
            append(&*store, batch).await;
            tokio::task::yield_now().await;
        }
    });
    let mut removed = 0;
    for _ in 0..450 {
        let purged = purge(&*fresh.store, at(0), 9).await;
        removed += purged.deleted;
        if !purged.has_more {
            break;
        }
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer only appends");
    assert_eq!(removed, 400, "what the purges say they removed");
    new_ones.extend(added);
    assert_holds(&*fresh.store, &new_ones, "what was appended during the purges").await;
}
