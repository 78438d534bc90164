//! Aggregates agree with counting.

use super::Harness;
use super::assertions::{append, count, reader};
use super::fixtures::{at, event, event_at};
use super::model::Model;
use crate::event::{AuditEvent, CompactText};
use crate::query::{Buckets, Field, Filter, ValueCount};
use crate::store::AuditStore;

async fn top_values(store: &dyn AuditStore, filter: &Filter, by: Field, at_most: usize) -> Vec<ValueCount> {
    match reader(store).top_values(filter, by, at_most).await {
        Ok(counts) => counts,
        Err(error) => panic!("top_values failed: {error}: {by} of {filter:?}"),
    }
}

async fn histogram(store: &dyn AuditStore, filter: &Filter, buckets: &Buckets) -> Vec<u64> {
    match reader(store).histogram(filter, buckets).await {
        Ok(counts) => counts,
        Err(error) => panic!("histogram failed: {error}: {buckets:?} of {filter:?}"),
    }
}

pub(super) async fn top_values_agree_with_the_model(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut model = Model::new(43, 300);
    for batch in model.events().chunks(41) {
        append(&*fresh.store, batch).await;
    }
    for round in 0..40 {
        let filter = if round == 0 { Filter::default() } else { model.some_filter() };
        for by in Field::COUNTED {
            let at_most = [1000, 2, 1, 0][round % 4];
            let expected = expected(&model.found(&filter), by, at_most);
            let found = top_values(&*fresh.store, &filter, by, at_most).await;
            assert_eq!(found, expected, "{at_most} of {by} of {filter:?}");
        }
    }
}

fn expected(events: &[AuditEvent], by: Field, at_most: usize) -> Vec<ValueCount> {
    let mut counts: Vec<ValueCount> = Vec::new();
    for event in events {
        let value = by.value_of(event);
        match counts.iter_mut().find(|known| known.value == value) {
            Some(known) => known.count += 1,
            None => counts.push(ValueCount { value, count: 1 }),
        }
    }
    ValueCount::sort_and_truncate(&mut counts, at_most);
    counts
}

pub(super) async fn missing_values_are_counted(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all = vec![event(1), event(2), event(3)];
    for event in &mut all {
        event.actor.user_email = None;
        event.outcome = None;
    }
    all[2].actor.user_email = Some(CompactText::default());
    append(&*fresh.store, &all).await;
    let of = |value: Option<&str>, events| ValueCount { value: value.map(str::to_owned), count: events };
    let users = top_values(&*fresh.store, &Filter::default(), Field::UserEmail, 10).await;
    assert_eq!(users, [of(None, 2), of(Some(""), 1)], "nothing and empty text are two things");
    assert_eq!(top_values(&*fresh.store, &Filter::default(), Field::Outcome, 10).await, [of(None, 3)]);
}

pub(super) async fn buckets_are_half_open(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &[event_at(1, -1), event_at(2, 0), event_at(3, 9), event_at(4, 10), event_at(5, 20)]).await;
    let buckets = Buckets::new(at(0), 10, 2).expect("two spans of 10 µs");
    assert_eq!(histogram(&*fresh.store, &Filter::default(), &buckets).await, [2, 1]);
    let wide = Buckets::new(at(-1_000_000), 500_000, 4).expect("four spans of half a second");
    assert_eq!(histogram(&*fresh.store, &Filter::default(), &wide).await, [0, 1, 4, 0]);
}

pub(super) async fn histogram_agrees_with_the_model(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut model = Model::new(44, 300);
    for batch in model.events().chunks(41) {
        append(&*fresh.store, batch).await;
    }
    for round in 0..60 {
        let filter = model.some_filter();
        let (start, width, number) = [(-3, 7, 9), (10, 1, 20), (20, 50, 1), (0, 1_000_000, 3)][round % 4];
        let buckets = Buckets::new(at(start), width, number).expect("these are buckets");
        let mut expected = vec![0; buckets.len()];
        for event in model.found(&filter) {
            if let Some(bucket) = buckets.index_of(event.created_at) {
                expected[bucket] += 1;
            }
        }
        assert_eq!(histogram(&*fresh.store, &filter, &buckets).await, expected, "{buckets:?} of {filter:?}");
        // The histogram agrees with a count of each bucket.
        let first = Filter { since: Some(buckets.start_of(0)), until: Some(buckets.start_of(1)), ..Filter::default() };
        let alone = histogram(&*fresh.store, &Filter::default(), &buckets).await;
        assert_eq!(alone[0], count(&*fresh.store, &first).await, "the first of {buckets:?}");
    }
}
