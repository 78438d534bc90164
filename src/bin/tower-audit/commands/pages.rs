//! The pages of a listing, one after the other.

use tower_audit::AuditEvent;
use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::store::Reader;

use crate::error::CliError;

/// How many events are in memory at a time.
const PAGE_EVENTS: usize = 256;

/// Gives `visit` page after page of the events that pass `filter`, at most `limit` events; a limit of 0 is none.
///
/// Each page begins where the one before it ended, so that the last page costs no more than the first, and events that
/// come in meanwhile neither repeat nor hide another.
pub(super) async fn for_each_page(
    reader: &dyn Reader,
    filter: Filter,
    skip: u64,
    limit: u64,
    mut visit: impl FnMut(&[AuditEvent]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut left = if limit == 0 { u64::MAX } else { limit };
    let mut query = PageQuery::new(filter, PAGE_EVENTS);
    query.skip = skip;
    while left > 0 {
        query.limit = usize::try_from(left).map_or(PAGE_EVENTS, |left| left.min(PAGE_EVENTS));
        let page = reader.query(&query).await?;
        visit(&page)?;
        left -= page.len() as u64;
        match page.last() {
            Some(last) if page.len() == query.limit => query.after = Some(Cursor::of(last)),
            _ => break,
        }
        query.skip = 0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_audit::EventType;
    use tower_audit::store::{AuditStore as _, MemoryStore};

    async fn pages(events: usize, skip: u64, limit: u64) -> Vec<usize> {
        let store = MemoryStore::new();
        let batch: Vec<_> = (0..events).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        store.append(&batch).await.unwrap();
        let mut sizes = Vec::new();
        let mut ids = Vec::new();
        for_each_page(&store, Filter::default(), skip, limit, |page| {
            sizes.push(page.len());
            ids.extend(page.iter().map(|event| event.event_id));
            Ok(())
        })
        .await
        .unwrap();
        let skip = usize::try_from(skip).unwrap();
        let expected: Vec<_> = batch.iter().rev().skip(skip).take(ids.len()).map(|event| event.event_id).collect();
        assert_eq!(ids, expected);
        sizes
    }

    #[tokio::test]
    async fn pages_end_where_they_should() {
        assert_eq!(pages(0, 0, 0).await, [0]);
        assert_eq!(pages(255, 0, 0).await, [255]);
        assert_eq!(pages(256, 0, 0).await, [256, 0]);
        assert_eq!(pages(600, 0, 0).await, [256, 256, 88]);
        assert_eq!(pages(600, 0, 100).await, [100]);
        assert_eq!(pages(600, 0, 256).await, [256]);
        assert_eq!(pages(600, 0, 300).await, [256, 44]);
        assert_eq!(pages(600, 10, 300).await, [256, 44]);
        assert_eq!(pages(600, 500, 300).await, [100]);
        assert_eq!(pages(600, 1000, 0).await, [0]);
    }
}
