//! Many events: thresholds inside of the store are crossed, and nobody notices.

use super::Harness;
use super::assertions::{append, assert_holds, assert_listing, assert_selects, newest_first, page};
use super::fixtures::{event, events, shuffled};
use crate::event::AuditEvent;
use crate::query::{Cursor, Filter, PageQuery};
use crate::store::AuditStore;

const BATCH: usize = 1000;

/// Runs maintenance until there is no more to do.
pub(super) async fn maintain_all(store: &dyn AuditStore, kept: usize) {
    // Work that is worth a call moves more than one event, or it would never catch up with the writers.
    for _ in 0..kept + 100 {
        match store.maintain().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => panic!("maintenance failed: {error}"),
        }
    }
    panic!("maintenance of {kept} events does not come to an end");
}

/// Appends events of any order in large batches, with a little maintenance in between.
async fn append_many(store: &dyn AuditStore, total: usize) -> Vec<AuditEvent> {
    let all: Vec<_> = (0..total as u64)
        .map(|number| {
            let mut event = event(number);
            event.outcome = Some(200 + (number % 3) as u16);
            event
        })
        .collect();
    for batch in shuffled(all.clone()).chunks(BATCH) {
        append(store, batch).await;
        if let Err(error) = store.maintain().await {
            panic!("maintenance between appends failed: {error}");
        }
    }
    all
}

pub(super) async fn many_events_stay_in_order_during_maintenance(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = newest_first(append_many(&*fresh.store, harness.total()).await);
    let mut walked = Vec::new();
    let mut query = PageQuery::new(Filter::default(), BATCH);
    loop {
        let found = page(&*fresh.store, &query).await;
        let Some(last) = found.last() else { break };
        query.after = Some(Cursor::of(last));
        walked.extend(found);
        assert!(walked.len() <= all.len(), "more events than were appended");
        // The walk goes on while the store is at work.
        if let Err(error) = fresh.store.maintain().await {
            panic!("maintenance between pages failed: {error}");
        }
    }
    assert_listing(&walked, &all, "a walk while maintenance");
    maintain_all(&*fresh.store, all.len()).await;
    assert_holds(&*fresh.store, &all, "after maintenance").await;
    let count = all.len();
    for skip in [0, 1, count / 3, 4095, 4096, 4097, count / 2, count - 1, count, 10 * count] {
        let query = PageQuery { skip: skip as u64, ..PageQuery::new(Filter::default(), 3) };
        let rest = &all[skip.min(count)..];
        assert_listing(&page(&*fresh.store, &query).await, &rest[..rest.len().min(3)], &format!("skip {skip}"));
    }
    let some: Vec<_> = all.into_iter().filter(|event| event.outcome == Some(201)).collect();
    let filter = Filter { outcome: 201.into(), ..Filter::default() };
    assert_selects(&*fresh.store, filter, &some, "a filter after maintenance").await;
}

pub(super) async fn many_events_are_stored_once_after_maintenance(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all = append_many(&*fresh.store, harness.total()).await;
    maintain_all(&*fresh.store, all.len()).await;
    // Repeats of all ages, together with new events.
    let new = all.len() as u64;
    let mut batch: Vec<_> = all.iter().step_by(97).cloned().collect();
    batch.extend(events(new..new + 50));
    all.extend(events(new..new + 50));
    append(&*fresh.store, &batch).await;
    append(&*fresh.store, &all[..BATCH.min(all.len())]).await;
    assert_holds(&*fresh.store, &all, "repeats after maintenance").await;
    maintain_all(&*fresh.store, all.len()).await;
    assert_holds(&*fresh.store, &all, "repeats after maintenance again").await;
}

pub(super) async fn maintenance_ends(harness: &Harness) {
    let fresh = harness.fresh().await;
    maintain_all(&*fresh.store, 0).await;
    append(&*fresh.store, &events(0..300)).await;
    maintain_all(&*fresh.store, 300).await;
    append(&*fresh.store, &events(300..310)).await;
    maintain_all(&*fresh.store, 310).await;
    if fresh.store.parts().reader.is_some() {
        assert_holds(&*fresh.store, &events(0..310), "after maintenance").await;
    }
}
