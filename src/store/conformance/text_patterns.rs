//! Patterns of any shape select what the plain model says, in every field, alone and mixed.

use fastrand::Rng;
use serde_json::json;

use super::Harness;
use super::assertions::{append, assert_listing, count, newest_first, page};
use super::fixtures::{at, event};
use super::scale::maintain_all;
use crate::event::{AuditEvent, Phase};
use crate::query::{Cursor, Filter, PageQuery};

/// The alphabets of the texts, a row for each text, so that a pattern matches some of many: characters with a special
/// meaning in databases, and letters that differ only in case or accent.
const ALPHABETS: [&[char]; 4] =
    [&['a', 'A', '%', '_'], &['a', '[', ']', '?'], &['a', '\\', '*', '!'], &['e', 'é', 'É', '\u{10FFFF}']];
/// The alphabet of event types. Filters reject special characters in a type.
const OF_TYPES: &[char] = &['a', 'b', '.', '_'];

/// Enough that a store keeps some of them in its other places, too. A store that asks for fewer events has none.
const COMPACTED: usize = 2_400;
const IN_JOURNAL: usize = 200;
const FILTERS: usize = 200;
/// Of each filter's events all are counted, and as many looked at, wherever they begin.
const PAGE: usize = 100;

pub(super) async fn patterns_agree_with_the_model(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut random = Rng::with_seed(47);
    let kept = COMPACTED.min(harness.total());
    let all: Vec<_> = (0..(kept + IN_JOURNAL) as u64).map(|number| some_event(&mut random, number)).collect();
    let (compacted, recent) = all.split_at(kept);
    for batch in compacted.chunks(600) {
        append(&*fresh.store, batch).await;
    }
    maintain_all(&*fresh.store, compacted.len()).await;
    append(&*fresh.store, recent).await;
    let mut telling = 0;
    for _ in 0..FILTERS {
        let filter = some_filter(&mut random);
        let expected: Vec<_> = newest_first(all.iter().filter(|event| filter.matches(event)).cloned());
        telling += usize::from(!expected.is_empty() && expected.len() < all.len());
        assert_eq!(count(&*fresh.store, &filter).await, expected.len() as u64, "the count of {filter:?}");
        let after = Cursor::of(&all[random.usize(..all.len())]);
        let expected: Vec<_> = expected.into_iter().filter(|event| Cursor::of(event) < after).take(PAGE).collect();
        let query = PageQuery { after: Some(after), ..PageQuery::new(filter, PAGE) };
        assert_listing(&page(&*fresh.store, &query).await, &expected, &format!("{query:?}"));
    }
    assert!(telling > FILTERS / 2, "only {telling} filters select some of the events");
}

fn some_event(random: &mut Rng, number: u64) -> AuditEvent {
    let mut event = event(number);
    let length = random.usize(1..=3);
    event.event_type = serde_json::from_value(json!(word(random, OF_TYPES, length))).expect("any type is read");
    for text in [
        &mut event.actor.user_email,
        &mut event.resource.route,
        &mut event.actor.remote_addr,
        &mut event.request.request_uri,
        &mut event.classification.domain,
    ] {
        let (alphabet, length) = (pick(random, &ALPHABETS), random.usize(..=4));
        *text = (random.u8(..8) > 0).then(|| word(random, alphabet, length).into());
    }
    event.outcome = pick(random, &[None, Some(200), Some(403), Some(404)]);
    event.phase = pick(random, &[Phase::Completed, Phase::Started, Phase::Unknown]);
    event
}

/// One field or two, each with as many as three values, wanted or not.
fn some_filter(random: &mut Rng) -> Filter {
    let mut filter = Filter::default();
    for _ in 0..random.usize(1..=2) {
        let name =
            pick(random, &["event_type", "user_email", "route", "remote_addr", "user_email", "uri", "domain", "other"]);
        let alphabet = pick(random, &ALPHABETS);
        for _ in 0..random.usize(1..=3) {
            let (name, value) = match name {
                "event_type" => (name, pattern(random, OF_TYPES) + "*"),
                "other" if random.bool() => ("outcome", pick(random, &["200", "404", "2xx", "4xx", "none"]).to_owned()),
                "other" => ("phase", pick(random, &["completed", "started", "unknown"]).to_owned()),
                text => (text, pattern(random, alphabet)),
            };
            let negation = if random.u8(..3) == 0 { "!" } else { "" };
            filter.set(name, &format!("{negation}{value}"), at(0)).expect("each is a condition");
        }
    }
    filter
}

fn word(random: &mut Rng, alphabet: &[char], length: usize) -> String {
    (0..length).map(|_| pick(random, alphabet)).collect()
}

/// A pattern in its textual form.
fn pattern(random: &mut Rng, alphabet: &[char]) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(..=5) {
        let (is_star, plain) = (random.u8(..5) < 2, pick(random, alphabet));
        if !is_star && (matches!(plain, '*' | '\\') || (plain == '!' && text.is_empty())) {
            text.push('\\');
        }
        text.push(if is_star { '*' } else { plain });
    }
    text
}

fn pick<T: Copy>(random: &mut Rng, pool: &[T]) -> T {
    pool[random.usize(..pool.len())]
}
