//! Reading while events come, move and are damaged.

use super::*;
use crate::query::Cursor;
use crate::store::MemoryStore;

/// Events in several segments and in the journal, some of them out of order in time.
async fn mixed(place: &Place) -> (SqliteStore, MemoryStore) {
    let (store, model) = (place.open().await, MemoryStore::new());
    let mut given = events(0..400);
    for n in 0..40 {
        given.swap(n * 10, 399 - n * 7);
        given[n * 10 + 5].created_at = at(77);
        given[n * 9].actor.user_email = None;
    }
    for (step, batch) in given.chunks(13).enumerate() {
        store.append(batch).await.unwrap();
        model.append(batch).await.unwrap();
        if step % 8 == 7 && step < 28 {
            settle(&store).await;
            // The next move begins another segment.
            sqlx::query("UPDATE audit_segments SET merged = 6").execute(&mut place.raw().await).await.unwrap();
            store.ensure_open_again(place).await;
        }
    }
    assert_eq!(place.number("SELECT count(*) FROM audit_segments").await, 3);
    (store, model)
}

impl SqliteStore {
    /// Makes the connection read the list of segments again.
    async fn ensure_open_again(&self, _place: &Place) {
        let mut lease = self.lease("test").await.unwrap();
        sqlx::query("BEGIN").execute(&mut *lease.state.connection.db).await.unwrap();
        lease.state.refresh().await.unwrap();
        sqlx::query("COMMIT").execute(&mut *lease.state.connection.db).await.unwrap();
        lease.finish(Ok(())).await.unwrap();
    }
}

fn filters() -> Vec<Filter> {
    let none = Filter::default();
    vec![
        none.clone(),
        Filter { event_type: EventType::AUTH.into(), ..none.clone() },
        Filter { user_email: "user3".into(), ..none.clone() },
        Filter { user_email: "user3".into(), event_type: EventType::AUTH.into(), ..none.clone() },
        Filter { user_email: "nobody' OR 1=1 --".into(), ..none.clone() },
        Filter { since: Some(at(77)), until: Some(at(300)), ..none.clone() },
        Filter { until: Some(at(77)), outcome: 201.into(), ..none.clone() },
        Filter { route: "/scans \"{id}\"\n".into(), phase: Phase::Completed.into(), ..none.clone() },
        Filter { remote_addr: "192.0.2.8".into(), ..none.clone() },
        Filter { phase: Phase::Started.into(), ..none.clone() },
        Filter { since: Some(at(300)), until: Some(at(10)), ..none },
    ]
}

#[tokio::test]
async fn every_page_is_that_of_the_model() {
    let place = Place::new();
    let (store, model) = mixed(&place).await;
    for filter in filters() {
        assert_eq!(store.count(&filter).await.unwrap(), model.count(&filter).await.unwrap(), "{filter:?}");
        for limit in [0, 1, 7, 100, 1000, usize::MAX] {
            for skip in [0, 1, 50, 399, 1000] {
                for after in [
                    None,
                    Some(Cursor::of(&event(200))),
                    Some(Cursor { created_at: at(77), event_id: event(55).event_id }),
                ] {
                    let query = PageQuery { filter: filter.clone(), after, skip, limit };
                    assert_eq!(store.query(&query).await.unwrap(), model.query(&query).await.unwrap(), "{query:?}");
                }
            }
        }
    }
}

/// More than are looked up one by one, or read by one statement.
#[tokio::test]
async fn what_a_segment_has_much_of_is_in_pages_of_any_size() {
    let place = Place::new();
    let (store, model) = (place.open().await, MemoryStore::new());
    let mut given = events(0..5000);
    for (n, event) in given.iter_mut().enumerate() {
        event.actor.remote_addr = Some(format!("10.{}.{}.1", n % 5, n % 250).into());
    }
    for batch in given.chunks(250) {
        store.append(batch).await.unwrap();
        model.append(batch).await.unwrap();
    }
    settle(&store).await;
    assert!(place.number("SELECT max(events_n) FROM audit_segments").await > 4000);
    let none = Filter::default();
    let pattern = |text: &str| text.parse::<crate::query::TextPattern>().unwrap().into();
    for (least, filter) in [
        (5000, none.clone()),
        (2500, Filter { event_type: EventType::AUTH.into(), ..none.clone() }),
        (1666, Filter { outcome: 201.into(), ..none.clone() }),
        (714, Filter { user_email: "user3".into(), ..none.clone() }),
        (5000, Filter { remote_addr: pattern("10.*"), ..none.clone() }),
        (3000, Filter { remote_addr: pattern("10.*"), until: Some(at(3000)), ..none.clone() }),
        (1000, Filter { remote_addr: pattern("10.3.*"), ..none.clone() }),
        (20, Filter { remote_addr: pattern("10.3.18.*"), ..none }),
    ] {
        assert!(store.count(&filter).await.unwrap() >= least, "{filter:?}");
        for limit in [1, 100, 1024, 1025, 2500, usize::MAX] {
            for after in [None, Some(Cursor::of(&event(3700)))] {
                let query = PageQuery { filter: filter.clone(), after, skip: 0, limit };
                assert!(store.query(&query).await.unwrap() == model.query(&query).await.unwrap(), "{query:?}");
            }
        }
    }
}

#[tokio::test]
async fn pages_by_cursor_join_without_gap_or_double() {
    let place = Place::new();
    let (store, model) = mixed(&place).await;
    let mut query = PageQuery::new(Filter::default(), 9);
    let mut found = Vec::new();
    loop {
        let page = store.query(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(Cursor::of(last));
        found.extend(page);
    }
    assert_eq!(found, model.events());
    for event in found {
        assert_eq!(store.get(event.event_id).await.unwrap().unwrap(), event);
    }
}

#[tokio::test]
async fn deep_skips_are_exact() {
    let place = Place::new();
    let store = place.open().await;
    let small = |n: u64| {
        let mut event = AuditEvent::new([EventType::UPLOAD, EventType::AUTH][n as usize % 2].clone());
        event.event_id = EventId::from_u128(u128::from(n));
        event.created_at = at(n / 3);
        event
    };
    for n in 0..15 {
        store.append(&(n * 1000..n * 1000 + 1000).map(small).collect::<Vec<_>>()).await.unwrap();
    }
    maintain_all(&store).await;
    // As if they were many: three lists of the same kind.
    for skip in [0, 4095, 4096, 4097, 5000, 9999, 14_998, 14_999, 15_000] {
        let query = PageQuery { skip, ..PageQuery::new(Filter::default(), 1) };
        let found: Vec<u128> =
            store.query(&query).await.unwrap().iter().map(|event| event.event_id.as_u128()).collect();
        let wanted: Vec<u128> = 14_999_u64.checked_sub(skip).into_iter().map(u128::from).collect();
        assert_eq!(found, wanted, "{skip}");
    }
    let filter = Filter { event_type: EventType::AUTH.into(), ..Filter::default() };
    let found = store.query(&PageQuery { skip: 7000, ..PageQuery::new(filter, 1) }).await.unwrap();
    assert_eq!(found[0].event_id.as_u128(), 14_999 - 14_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_seen_once_while_it_moves() {
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    for n in 0..8 {
        store.append(&events(n * 1000..n * 1000 + 1000)).await.unwrap();
    }
    let mover = tokio::spawn({
        let store = store.clone();
        async move { settle(&store).await }
    });
    let mut reads = 0;
    while !mover.is_finished() || reads < 3 {
        assert_eq!(store.count(&Filter { outcome: 200.into(), ..Filter::default() }).await.unwrap(), 2667);
        assert!(store.get(event(5).event_id).await.unwrap().is_some());
        reads += 1;
    }
    mover.await.unwrap();
}

/// A log of three segments and a journal, and a connection past the store.
async fn segmented(place: &Place) -> (SqliteStore, SqliteConnection) {
    let store = place.open().await;
    for first in [0, 100, 200] {
        store.append(&events(first..first + 100)).await.unwrap();
        settle(&store).await;
        // Full, as far as the next events are concerned.
        sqlx::query("UPDATE audit_segments SET merged = -1").execute(&mut place.raw().await).await.unwrap();
    }
    store.append(&events(300..310)).await.unwrap();
    (store, place.raw().await)
}

/// Reads everything in pages of this many events.
async fn pages(store: &SqliteStore, limit: usize) -> Vec<AuditEvent> {
    let mut query = PageQuery::new(Filter::default(), limit);
    let mut listed = Vec::new();
    loop {
        let page = store.query(&query).await.unwrap();
        query.after = page.last().map(crate::query::Cursor::of);
        listed.extend(page.iter().cloned());
        if page.len() < limit {
            return listed;
        }
        assert!(listed.len() < 1000, "the same page again and again");
    }
}

#[tokio::test]
async fn a_row_with_impossible_columns_hides_no_other() {
    let n = "(SELECT max(n) FROM audit_segments)";
    for change in [
        "created_at = 'yesterday'",
        "created_at = created_at + 0.5",
        "created_at = x'00'",
        "created_at = 9223372036854775807",
        "created_at = -9223372036854775808",
        "event_id = 7",
        "event_id = 'seven'",
        "event_id = x''",
        "event_id = x'07'",
        "outcome = 'none'",
        "phase = 7, event_type = x'ff', user_email = 8",
    ] {
        let place = Place::new();
        let (store, mut raw) = segmented(&place).await;
        let segment: i64 = place.number(&format!("SELECT {n}")).await;
        for seq in [50, 1] {
            let sql = format!("UPDATE OR IGNORE audit_segment_{segment} SET {change} WHERE seq = {seq}");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
        }
        assert_eq!(store.count(&Filter::default()).await.unwrap(), 310, "{change}");
        for limit in [1000, 7, 1] {
            let listed = pages(&store, limit).await;
            let ids: std::collections::HashSet<_> = listed.iter().map(|event| event.event_id).collect();
            assert_eq!((listed.len(), ids.len()), (310, 310), "{change} in pages of {limit}");
        }
        let buckets = crate::query::Buckets::new(at(0), 1_000_000, 400).unwrap();
        store.histogram(&Filter::default(), &buckets).await.unwrap();
        store.top_values(&Filter::default(), crate::query::Field::UserEmail, 10).await.unwrap();
    }
}

#[tokio::test]
async fn an_event_is_shown_to_no_user_that_its_text_denies() {
    let place = Place::new();
    let (store, mut raw) = segmented(&place).await;
    let mallory = Filter { user_email: "mallory".into(), ..Filter::default() };
    let sql = "UPDATE audit_segment_1 SET user_email = 'mallory' WHERE seq = 5";
    sqlx::query(sql).execute(&mut raw).await.unwrap();
    sqlx::query("UPDATE audit_segments SET state = 0, merged = -1 WHERE n = 1").execute(&mut raw).await.unwrap();
    let shown = store.query(&PageQuery::new(mallory, 10)).await.unwrap();
    let [event] = shown.as_slice() else { panic!("{shown:?}") };
    let text = serde_json::to_string(event).unwrap();
    assert!(text.contains("unreadable_event") && text.contains("user_email differ"), "{text}");
    assert!(!text.contains("exact"), "{text}");
    let by_id = store.get_of(event.event_id, "mallory").await.unwrap().unwrap();
    assert_eq!(&by_id, event);
}

/// By the time it takes, an event of another user is not told from one that is missing: its batch is not decoded.
#[tokio::test]
async fn an_event_of_another_user_costs_no_more_than_one_that_is_missing() {
    let place = Place::new();
    let store = place.open().await;
    let mut batch: Vec<_> = events(0..1000).into_iter().chain(events(1001..1500)).collect();
    for event in &mut batch {
        event.actor.user_email = Some("alice".into());
        event.details.insert("text".into(), vec!["bob"; 100].into());
    }
    batch[700].actor.user_email = Some("bob".into());
    store.append(&batch).await.unwrap();
    // One that is missing, that of another user, one that has the reader's name in its details, and one that is decoded.
    let cases = [(1000, "carol", false), (300, "carol", false), (701, "bob", false), (300, "alice", true)];
    let mut fastest = [std::time::Duration::MAX; 4];
    for _ in 0..15 {
        for (fastest, (n, user, is_there)) in fastest.iter_mut().zip(cases) {
            let begun = std::time::Instant::now();
            let found = store.get_of(event(n).event_id, user).await.unwrap();
            *fastest = begun.elapsed().min(*fastest);
            assert_eq!(found.is_some(), is_there, "{n}");
        }
    }
    let [missing, foreign, named, own] = fastest;
    assert!(3 * foreign < own && 3 * named < own, "{fastest:?}");
    assert!(foreign < 3 * missing && named < 3 * missing, "{fastest:?}");
    assert_eq!(store.get_of(event(700).event_id, "bob").await.unwrap(), Some(batch.swap_remove(700)));
}

/// An export writes the texts as they are stored.
#[tokio::test]
async fn a_stored_page_has_the_events_of_the_page_or_is_known_to_have_others() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..100)).await.unwrap();
    settle(&store).await;
    store.append(&events(100..150)).await.unwrap();
    let uploads = Filter { event_type: "upload".into(), ..Filter::default() };
    for filter in [Filter::default(), uploads.clone()] {
        for limit in [1, 60, 70, 1000] {
            let query = PageQuery::new(filter.clone(), limit).skip(3);
            let page = store.query_stored(&query).await.unwrap().unwrap();
            let texts: Vec<AuditEvent> =
                page.check(&filter).unwrap().map(|text| serde_json::from_str(text).unwrap()).collect();
            let right = store.query(&query).await.unwrap();
            assert_eq!(texts, right);
            assert_eq!((page.len(), page.last()), (right.len(), right.last().map(Cursor::of)));
        }
    }
    let mut raw = place.raw().await;
    for change in ["replace(event, 'upload', 'auth')", "event || ',' || event", "'{'"] {
        let sql = format!("UPDATE audit_segment_1 SET event = {change} WHERE seq = 51");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
        let page = store.query_stored(&PageQuery::new(uploads.clone(), 1000)).await.unwrap();
        assert!(page.is_none_or(|page| page.check(&uploads).is_none()), "{change}");
    }
}
