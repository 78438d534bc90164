//! Pages, by cursor and by skip.

use std::collections::HashSet;

use super::Harness;
use super::assertions::{append, assert_listing, count, newest_first, page};
use super::fixtures::{event, event_at, shuffled};
use crate::event::AuditEvent;
use crate::query::{Cursor, Filter, PageQuery};
use crate::store::AuditStore;

/// 120 events at 12 instants: any page size has ties at the border of a page.
fn tied_events() -> Vec<AuditEvent> {
    (0..120).map(|number| event_at(number, (number % 12) as i64)).collect()
}

/// Follows the cursor to the end.
async fn walk(store: &dyn AuditStore, filter: &Filter, page_size: usize, at_most: usize) -> Vec<AuditEvent> {
    let mut query = PageQuery::new(filter.clone(), page_size);
    let mut all = Vec::new();
    loop {
        let found = page(store, &query).await;
        assert!(found.len() <= page_size, "a page of {page_size} has {} events", found.len());
        let Some(last) = found.last() else { return all };
        query.after = Some(Cursor::of(last));
        all.extend(found);
        assert!(all.len() <= at_most, "pages of {page_size} give more than the {at_most} events there are");
    }
}

pub(super) async fn pages_cover_each_event_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = tied_events();
    append(&*fresh.store, &shuffled(all.clone())).await;
    let user = Filter { user_email: "user2@example.org".into(), ..Filter::default() };
    for filter in [Filter::default(), user] {
        let expected = newest_first(all.iter().filter(|event| filter.matches(event)).cloned());
        for page_size in [1, 2, 7, 100, 120, 121] {
            let walked = walk(&*fresh.store, &filter, page_size, expected.len()).await;
            assert_listing(&walked, &expected, &format!("pages of {page_size}"));
        }
    }
}

pub(super) async fn skip_and_limit_cut_the_listing(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = newest_first(tied_events());
    append(&*fresh.store, &all).await;
    for skip in [0, 1, 9, 10, 11, 119, 120] {
        for limit in [1, 2, 10, 120, 1000] {
            for after in [None, Some(0), Some(50)] {
                let query = PageQuery {
                    after: after.map(|place| Cursor::of(&all[place])),
                    skip: skip as u64,
                    ..PageQuery::new(Filter::default(), limit)
                };
                let rest = after.map_or(&all[..], |place| &all[place + 1..]);
                let rest = &rest[skip.min(rest.len())..];
                let expected = &rest[..limit.min(rest.len())];
                let what = format!("skip {skip}, limit {limit}, after {after:?}");
                assert_listing(&page(&*fresh.store, &query).await, expected, &what);
            }
        }
    }
}

pub(super) async fn a_page_of_nothing_is_empty(harness: &Harness) {
    let fresh = harness.fresh().await;
    let query = PageQuery::new(Filter::default(), 10);
    assert_listing(&page(&*fresh.store, &query).await, &[], "an empty store");
    assert_eq!(count(&*fresh.store, &Filter::default()).await, 0, "the count of an empty store");
    append(&*fresh.store, &tied_events()).await;
    assert_listing(&page(&*fresh.store, &PageQuery::new(Filter::default(), 0)).await, &[], "limit 0");
    for skip in [120, 121, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        for limit in [1, 1000, usize::MAX] {
            let query = PageQuery { skip, ..PageQuery::new(Filter::default(), limit) };
            assert_listing(&page(&*fresh.store, &query).await, &[], &format!("skip {skip}, limit {limit}"));
        }
    }
    let whole = PageQuery::new(Filter::default(), usize::MAX);
    assert_listing(&page(&*fresh.store, &whole).await, &newest_first(tied_events()), "the greatest limit");
}

pub(super) async fn a_cursor_outlives_its_event(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = newest_first(tied_events());
    let (kept, missing): (Vec<_>, Vec<_>) = (0..).zip(all).partition(|(place, _)| place % 3 != 0);
    let kept: Vec<AuditEvent> = kept.into_iter().map(|(_, event)| event).collect();
    append(&*fresh.store, &kept).await;
    for (_, event) in missing {
        let query = PageQuery { after: Some(Cursor::of(&event)), ..PageQuery::new(Filter::default(), 1000) };
        let expected: Vec<_> = kept.iter().filter(|kept| kept.sort_key() < event.sort_key()).cloned().collect();
        assert_listing(&page(&*fresh.store, &query).await, &expected, "after an event that is not kept");
    }
}

pub(super) async fn pages_hold_still_while_others_append(harness: &Harness) {
    let fresh = harness.fresh().await;
    // Before the walk: events at even numbers of one instant and its neighbours.
    let before: Vec<_> = (0..150).map(|number| event_at(2 * number, (number % 5) as i64)).collect();
    append(&*fresh.store, &shuffled(before.clone())).await;
    let store = fresh.store.clone();
    let elsewhere = tokio::spawn(async move {
        for number in 0..50 {
            append(&*store, &[event_at(10_000 + number, (number % 9) as i64 - 2)]).await;
        }
    });
    let mut query = PageQuery::new(Filter::default(), 7);
    let mut walked = Vec::new();
    for step in 0.. {
        // Newer, as old with an id between those that are there, and older: on every page.
        let new = [event_at(1001 + 2 * step, 9), event_at(2 * step + 1, 2), event_at(20_000 + step, -5)];
        append(&*fresh.store, &new[..if step < 40 { 3 } else { 0 }]).await;
        let found = page(&*fresh.store, &query).await;
        let Some(last) = found.last() else { break };
        query.after = Some(Cursor::of(last));
        walked.extend(found);
        assert!(step < 1000, "the walk does not end");
    }
    elsewhere.await.expect("the other task only appends");
    let mut seen = HashSet::new();
    for event in &walked {
        assert!(seen.insert(event.event_id), "twice on the way: {event:?}");
    }
    for event in &before {
        assert!(seen.contains(&event.event_id), "was there before and never came: {event:?}");
    }
    assert!(walked.is_sorted_by(|a, b| a.sort_key() > b.sort_key()), "the pages are not in order");
    let late = event(30_000);
    append(&*fresh.store, std::slice::from_ref(&late)).await;
    let first = page(&*fresh.store, &PageQuery::new(Filter::default(), 1)).await;
    assert_listing(&first, &[late], "the newest, after the walk");
}
