//! A listing as a stream of pages.

use futures_util::stream::{self, Stream};

use super::{Reader, StoreError};
use crate::event::AuditEvent;
use crate::query::{Cursor, PageQuery};

/// Reads every event that passes the query's filter, page after page, newest first.
///
/// [`PageQuery::limit`] is the size of a page, at least 1. Each page begins after the last event of the page before it:
/// the last page costs as much as the first, and events that arrive meanwhile neither repeat nor hide another. The
/// stream ends after the first page that is not full, or after an error. A listing without events is one empty page.
///
/// ```
/// use futures_util::TryStreamExt as _;
/// use tower_audit::query::{Filter, PageQuery};
/// use tower_audit::store::{AuditStore as _, MemoryStore, pages};
/// use tower_audit::{AuditEvent, EventType};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let events: Vec<_> = (0..250).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
/// store.append(&events).await?;
/// let sizes: Vec<_> =
///     pages(&store, PageQuery::new(Filter::default(), 100)).map_ok(|page| page.len()).try_collect().await?;
/// assert_eq!(sizes, [100, 100, 50]);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropping the stream, or the future of a page, loses nothing: nothing is changed by reading.
pub fn pages<'a>(
    reader: &'a dyn Reader,
    mut query: PageQuery,
) -> impl Stream<Item = Result<Vec<AuditEvent>, StoreError>> + Send + 'a {
    query.limit = query.limit.max(1);
    stream::try_unfold(Some(query), move |query| async move {
        let Some(mut query) = query else { return Ok(None) };
        let page = reader.query(&query).await?;
        let next = match page.last() {
            Some(last) if page.len() == query.limit => {
                query.after = Some(Cursor::of(last));
                query.skip = 0;
                Some(query)
            }
            _ => None,
        };
        Ok(Some((page, next)))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::event::EventType;
    use crate::query::Filter;
    use crate::store::{AuditStore as _, MemoryStore};

    #[tokio::test]
    async fn pages_end_where_they_should() {
        for (count, skip, expected) in [
            (0, 0, &[0][..]),
            (255, 0, &[255]),
            (256, 0, &[256, 0]),
            (600, 0, &[256, 256, 88]),
            (600, 500, &[100]),
            (600, 1000, &[0]),
        ] {
            let store = MemoryStore::new();
            let events: Vec<_> = (0..count).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
            store.append(&events).await.unwrap();
            let query = PageQuery { skip, ..PageQuery::new(Filter::default(), 256) };
            let pages: Vec<Vec<AuditEvent>> = pages(&store, query).try_collect().await.unwrap();
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{count} {skip}");
            let ids: Vec<_> = pages.iter().flatten().map(|event| event.event_id).collect();
            let skip = usize::try_from(skip).unwrap();
            assert_eq!(ids, events.iter().rev().skip(skip).map(|event| event.event_id).collect::<Vec<_>>());
        }
    }
}
