//! Filters select what they say and nothing else, and a count agrees with the listing.

use serde_json::json;

use super::Harness;
use super::assertions::{append, assert_holds, assert_listing, assert_selects, count, found, page};
use super::fixtures::{at, end_of, event, event_at, id, started};
use super::model::Model;
use super::text::HOSTILE;
use crate::event::{AuditEvent, CompactText, EventType, Phase, Target};
use crate::query::{Condition, Filter, OutcomePattern, TextPattern};

/// A text that can be filtered by: its name, its place in an event, and its condition in a filter.
type TextField = (&'static str, fn(&mut AuditEvent, Option<&str>), fn(&mut Filter, Condition<TextPattern>));

macro_rules! text_fields {
    ($($name:ident at $($part:ident).+;)*) => {
        [$((
            stringify!($name),
            |event, text| event.$($part).+ = text.map(CompactText::from),
            |filter, condition| filter.$name = condition,
        )),*]
    };
}

const TEXT_FIELDS: [TextField; 11] = text_fields! {
    user_email at actor.user_email;
    route at resource.route;
    remote_addr at actor.remote_addr;
    method at resource.method;
    api_key_hash at actor.api_key_hash;
    acting_for at actor.acting_for;
    domain at classification.domain;
    action at classification.action;
    uri at request.request_uri;
    request_id at request.request_id;
    trace_id at request.trace_id;
};

/// For each text an event that has it in all the places that can be filtered by.
fn one_of_each(texts: &[&str]) -> Vec<AuditEvent> {
    let mut all = Vec::new();
    for text in texts {
        let mut event = event(all.len() as u64);
        for (_, set, _) in TEXT_FIELDS {
            set(&mut event, Some(text));
        }
        event.truncate_to_limits();
        all.push(event);
    }
    all
}

/// Each of the texts, as a filter, selects the one event that has it.
async fn assert_told_apart(harness: &Harness, texts: &[&str]) {
    let fresh = harness.fresh().await;
    let all = one_of_each(texts);
    append(&*fresh.store, &all).await;
    for event in &all {
        let text = event.resource.route.as_deref().expect("every one has a route");
        for (name, _, set) in TEXT_FIELDS {
            let mut filter = Filter::default();
            set(&mut filter, text.into());
            // Two hostile texts may have become one: U+0000 becomes U+FFFD.
            let expected: Vec<_> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
            assert_selects(&*fresh.store, filter, &expected, &format!("{name} is {text:?}")).await;
        }
    }
}

pub(super) async fn since_includes_its_instant(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = [event_at(1, -1), event_at(2, 0), event_at(3, 1)];
    append(&*fresh.store, &all).await;
    for (micros, first) in [(-1, 0), (0, 1), (1, 2), (2, 3)] {
        let filter = Filter { since: Some(at(micros)), ..Filter::default() };
        assert_selects(&*fresh.store, filter, &all[first..], &format!("since {micros} µs")).await;
    }
}

pub(super) async fn until_excludes_its_instant(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = [event_at(1, -1), event_at(2, 0), event_at(3, 1)];
    append(&*fresh.store, &all).await;
    for (micros, end) in [(-1, 0), (0, 1), (1, 2), (2, 3)] {
        let filter = Filter { until: Some(at(micros)), ..Filter::default() };
        assert_selects(&*fresh.store, filter, &all[..end], &format!("until {micros} µs")).await;
    }
}

pub(super) async fn a_span_of_nothing_is_empty(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &[event_at(1, -1), event_at(2, 0), event_at(3, 1)]).await;
    for (since, until) in [(0, 0), (1, 0), (1, -1), (5, 9), (-9, -5)] {
        let filter = Filter { since: Some(at(since)), until: Some(at(until)), ..Filter::default() };
        assert_selects(&*fresh.store, filter, &[], &format!("from {since} to {until} µs")).await;
    }
}

pub(super) async fn text_is_matched_exactly(harness: &Harness) {
    let texts = [
        "alice@example.org",
        "Alice@example.org",
        "ALICE@EXAMPLE.ORG",
        " alice@example.org",
        "alice@example.org ",
        "alice@example.or",
        "lice@example.org",
        "alice@example.org\n",
        "straße",
        "STRASSE",
        "strasse",
        "0",
        "00",
        "0.0",
    ];
    assert_told_apart(harness, &texts).await;
}

pub(super) async fn wildcards_are_plain_text(harness: &Harness) {
    let texts =
        ["%", "_", "*", "?", "a", "ab", "a%", "%b", "a_", "_b", "a*", "a?", "[ab]", "a|ab", "^a", ".*", "a.", r"a\%"];
    assert_told_apart(harness, &texts).await;
}

pub(super) async fn hostile_text_is_matched_exactly(harness: &Harness) {
    assert_told_apart(harness, HOSTILE).await;
}

pub(super) async fn missing_values_match_nothing(harness: &Harness) {
    let fresh = harness.fresh().await;
    let missing = AuditEvent { event_id: id(1), ..AuditEvent::new(EventType::UPLOAD) };
    append(&*fresh.store, &[missing]).await;
    for (name, _, set) in TEXT_FIELDS {
        for text in ["", "null", "NULL", "None", "%", "0"] {
            let mut filter = Filter::default();
            set(&mut filter, text.into());
            assert_selects(&*fresh.store, filter, &[], &format!("{name} is {text:?} and the event has none")).await;
        }
    }
    let filter = Filter { outcome: 0.into(), ..Filter::default() };
    assert_selects(&*fresh.store, filter, &[], "outcome is 0 and the event has none").await;
}

pub(super) async fn types_phases_and_outcomes_are_matched_exactly(harness: &Harness) {
    let fresh = harness.fresh().await;
    let types = ["upload", "auth", "admin_action", "a_b.c", "axb.c", "a.b", "a.b.c", "UPLOAD", "later"];
    let outcomes = [None, Some(0), Some(20), Some(200), Some(2000), Some(404), Some(u16::MAX)];
    let mut all = Vec::new();
    for name in types {
        for outcome in outcomes {
            for phase in [Phase::Completed, Phase::Started, Phase::Unknown] {
                let mut event = event(all.len() as u64);
                event.event_type = serde_json::from_value(json!(name)).expect("any type is read");
                event.outcome = outcome;
                event.phase = phase;
                all.push(event);
            }
        }
    }
    append(&*fresh.store, &all).await;
    let one = |filter: Filter| {
        let expected: Vec<_> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
        (filter, expected)
    };
    for event in &all {
        let by_type = Filter { event_type: event.event_type.clone().into(), ..Filter::default() };
        let by_outcome = Filter { outcome: event.outcome.unwrap_or(7).into(), ..Filter::default() };
        let by_phase = Filter { phase: event.phase.into(), ..Filter::default() };
        // Each value once: the first event of it stands for the others.
        for (filter, expected) in [one(by_type), one(by_outcome), one(by_phase)] {
            if expected.first().is_none_or(|first| first.event_id == event.event_id) {
                assert_selects(&*fresh.store, filter.clone(), &expected, &format!("{filter:?}")).await;
            }
        }
    }
}

pub(super) async fn patterns_match_as_they_say(harness: &Harness) {
    let fresh = harness.fresh().await;
    let texts = ["a", "ab", "abc", "b", "A", "AB", "", "a*", "a%", "a_", "a?", "[a]", r"a\b", "!a", "é", "éa", "a\n"];
    let mut all = one_of_each(&texts);
    let mut nothing = event(all.len() as u64);
    for (_, set, _) in TEXT_FIELDS {
        set(&mut nothing, None);
    }
    all.push(nothing);
    append(&*fresh.store, &all).await;
    for text in [
        "*",
        "a*",
        "*b",
        "*b*",
        "a*c",
        "a*b*",
        r"a\**",
        "a%*",
        "a_*",
        "a?*",
        "[a*",
        r"a\\*",
        r"\!*",
        "é*",
        "x*",
        "*\n",
        "A*",
        "a\u{10FFFF}*",
    ] {
        let pattern = text.parse::<TextPattern>().expect("each is a pattern");
        for (name, _, set) in TEXT_FIELDS {
            for condition in [Condition::from(pattern.clone()), Condition::none_of([pattern.clone()])] {
                let mut filter = Filter::default();
                set(&mut filter, condition.clone());
                let expected: Vec<_> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
                assert_selects(&*fresh.store, filter, &expected, &format!("{name} is like {condition:?}")).await;
            }
        }
    }
}

pub(super) async fn classes_of_statuses_match(harness: &Harness) {
    let fresh = harness.fresh().await;
    let outcomes =
        [None, Some(0), Some(99), Some(100), Some(199), Some(200), Some(404), Some(499), Some(500), Some(1404)];
    let mut all = Vec::new();
    for outcome in outcomes {
        all.push(AuditEvent { outcome, ..event(all.len() as u64) });
    }
    append(&*fresh.store, &all).await;
    let of = |statuses: &[OutcomePattern], unwanted: &[OutcomePattern]| {
        let mut condition = Condition::any_of(statuses.iter().copied());
        if statuses.is_empty() {
            condition = Condition::none_of(unwanted.iter().copied());
        }
        condition
    };
    for condition in [
        of(&[OutcomePattern::Class(4)], &[]),
        of(&[OutcomePattern::Class(1)], &[]),
        of(&[OutcomePattern::Missing], &[]),
        of(&[OutcomePattern::Class(4), OutcomePattern::Missing], &[]),
        of(&[OutcomePattern::Exact(200), OutcomePattern::Exact(500)], &[]),
        of(&[], &[OutcomePattern::Class(4)]),
        of(&[], &[OutcomePattern::Missing]),
        of(&[], &[OutcomePattern::Exact(200), OutcomePattern::Class(1)]),
    ] {
        let filter = Filter { outcome: condition.clone(), ..Filter::default() };
        let expected: Vec<_> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
        assert_selects(&*fresh.store, filter, &expected, &format!("the outcome is {condition:?}")).await;
    }
}

pub(super) async fn filters_agree_with_the_model(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut model = Model::new(41, 400);
    for batch in model.events().chunks(37) {
        append(&*fresh.store, batch).await;
    }
    for _ in 0..harness.rounds(300) {
        let filter = model.some_filter();
        let expected = model.found(&filter);
        assert_listing(&found(&*fresh.store, filter.clone()).await, &expected, &format!("{filter:?}"));
        assert_eq!(count(&*fresh.store, &filter).await, expected.len() as u64, "the count of {filter:?}");
        let query = model.some_query();
        assert_listing(&page(&*fresh.store, &query).await, &model.page(&query), &format!("{query:?}"));
    }
}

pub(super) async fn targets_are_matched_each(harness: &Harness) {
    let fresh = harness.fresh().await;
    let lists: [&[(&str, &str)]; 9] = [
        &[],
        &[("order", "7")],
        &[("order", "70")],
        &[("orders", "7")],
        &[("order", "8"), ("order", "7")],
        &[("user", "7"), ("order", "8"), ("item", "a/b")],
        &[("item", "a\\b\"{},\u{fffd}NULL"), ("item", "NULL")],
        &[("user", "*"), ("user", "é%_")],
        &[("user", "x"), ("user", "y"), ("user", "z")],
    ];
    let mut all = Vec::new();
    for list in lists {
        let mut event = event(all.len() as u64);
        event.targets = list.iter().map(|(target_type, id)| Target::new(*target_type, id)).collect();
        all.push(event);
    }
    append(&*fresh.store, &all).await;
    let mut filters = Vec::new();
    let targets = lists.concat();
    for (target_type, id) in &targets {
        let target = TextPattern::from(Target::new(*target_type, id));
        filters.push(Filter { target: target.clone().into(), ..Filter::default() });
        filters.push(Filter { target: Condition::none_of([target]), ..Filter::default() });
    }
    let pattern = |text: &str| text.parse::<TextPattern>().expect("each is a pattern");
    for text in ["order", "orders", "user", "item", "none", "o*", "*r", "order*", "*"] {
        filters.push(Filter { target_type: pattern(text).into(), ..Filter::default() });
        filters.push(Filter { target_type: Condition::none_of([pattern(text)]), ..Filter::default() });
    }
    for text in ["order/*", "*/7", "*/*", "item/a*", "user/\\*"] {
        filters.push(Filter { target: pattern(text).into(), ..Filter::default() });
        filters.push(Filter { target: Condition::none_of([pattern(text)]), ..Filter::default() });
    }
    filters.push(Filter::new().target("order/8").target_type("user"));
    filters.push(Filter::new().target(Condition::any_of(["order/70", "user/x"].map(TextPattern::exact))));
    for filter in filters {
        let expected: Vec<_> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
        assert_selects(&*fresh.store, filter.clone(), &expected, &format!("{filter:?}")).await;
    }
}

pub(super) async fn details_are_matched_by_their_text(harness: &Harness) {
    let fresh = harness.fresh().await;
    let values = [
        json!("7"),
        json!(7),
        json!(-7),
        json!(7.5),
        json!(true),
        json!("true"),
        json!(null),
        json!([7]),
        json!({"7": 7}),
        json!(""),
        json!("é\"\\'%*"),
        json!(u64::MAX),
        json!(i64::MIN),
    ];
    let keys = ["k", "K", "a.b", "a \"b'\\", "é"];
    let mut all = vec![event(0)];
    for value in &values {
        for key in keys {
            let mut event = event(all.len() as u64);
            event.details.insert(key.into(), value.clone());
            all.push(event);
        }
    }
    append(&*fresh.store, &all).await;
    for key in keys.into_iter().chain(["none", "number"]) {
        for text in
            ["7", "-7", "7.5", "true", "null", "[7]", "", "é\"\\'%*", "18446744073709551615", "-9223372036854775808"]
        {
            for condition in [Condition::from(text), Condition::none_of([TextPattern::exact(text)])] {
                let filter = Filter::new().detail(key, condition);
                let expected: Vec<_> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
                assert_selects(&*fresh.store, filter.clone(), &expected, &format!("{filter:?}")).await;
            }
        }
    }
}

pub(super) async fn a_request_is_shown_once(harness: &Harness) {
    let fresh = harness.fresh().await;
    let begun: Vec<_> = (0..40).map(started).collect();
    append(&*fresh.store, &begun).await;
    let mut shown: Vec<_> = begun.iter().skip(20).cloned().collect();
    for (number, started) in (100..).zip(&begun[..20]) {
        let phase = if number % 2 == 0 { Phase::Completed } else { Phase::Unknown };
        shown.push(end_of(started, number, phase));
    }
    append(&*fresh.store, &shown[20..]).await;
    // In one batch, and one that no other event names.
    let both = [started(200), end_of(&started(200), 201, Phase::Completed), event(202)];
    append(&*fresh.store, &both).await;
    shown.extend_from_slice(&both[1..]);
    let folded = Filter::new().folded(true);
    assert_selects(&*fresh.store, folded.clone(), &shown, "folded").await;
    let open = folded.clone().phase(Phase::Started);
    assert_selects(&*fresh.store, open, &begun[20..], "started, folded").await;
    // A repeated start is no new one.
    append(&*fresh.store, &begun[..3]).await;
    assert_selects(&*fresh.store, folded, &shown, "folded, after a repeat").await;
    let all: Vec<_> = begun.iter().chain(&shown[20..]).chain(&both[..1]).cloned().collect();
    assert_holds(&*fresh.store, &all, "unfolded").await;
}
