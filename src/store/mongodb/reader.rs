//! Reads: of the primary, with read concern `majority`.

use std::collections::HashMap;
use std::ops::ControlFlow;

use mongodb::bson::{Bson, Document, doc};

use super::collections::Collections;
use super::condition::Conditions;
use super::connection::{Connection, Search};
use super::document::path;
use super::error::{NAME, permanent};
use super::event_decode::{POSITION, event_of, position_of};
use super::open_list;
use super::schema::listing_order;
use super::store::MongodbStore;
use super::time::hex;
use super::write_reply::integer;
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use crate::store::unindexed_conditions::unindexed;
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for MongodbStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move { list(&self.connection, &self.config.names, DOING, query, None, event_of).await })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let (connection, names) = (&*self.connection, &self.config.names);
            let conditions = conditions(connection, names, DOING, filter, None).await?;
            if conditions.needs_test {
                let mut count = 0;
                let add = |_| {
                    count += 1;
                    ControlFlow::Continue(())
                };
                scan(connection, names, DOING, filter, conditions, add).await?;
                return Ok(count);
            }
            let stages =
                vec![doc! {"$match": conditions.search}, doc! {"$group": {"_id": 1, "count": {"$sum": 1_i64}}}];
            let groups = connection.read(DOING).await?.aggregate(&names.events, stages).await?;
            groups.first().map_or(Ok(0), count_of)
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move { top_values(&self.connection, &self.config.names, filter, by, at_most).await })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move { histogram(&self.connection, &self.config.names, filter, buckets).await })
    }

    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        unindexed(filter)
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            for name in [&self.config.names.events, &self.config.names.started] {
                // No document has this id.
                let search = Search { filter: doc! {"_id": Bson::MinKey}, limit: Some(1), ..Search::default() };
                self.connection.read(DOING).await?.find(name, search).await?;
            }
            Ok(())
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move { self.find_one(doc! {"event_id": hex(id)}).await })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move { self.find_one(doc! {"event_id": hex(id), "actor.user_email": user_email}).await })
    }
}

impl MongodbStore {
    async fn find_one(&self, filter: Document) -> Result<Option<AuditEvent>, StoreError> {
        let search = Search { filter, limit: Some(1), ..Search::default() };
        let found = self.connection.read(DOING).await?.find(&self.config.names.events, search).await?;
        Ok(found.first().map(event_of))
    }
}

async fn conditions(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    filter: &Filter,
    after: Option<Cursor>,
) -> Result<Conditions, StoreError> {
    // Read first: a request that ends in between is shown twice, and never left out.
    let open = if filter.folded { Some(open_list::ids(connection, names, doing).await?) } else { None };
    Ok(Conditions::new(filter, after, open))
}

/// Returns the positions of a page's events.
pub(super) async fn positions(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    query: &PageQuery,
) -> Result<Vec<Cursor>, StoreError> {
    let fields: Document = POSITION.into_iter().map(|name| (name.to_owned(), Bson::Int32(1))).collect();
    list(connection, names, doing, query, Some(fields), position_of).await
}

/// Returns a page, each document as `read` makes it of its fields.
async fn list<T>(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    query: &PageQuery,
    fields: Option<Document>,
    read: fn(&Document) -> T,
) -> Result<Vec<T>, StoreError> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let conditions = conditions(connection, names, doing, &query.filter, query.after).await?;
    if conditions.needs_test {
        let (mut skip, mut page) = (query.skip, Vec::new());
        let take = |document: Document| {
            if skip > 0 {
                skip -= 1;
                return ControlFlow::Continue(());
            }
            page.push(read(&document));
            if page.len() < query.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        scan(connection, names, doing, &query.filter, conditions, take).await?;
        return Ok(page);
    }
    let search = Search {
        filter: conditions.search,
        projection: fields,
        sort: Some(listing_order()),
        // The server takes numbers of 63 bits.
        skip: query.skip.min(i64::MAX as u64),
        limit: i64::try_from(query.limit).ok(),
    };
    let reading = connection.read(doing).await?;
    Ok(reading.find(&names.events, search).await?.iter().map(read).collect())
}

/// Reads every document that passes the filter, the newest first, until `take` has enough.
async fn scan(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    filter: &Filter,
    conditions: Conditions,
    mut take: impl FnMut(Document) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let reading = connection.read(doing).await?;
    let search = Search { filter: conditions.search, sort: Some(listing_order()), ..Search::default() };
    let mut cursor = reading.open(&names.events, search).await?;
    while let Some(document) = reading.next(&mut cursor).await? {
        if filter.matches(&event_of(&document)) && take(document).is_break() {
            break;
        }
    }
    Ok(())
}

async fn top_values(
    connection: &Connection,
    names: &Collections,
    filter: &Filter,
    by: Field,
    at_most: usize,
) -> Result<Vec<ValueCount>, StoreError> {
    if !Field::COUNTED.contains(&by) {
        return Err(StoreError::new(StoreErrorKind::Unsupported, NAME, DOING)
            .with_hint(format!("events are not counted by {by}")));
    }
    if at_most == 0 {
        return Ok(Vec::new());
    }
    let conditions = conditions(connection, names, DOING, filter, None).await?;
    if conditions.needs_test {
        let mut found: HashMap<Option<String>, u64> = HashMap::new();
        let add = |document: Document| {
            *found.entry(by.value_of(&event_of(&document))).or_default() += 1;
            ControlFlow::Continue(())
        };
        scan(connection, names, DOING, filter, conditions, add).await?;
        let mut counts = found.into_iter().map(|(value, count)| ValueCount { value, count }).collect();
        ValueCount::sort_and_truncate(&mut counts, at_most);
        return Ok(counts);
    }
    let value = format!("${}", path(by));
    let value = match by {
        Field::Outcome => doc! {"$toString": value},
        Field::Phase => doc! {"$ifNull": [value, "completed"]},
        _ => doc! {"$ifNull": [value, null]},
    };
    let stages = vec![
        doc! {"$match": conditions.search},
        doc! {"$group": {"_id": value, "count": {"$sum": 1_i64}}},
        // Null sorts before every text.
        doc! {"$addFields": {"is_missing": {"$cond": [{"$eq": ["$_id", null]}, 1, 0]}}},
        doc! {"$sort": {"count": -1, "is_missing": 1, "_id": 1}},
        doc! {"$limit": i64::try_from(at_most).unwrap_or(i64::MAX)},
    ];
    let groups = connection.read(DOING).await?.aggregate(&names.events, stages).await?;
    let value_count = |group: &Document| {
        let value = group.get("_id").and_then(Bson::as_str).map(str::to_owned);
        Ok(ValueCount { value, count: count_of(group)? })
    };
    groups.iter().map(value_count).collect()
}

async fn histogram(
    connection: &Connection,
    names: &Collections,
    filter: &Filter,
    buckets: &Buckets,
) -> Result<Vec<u64>, StoreError> {
    let filter = buckets.confine(filter);
    let conditions = conditions(connection, names, DOING, &filter, None).await?;
    let mut counts = vec![0; buckets.len()];
    let mut add = |bucket: Option<usize>, count| {
        if let Some(sum) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
            *sum += count;
        }
    };
    if conditions.needs_test {
        let take = |document: Document| {
            add(buckets.index_of(position_of(&document).created_at), 1);
            ControlFlow::Continue(())
        };
        scan(connection, names, DOING, &filter, conditions, take).await?;
        return Ok(counts);
    }
    // In integers: a division would be one of floating-point numbers, which are exact to 2^53.
    let micros = doc! {"$add": [
        {"$multiply": [{"$toLong": "$created_at"}, 1000_i64]},
        {"$ifNull": ["$micros", 0_i64]},
    ]};
    let since = doc! {"$subtract": [micros, buckets.start().as_micros()]};
    let stages = vec![
        doc! {"$match": conditions.search},
        doc! {"$project": {"since": since}},
        doc! {"$group": {
            "_id": {"$subtract": ["$since", {"$mod": ["$since", buckets.width_micros()]}]},
            "count": {"$sum": 1_i64},
        }},
    ];
    for group in connection.read(DOING).await?.aggregate(&names.events, stages).await? {
        let begin = integer(group.get("_id")).and_then(|begin| usize::try_from(begin / buckets.width_micros()).ok());
        add(begin, count_of(&group)?);
    }
    Ok(counts)
}

fn count_of(group: &Document) -> Result<u64, StoreError> {
    let count = integer(group.get("count")).and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| permanent(DOING).with_hint("the server answered without a count"))
}

const DOING: &str = "reading";
