//! A model of a store: a list in memory, and random queries to compare the answers.

use std::collections::HashSet;

use fastrand::Rng;
use serde_json::json;

use super::assertions::newest_first;
use super::fixtures::{at, event};
use crate::event::{AuditEvent, ErrorCode, EventId, EventType, Phase, Target};
use crate::query::{Condition, Cursor, Filter, OutcomePattern, PageQuery, TextPattern};

const USERS: [&str; 6] = ["alice", "Alice", "bob", "", "b%", "b_b"];
const ROUTES: [&str; 5] = ["/scans", "/Scans", "/users/{id}", "", "/scans/"];
const ADDRESSES: [&str; 4] = ["192.0.2.7", "192.0.2.70", "::1", ""];
const OUTCOMES: [u16; 5] = [200, 201, 404, 500, 0];
const PHASES: [Phase; 3] = [Phase::Completed, Phase::Started, Phase::Unknown];
const TYPES: [&str; 4] = ["upload", "auth", "a_b.c", "axb.c"];
const WORDS: [&str; 5] = ["a", "ab", "A", "a%", ""];
const TARGETS: [(&str, &str); 5] = [("order", "7"), ("order", "70"), ("user", "7"), ("user", "a/b"), ("order", "*")];
const KEYS: [&str; 2] = ["plan", "a.b"];

/// The random events lie within as many microseconds, so that many share one.
const SPAN_MICROS: i64 = 60;

pub(super) struct Model {
    random: Rng,
    newest_first: Vec<AuditEvent>,
    /// The `started` events that an event names which comes after them in the listing, and is appended after them.
    ended: HashSet<EventId>,
}

impl Model {
    /// Events that share few values, so that any question has an answer of some length; for a seed always the same.
    pub(super) fn new(seed: u64, count: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let events = (0..count).map(|number| random_event(&mut random, number)).collect::<Vec<_>>();
        let mut newest_first = newest_first(events);
        let mut ended = HashSet::new();
        for n in 1..newest_first.len() {
            let earlier = &newest_first[random.usize(..n)];
            if newest_first[n].phase != Phase::Started && earlier.phase == Phase::Started && random.bool() {
                let started = earlier.event_id;
                newest_first[n].request.started_event_id = Some(started);
                ended.insert(started);
            }
        }
        Self { random, newest_first, ended }
    }

    /// Its events, in the order of the listing.
    pub(super) fn events(&self) -> &[AuditEvent] {
        &self.newest_first
    }

    pub(super) fn some_filter(&mut self) -> Filter {
        let random = &mut self.random;
        let mut filter = Filter::default();
        if random.u8(..3) == 0 {
            filter.event_type = some(random, |random| text(random, &TYPES));
        }
        if random.u8(..3) == 0 {
            filter.user_email = some(random, |random| text(random, &USERS));
        }
        if random.u8(..3) == 0 {
            filter.route = some(random, |random| text(random, &ROUTES));
        }
        if random.u8(..3) == 0 {
            filter.remote_addr = some(random, |random| text(random, &ADDRESSES));
        }
        if random.u8(..4) == 0 {
            filter.outcome = some(random, |random| match random.u8(..4) {
                0 => OutcomePattern::Class(random.u8(1..=5)),
                1 => OutcomePattern::Missing,
                _ => OutcomePattern::Exact(pick(random, &OUTCOMES)),
            });
        }
        if random.u8(..4) == 0 {
            filter.phase = some(random, |random| pick(random, &PHASES));
        }
        for condition in [
            &mut filter.method,
            &mut filter.api_key_hash,
            &mut filter.acting_for,
            &mut filter.domain,
            &mut filter.action,
            &mut filter.uri,
            &mut filter.request_id,
            &mut filter.trace_id,
        ] {
            if random.u8(..20) == 0 {
                *condition = some(random, |random| text(random, &WORDS));
            }
        }
        if random.u8(..12) == 0 {
            filter.error = some(random, |random| text(random, &["not-found", "unauthorized"]));
        }
        if random.u8(..12) == 0 {
            filter.target_type = some(random, |random| text(random, &["order", "user"]));
        }
        if random.u8(..8) == 0 {
            filter.target = some(random, |random| {
                let (target_type, id) = pick(random, &TARGETS);
                text(random, &[&Target::new(target_type, id).to_string()])
            });
        }
        if random.u8(..8) == 0 {
            let values = some(random, |random| text(random, &["7", "a", "true", "x"]));
            filter.details.insert(pick(random, &KEYS).to_owned(), values);
        }
        filter.folded = random.u8(..4) == 0;
        if random.u8(..3) == 0 {
            filter.since = Some(at(random.i64(-1..SPAN_MICROS)));
        }
        if random.u8(..3) == 0 {
            filter.until = Some(at(random.i64(0..=SPAN_MICROS + 1)));
        }
        filter
    }

    pub(super) fn some_query(&mut self) -> PageQuery {
        let filter = self.some_filter();
        let random = &mut self.random;
        let after = random.bool().then(|| Cursor::of(&self.newest_first[random.usize(..self.newest_first.len())]));
        let skip = if random.bool() { random.u64(..20) } else { 0 };
        PageQuery { after, skip, ..PageQuery::new(filter, random.usize(..30)) }
    }

    /// The events that pass the filter, newest first.
    pub(super) fn found(&self, filter: &Filter) -> Vec<AuditEvent> {
        let is_folded =
            |event: &AuditEvent| filter.folded && event.phase == Phase::Started && self.ended.contains(&event.event_id);
        self.newest_first.iter().filter(|event| filter.matches(event) && !is_folded(event)).cloned().collect()
    }

    /// The page that the query asks for.
    pub(super) fn page(&self, query: &PageQuery) -> Vec<AuditEvent> {
        self.found(&query.filter)
            .into_iter()
            .filter(|event| query.after.is_none_or(|after| Cursor::of(event) < after))
            .skip(usize::try_from(query.skip).expect("the model skips few"))
            .take(query.limit)
            .collect()
    }
}

fn random_event(random: &mut Rng, number: u64) -> AuditEvent {
    let mut event = event(number);
    let text = |random: &mut Rng, pool: &[&str]| {
        if random.u8(..5) == 0 { None } else { Some(pick(random, pool).into()) }
    };
    event.created_at = at(random.i64(0..SPAN_MICROS));
    event.event_type = EventType::new(pick(random, &TYPES)).expect("the types of the model are types");
    event.actor.user_email = text(random, &USERS);
    event.resource.route = text(random, &ROUTES);
    event.actor.remote_addr = text(random, &ADDRESSES);
    event.outcome = if random.u8(..5) == 0 { None } else { Some(pick(random, &OUTCOMES)) };
    event.phase = pick(random, &PHASES);
    for field in [
        &mut event.resource.method,
        &mut event.actor.api_key_hash,
        &mut event.actor.acting_for,
        &mut event.classification.domain,
        &mut event.classification.action,
        &mut event.request.request_uri,
        &mut event.request.request_id,
        &mut event.request.trace_id,
    ] {
        *field = text(random, &WORDS);
    }
    event.classification.error = pick(random, &[None, Some(ErrorCode::NOT_FOUND), Some(ErrorCode::UNAUTHORIZED)]);
    for _ in 0..random.u8(..4) {
        let (target_type, id) = pick(random, &TARGETS);
        event.targets.insert(Target::new(target_type, id));
    }
    for key in KEYS {
        let values = [json!("7"), json!(7), json!(true), json!("a"), json!(["a"]), json!(null)];
        event.details.insert(key.into(), values[random.usize(..values.len())].clone());
    }
    event
}

/// One value or two, wanted or not.
fn some<T>(random: &mut Rng, one: impl Fn(&mut Rng) -> T) -> Condition<T> {
    let values: Vec<T> = (0..random.usize(1..=2)).map(|_| one(random)).collect();
    if random.u8(..3) == 0 { Condition::none_of(values) } else { Condition::any_of(values) }
}

/// A text of the pool, or what begins or ends like it.
fn text(random: &mut Rng, pool: &[&str]) -> TextPattern {
    let text = TextPattern::exact(pick(random, pool)).to_string();
    let pattern = match random.u8(..5) {
        0 => format!("{text}*"),
        1 => format!("*{text}"),
        _ => text,
    };
    pattern.parse::<TextPattern>().expect("what a pattern prints is one")
}

fn pick<T: Clone>(random: &mut Rng, pool: &[T]) -> T {
    pool[random.usize(..pool.len())].clone()
}
