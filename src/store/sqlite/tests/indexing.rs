//! The index of a segment says what its rows say, in whatever state it is.

use proptest::prelude::*;
use serde_json::json;

use super::super::event_columns::INDEX_PARTS;
use super::super::segments::value_index::{self, MergeLimits};
use super::*;
use crate::event::Target;
use crate::query::{Buckets, Condition, Cursor, Field, OutcomePattern, TextPattern};
use crate::store::{MemoryStore, StoreAdmin as _};

/// The later state of the segment that takes events.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Full, and its index is still in parts.
    Parts,
    /// Full, and the index of some fields is merged.
    Half,
    /// Full, and its index is merged.
    Merged,
    /// Full, and the parts of its index that are large stay in their chunks.
    Large,
    /// Without an index, which is being built.
    Bare,
    /// Without one, and an index that was made of its rows.
    Made,
}

const STATES: [State; 6] = [State::Parts, State::Half, State::Merged, State::Large, State::Bare, State::Made];

pub(super) async fn sql(place: &Place, store: &SqliteStore, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false).execute(&mut place.raw().await).await.unwrap();
    // The writer reads the list of segments again.
    let mut lease = store.lease("test").await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *lease.state.connection.db).await.unwrap();
    lease.state.refresh().await.unwrap();
    sqlx::query("COMMIT").execute(&mut *lease.state.connection.db).await.unwrap();
    lease.finish(Ok(())).await.unwrap();
}

async fn merge(store: &SqliteStore, times: usize, of_part: usize) {
    for _ in 0..times {
        let mut lease = store.lease("test").await.unwrap();
        let done = value_index::merge_parts(&mut lease.state, MergeLimits { at_once: 1, of_part }).await;
        lease.finish(done).await.unwrap();
    }
}

/// Makes the newest segment full and brings it into a state.
async fn bring(place: &Place, store: &SqliteStore, state: State) {
    let n = place.number("SELECT coalesce(max(n), 0) FROM audit_segments").await;
    let merges = match state {
        State::Parts => {
            return sql(place, store, &format!("UPDATE audit_segments SET merged = 15 WHERE n = {n}")).await;
        }
        State::Bare => 1,
        State::Half => 7,
        State::Merged | State::Large => INDEX_PARTS.len(),
        // A step builds the part of the index that its rows have, another one makes it count.
        State::Made => INDEX_PARTS.len() + 1,
    };
    let of_part = if matches!(state, State::Large) { 4096 } else { usize::MAX };
    if matches!(state, State::Bare | State::Made) {
        sql(
            place,
            store,
            &format!(
                "UPDATE audit_segments SET state = 0, merged = 0 WHERE n = {n}; DELETE FROM audit_postings WHERE n = {n};
                 UPDATE audit_segments SET merged = -1 - merged WHERE n < {n}"
            ),
        )
        .await;
    } else {
        sql(
            place,
            store,
            &format!(
                "UPDATE audit_segments SET events_n = events_n + 32768 WHERE n = {n};
                 UPDATE audit_segments SET merged = -1 - merged WHERE n < {n}"
            ),
        )
        .await;
    }
    merge(store, merges, of_part).await;
    sql(
        place,
        store,
        &format!(
            "UPDATE audit_segments SET events_n = events_n % 32768 WHERE n = {n};
             UPDATE audit_segments SET merged = -1 - merged WHERE n < {n}"
        ),
    )
    .await;
}

const TEXTS: [Option<&str>; 10] = [
    None,
    Some(""),
    Some("a"),
    Some("ab"),
    Some("abc"),
    Some("b"),
    Some("b*?[%_"),
    Some("é\u{10FFFF}"),
    Some("\u{D7FF}x"),
    Some("q\"\\\n\u{1}/"),
];
const OUTCOMES: [Option<u16>; 7] = [None, Some(99), Some(200), Some(204), Some(404), Some(4040), Some(500)];
const PHASES: [Phase; 3] = [Phase::Completed, Phase::Started, Phase::Unknown];

/// An event whose fields are chosen by a number.
fn chosen(n: u64, seed: u64) -> AuditEvent {
    let pick = |salt: u64, of: usize| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15 + salt * 2) >> 32) as usize % of;
    let text = |salt| TEXTS[pick(salt, TEXTS.len())].map(Into::into);
    let mut event = event(n);
    event.created_at = at(pick(1, 40) as u64);
    event.actor.user_email =
        if pick(2, 2) == 0 { Some(format!("user-{seed:020}@example.org").into()) } else { text(3) };
    event.actor.remote_addr = text(4);
    event.resource.route = text(5);
    event.outcome = OUTCOMES[pick(6, OUTCOMES.len())];
    event.phase = PHASES[pick(7, PHASES.len())];
    event.resource.method = text(8);
    event.classification.domain = text(9);
    event.request.request_uri = text(10);
    event.request.request_id = if pick(11, 2) == 0 { Some(format!("request-{seed:020}").into()) } else { text(12) };
    for salt in 13..13 + pick(15, 4) as u64 {
        let target_type = ["order", "user"][pick(salt + 8, 2)];
        event.targets.insert(Target::new(target_type, TEXTS[pick(salt, TEXTS.len())].unwrap_or("7")));
    }
    event.details.insert("a \"key\"".into(), [json!("a"), json!(7), json!(true), json!(["a"])][pick(20, 4)].clone());
    if event.phase != Phase::Started && pick(21, 2) == 0 {
        // One that came before, if it is one.
        event.request.started_event_id = Some(super::event(n.saturating_sub(1 + pick(22, 3) as u64)).event_id);
    }
    event
}

fn some_pattern() -> impl Strategy<Value = TextPattern> {
    prop_oneof![
        prop::sample::select(&["", "a", "ab", "b", "user-", "b*?[%_", "é", "\u{10FFFF}", "upload", "u", "zz"][..])
            .prop_flat_map(|text| prop_oneof![Just(TextPattern::exact(text)), Just(TextPattern::prefix(text))]),
        prop::sample::select(
            &["*", "*b", "*\"\n*", "*b*", "a*c", "user-*9@*", "*org", r"b\*?*", "u*d", "*?*", "*[*_", r"*\*?*"][..]
        )
        .prop_map(|text| text.parse::<TextPattern>().unwrap()),
    ]
}

fn some_condition<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Condition<T>> {
    prop_oneof![
        4 => Just(Condition::default()),
        2 => prop::collection::vec(value.clone(), 1..3).prop_map(Condition::any_of),
        1 => prop::collection::vec(value, 1..3).prop_map(Condition::none_of),
    ]
}

fn some_filter() -> impl Strategy<Value = Filter> {
    let status = prop_oneof![
        prop::sample::select(&[200, 204, 404, 500, 99, 4040][..]).prop_map(OutcomePattern::Exact),
        (0..6_u8).prop_map(OutcomePattern::Class),
        Just(OutcomePattern::Missing),
    ]
    .boxed();
    let pattern = || some_pattern().boxed();
    let moment = || prop::option::weighted(0.3, (0..42_u64).prop_map(at));
    let rarely = || prop_oneof![3 => Just(Condition::default()), 1 => some_condition(some_pattern().boxed())];
    let target = prop_oneof![
        4 => Just(Condition::default()),
        1 => some_condition(prop::sample::select(&["order/7", "user/ab", "order/b*?[%_", "item/7"][..]).prop_map(TextPattern::exact).boxed()),
        1 => Just(TextPattern::prefix("order/a").into()),
    ];
    let target_type = prop_oneof![4 => Just(Condition::default()), 1 => Just("order".into()), 1 => Just(TextPattern::prefix("u").into())];
    let detail = prop_oneof![
        4 => Just(Condition::default()),
        1 => some_condition(prop::sample::select(&["a", "7", "true"][..]).prop_map(TextPattern::exact).boxed()),
    ];
    (
        (some_condition(pattern()), some_condition(pattern()), some_condition(pattern()), some_condition(pattern())),
        (some_condition(status), some_condition(prop::sample::select(&PHASES[..]).boxed()), moment(), moment()),
        (rarely(), rarely(), rarely(), rarely()),
        (target, target_type, detail, prop::bool::weighted(0.3)),
    )
        .prop_map(
            |(
                (event_type, user_email, route, remote_addr),
                (outcome, phase, since, until),
                (method, domain, uri, request_id),
                (target, target_type, detail, folded),
            )| Filter {
                event_type,
                user_email,
                since,
                until,
                outcome,
                route,
                remote_addr,
                phase,
                method,
                domain,
                uri,
                request_id,
                target,
                target_type,
                details: [("a \"key\"".to_owned(), detail)].into(),
                folded,
                ..Filter::default()
            },
        )
}

/// Every kind of reading of the store is what it is of the model.
async fn assert_alike(store: &SqliteStore, model: &MemoryStore, filter: &Filter) {
    assert_eq!(store.count(filter).await.unwrap(), model.count(filter).await.unwrap(), "{filter:?}");
    let all = model.query(&PageQuery::new(filter.clone(), usize::MAX)).await.unwrap();
    let after = all.get(all.len() / 2).map(Cursor::of);
    for (after, skip, limit) in [(None, 0, usize::MAX), (None, 0, 3), (after, 0, 5), (after, 2, 5), (None, 40, 2)] {
        let query = PageQuery { filter: filter.clone(), after, skip, limit };
        assert_eq!(store.query(&query).await.unwrap(), model.query(&query).await.unwrap(), "{query:?}");
    }
    for field in Field::COUNTED {
        let (found, right) = (store.top_values(filter, field, 30).await, model.top_values(filter, field, 30).await);
        assert_eq!(found.unwrap(), right.unwrap(), "{filter:?} by {field}");
    }
    for buckets in [Buckets::new(at(0), 40_000_000, 1), Buckets::new(at(3), 7_000_000, 5)] {
        let buckets = buckets.unwrap();
        let (found, right) = (store.histogram(filter, &buckets).await, model.histogram(filter, &buckets).await);
        assert_eq!(found.unwrap(), right.unwrap(), "{filter:?} in {buckets:?}");
    }
}

/// Segments in these states, the newest of which takes events, and a journal.
async fn mixed(place: &Place, states: &[State], seed: u64) -> (SqliteStore, MemoryStore) {
    let (store, model) = (place.open().await, MemoryStore::new());
    let mut n = 0;
    let mut next = |events: u64| {
        let batch: Vec<_> = (n..n + events).map(|n| chosen(n, seed.wrapping_add(n * n))).collect();
        n += events;
        batch
    };
    for state in states.iter().map(Some).chain([None]) {
        for size in [70, 30] {
            let batch = next(size);
            store.append(&batch).await.unwrap();
            model.append(&batch).await.unwrap();
            settle(&store).await;
        }
        if let Some(state) = state {
            bring(place, &store, *state).await;
        }
    }
    let batch = next(20);
    store.append(&batch).await.unwrap();
    model.append(&batch).await.unwrap();
    (store, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn an_index_says_what_the_rows_say(
        states in prop::collection::vec(prop::sample::select(&STATES[..]), 0..5),
        seed in any::<u64>(),
        filters in prop::collection::vec(some_filter(), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let (store, model) = mixed(&place, &states, seed).await;
            assert_eq!(place.number("SELECT count(*) FROM audit_segments").await as usize, states.len() + 1);
            for filter in &filters {
                assert_alike(&store, &model, filter).await;
            }
        });
    }
}

fn telling() -> Vec<Filter> {
    let none = Filter::default();
    // The last of them are for `GLOB`, which goes over segments that have no index.
    let like = |pattern: &str| Filter { route: pattern.parse::<TextPattern>().unwrap().into(), ..Filter::default() };
    vec![
        none.clone(),
        Filter { user_email: TextPattern::prefix("user-").into(), ..none.clone() },
        Filter { outcome: Condition::none_of([OutcomePattern::Exact(200)]), route: "ab".into(), ..none.clone() },
        Filter { phase: Phase::Started.into(), ..none },
        Filter::new().folded(true),
        Filter::new().uri("ab").folded(true),
        Filter::new().target(Condition::none_of([TextPattern::exact("order/7")])),
        Filter::new().detail("a \"key\"", "7"),
        like("*?*"),
        like("*[*"),
        like(r"*\**"),
    ]
}

#[tokio::test]
async fn a_purge_of_a_part_takes_the_index_along() {
    let place = Place::new();
    let states = [State::Merged, State::Parts, State::Half, State::Large, State::Bare];
    let (store, model) = mixed(&place, &states, 7).await;
    assert!(place.number("SELECT count(*) FROM audit_postings WHERE n = 4 AND part > 0 AND field <> 14").await > 0);
    assert!(place.number("SELECT count(*) FROM audit_postings WHERE n = 4 AND part = 0").await > 0);
    let before = at(17);
    while store.purge(before, 13).await.unwrap().has_more {}
    while model.purge(before, 13).await.unwrap().has_more {}
    for filter in telling() {
        assert_alike(&store, &model, &filter).await;
    }
    assert_eq!(place.number("SELECT count(*) FROM audit_postings").await, 0);
    store.migrate().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM audit_segments WHERE state = 2 AND merged = 15").await, 6);
    for filter in telling() {
        assert_alike(&store, &model, &filter).await;
    }
    place.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_every_event_while_an_index_is_made() {
    let place = std::sync::Arc::new(Place::new());
    let (store, model) = mixed(&place, &[State::Bare, State::Bare, State::Parts, State::Bare], 3).await;
    let store = std::sync::Arc::new(store);
    let maker = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await.unwrap() }
    });
    loop {
        let is_last = maker.is_finished();
        for filter in telling() {
            assert_eq!(store.count(&filter).await.unwrap(), model.count(&filter).await.unwrap());
        }
        if is_last {
            break;
        }
    }
    maker.await.unwrap();
}

#[tokio::test]
async fn a_damaged_index_is_an_error() {
    let place = Place::new();
    let (store, _) = mixed(&place, &[State::Merged], 5).await;
    sql(&place, &store, "UPDATE audit_postings SET body = x'0561' WHERE field = 3").await;
    let error = store.count(&Filter { route: "a".into(), ..Filter::default() }).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("damaged"), "{error:?}");
    store.count(&Filter { user_email: "a".into(), ..Filter::default() }).await.unwrap();
}

#[tokio::test]
async fn an_index_that_misses_events_is_told_and_built_again() {
    for sql in [
        "DELETE FROM audit_postings WHERE field = 1",
        "DELETE FROM audit_postings WHERE field = 11",
        "DELETE FROM audit_postings WHERE field = 13",
        "DELETE FROM audit_postings WHERE rowid = (SELECT max(rowid) FROM audit_postings)",
        "UPDATE audit_postings SET body = x'ff' WHERE field = 0",
    ] {
        let place = Place::new();
        let (store, model) = mixed(&place, &[State::Merged, State::Parts], 3).await;
        let is_told = async || {
            let diagnostics = store.diagnose().await.unwrap();
            diagnostics.iter().any(|found| found.subject == "index" && found.message.contains("misses events"))
        };
        assert!(!is_told().await, "{sql}");
        sqlx::query(sql).execute(&mut place.raw().await).await.unwrap();
        assert!(is_told().await, "{sql}");
        store.migrate().await.unwrap();
        assert!(!is_told().await, "{sql}");
        for filter in telling() {
            assert_alike(&store, &model, &filter).await;
        }
    }
}
