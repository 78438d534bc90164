//! What a store would answer if it were a list in memory, and questions to compare the answers by.

use fastrand::Rng;

use super::listing::newest_first;
use super::sample::{at, event};
use crate::event::{AuditEvent, EventType, Phase};
use crate::query::{Cursor, Filter, Query};

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
        let text = |random: &mut Rng, pool: &[&str]| pick(random, pool).map(|text| (*text).to_owned());
        if random.u8(..3) == 0 {
            filter.event_type = pick(random, &TYPES).map(|name| of_type(name));
        }
        if random.u8(..3) == 0 {
            filter.user_email = text(random, &USERS);
        }
        if random.u8(..3) == 0 {
            filter.route = text(random, &ROUTES);
        }
        if random.u8(..3) == 0 {
            filter.remote_addr = text(random, &ADDRESSES);
        }
        if random.u8(..4) == 0 {
            filter.outcome = pick(random, &OUTCOMES).copied();
        }
        if random.u8(..4) == 0 {
            filter.phase = pick(random, &PHASES).copied();
        }
        if random.u8(..3) == 0 {
            filter.since = Some(at(random.i64(-1..SPAN_MICROS)));
        }
        if random.u8(..3) == 0 {
            filter.until = Some(at(random.i64(0..=SPAN_MICROS + 1)));
        }
        filter
    }

    pub(super) fn some_query(&mut self) -> Query {
        let filter = self.some_filter();
        let random = &mut self.random;
        let after = if random.bool() { pick(random, &self.newest_first).map(Cursor::of) } else { None };
        let skip = if random.bool() { random.u64(..20) } else { 0 };
        Query { after, skip, ..Query::new(filter, random.usize(..30)) }
    }

    /// The events that pass the filter, newest first.
    pub(super) fn found(&self, filter: &Filter) -> Vec<AuditEvent> {
        self.newest_first.iter().filter(|event| filter.matches(event)).cloned().collect()
    }

    /// The page that the query asks for.
    pub(super) fn page(&self, query: &Query) -> Vec<AuditEvent> {
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
        if random.u8(..5) == 0 { None } else { pick(random, pool).map(|text| (*text).to_owned()) }
    };
    event.created_at = at(random.i64(0..SPAN_MICROS));
    event.event_type = pick(random, &TYPES).map(|name| of_type(name)).unwrap_or(EventType::UPLOAD);
    event.actor.user_email = text(random, &USERS);
    event.resource.route = text(random, &ROUTES);
    event.actor.remote_addr = text(random, &ADDRESSES);
    event.outcome = if random.u8(..5) == 0 { None } else { pick(random, &OUTCOMES).copied() };
    event.phase = pick(random, &PHASES).copied().unwrap_or_default();
    event
}

fn of_type(name: &str) -> EventType {
    EventType::new(name).expect("the types of the model are types")
}

fn pick<'a, T>(random: &mut Rng, pool: &'a [T]) -> Option<&'a T> {
    if pool.is_empty() { None } else { pool.get(random.usize(..pool.len())) }
}
