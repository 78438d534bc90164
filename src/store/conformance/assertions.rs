//! Operations and assertions that the checks share.

use crate::event::{AuditEvent, EventId};
use crate::query::{Filter, PageQuery};
use crate::store::{AuditStore, CellErasure, Reader, Removal, StoreAdmin};

/// More than any check appends.
const ALL_OF_THEM: usize = 10_000_000;

pub(super) fn reader(store: &dyn AuditStore) -> &dyn Reader {
    store.parts().reader.expect("the check said that it needs a reader")
}

pub(super) fn keeper(store: &dyn AuditStore) -> &dyn StoreAdmin {
    store.parts().admin.expect("the check said that it needs a keeper")
}

pub(super) fn removal(store: &dyn AuditStore) -> &dyn Removal {
    store.parts().removal.expect("the check said that it needs removal")
}

pub(super) fn erasure(store: &dyn AuditStore) -> &dyn CellErasure {
    store.parts().erasure.expect("the check said that it needs erasure")
}

pub(super) async fn append(store: &dyn AuditStore, events: &[AuditEvent]) {
    if let Err(error) = store.append(events).await {
        panic!("a batch of {} was refused: {error}: {:?}", events.len(), events.first());
    }
}

pub(super) async fn page(store: &dyn AuditStore, query: &PageQuery) -> Vec<AuditEvent> {
    match reader(store).query(query).await {
        Ok(events) => events,
        Err(error) => panic!("a query failed: {error}: {query:?}"),
    }
}

/// Every event that passes the filter.
pub(super) async fn found(store: &dyn AuditStore, filter: Filter) -> Vec<AuditEvent> {
    page(store, &PageQuery::new(filter, ALL_OF_THEM)).await
}

pub(super) async fn count(store: &dyn AuditStore, filter: &Filter) -> u64 {
    match reader(store).count(filter).await {
        Ok(count) => count,
        Err(error) => panic!("a count failed: {error}: {filter:?}"),
    }
}

pub(super) async fn event_of(store: &dyn AuditStore, id: EventId) -> Option<AuditEvent> {
    match reader(store).get(id).await {
        Ok(event) => event,
        Err(error) => panic!("looking for {id} failed: {error}"),
    }
}

/// The events in the order of a listing.
pub(super) fn newest_first(events: impl IntoIterator<Item = AuditEvent>) -> Vec<AuditEvent> {
    let mut events: Vec<_> = events.into_iter().collect();
    events.sort_unstable_by_key(|event| std::cmp::Reverse(event.sort_key()));
    events
}

/// The listing is the expected one; if not, shows where they part.
#[track_caller]
pub(super) fn assert_listing(found: &[AuditEvent], expected: &[AuditEvent], what: &str) {
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(found == expected, "{what}: at place {place}\n   found {found:?}\nexpected {expected:?}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: the number of events");
}

/// The store has these events, as they were given, and no others.
pub(super) async fn assert_holds(store: &dyn AuditStore, events: &[AuditEvent], what: &str) {
    assert_selects(store, Filter::default(), events, what).await;
}

/// The filter selects these events, and the count says the same.
pub(super) async fn assert_selects(store: &dyn AuditStore, filter: Filter, events: &[AuditEvent], what: &str) {
    let counted = count(store, &filter).await;
    assert_listing(&found(store, filter).await, &newest_first(events.iter().cloned()), what);
    assert_eq!(counted, events.len() as u64, "{what}: the count");
}
