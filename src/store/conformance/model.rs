//! A model of a store: a list in memory, and random queries to compare the answers.

use fastrand::Rng;

use super::assertions::newest_first;
use super::fixtures::{at, event};
use crate::event::{AuditEvent, EventType, Phase};
use crate::query::{Condition, Cursor, Filter, OutcomePattern, PageQuery, TextPattern};

const USERS: [&str; 6] = ["alice", "Alice", "bob", "", "b%", "b_b"];
const ROUTES: [&str; 5] = ["/scans", "/Scans", "/users/{id}", "", "/scans/"];
const ADDRESSES: [&str; 4] = ["192.0.2.7", "192.0.2.70", "::1", ""];
const OUTCOMES: [u16; 5] = [200, 201, 404, 500, 0];
const PHASES: [Phase; 3] = [Phase::Completed, Phase::Started, Phase::Unknown];
const TYPES: [&str; 4] = ["upload", "auth", "a_b.c", "axb.c"];

/// The random events lie within as many microseconds, so that many share one.
const SPAN_MICROS: i64 = 60;

pub(super) struct Model {
    random: Rng,
    newest_first: Vec<AuditEvent>,
}

impl Model {
    /// Events that share few values, so that any question has an answer of some length; for a seed always the same.
    pub(super) fn new(seed: u64, count: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let events = (0..count).map(|number| random_event(&mut random, number)).collect::<Vec<_>>();
        Self { random, newest_first: newest_first(events) }
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
        self.newest_first.iter().filter(|event| filter.matches(event)).cloned().collect()
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
    TextPattern::parse(&pattern).expect("what a pattern prints is one")
}

fn pick<T: Copy>(random: &mut Rng, pool: &[T]) -> T {
    pool[random.usize(..pool.len())]
}
