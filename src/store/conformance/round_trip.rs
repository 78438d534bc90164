//! Events come back as they were given.

use serde_json::{Value, json};

use super::Harness;
use super::assertions::{append, assert_holds, event_of, newest_first, reader};
use super::fixtures::{at, event, events, full_event, id};
use crate::event::{AuditEvent, EventId, EventType, Phase, Timestamp};

pub(super) async fn an_event_comes_back_as_it_was(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut bare = AuditEvent::new(EventType::AUTH);
    bare.event_id = id(2);
    bare.created_at = at(2);
    let all = [full_event(1), bare, event(3)];
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "a full and a bare event").await;
}

pub(super) async fn every_phase_and_outcome_comes_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let outcomes = [None, Some(0), Some(100), Some(200), Some(404), Some(599), Some(600), Some(999), Some(u16::MAX)];
    let phases = [Phase::Completed, Phase::Started, Phase::Unknown];
    let types = ["upload", "admin_action", "oversize_query", "auth", "audit.purge", "a.b.c", "LATER type"];
    let mut all = Vec::new();
    for outcome in outcomes {
        for phase in phases {
            for name in types {
                let mut event = event(all.len() as u64);
                event.outcome = outcome;
                event.phase = phase;
                event.event_type = serde_json::from_value(json!(name)).expect("any type is read");
                all.push(event);
            }
        }
    }
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "phases, outcomes and types").await;
}

pub(super) async fn times_come_back_to_the_microsecond(harness: &Harness) {
    let fresh = harness.fresh().await;
    let micros = [
        Timestamp::MIN.as_micros(),
        Timestamp::MIN.as_micros() + 1,
        -1_000_001,
        -1,
        0,
        1,
        at(0).as_micros(),
        at(1).as_micros(),
        at(999).as_micros(),
        Timestamp::MAX.as_micros() - 1,
        Timestamp::MAX.as_micros(),
    ];
    let all: Vec<_> = (0..)
        .zip(micros)
        .map(|(number, micros)| AuditEvent {
            created_at: Timestamp::from_micros(micros).expect("these are in range"),
            ..event(number)
        })
        .collect();
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "times").await;
}

pub(super) async fn ids_of_any_bits_are_keys(harness: &Harness) {
    let fresh = harness.fresh().await;
    let bits = [0, 1, u128::MAX, u128::MAX - 1, 1 << 127, (1 << 127) - 1, 1 << 64, (1 << 64) - 1, 1 << 63];
    // All at the same time, so that only the id orders them: no sign, no half of it alone.
    let all = bits.map(|bits| AuditEvent { event_id: EventId::from_u128(bits), ..event(1) });
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "ids").await;
    for event in &all {
        assert_eq!(event_of(&*fresh.store, event.event_id).await.as_ref(), Some(event));
    }
}

pub(super) async fn unknown_fields_are_kept(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut event = full_event(1);
    for (place, extra) in [
        ("event", &mut event.extra),
        ("actor", &mut event.actor.extra),
        ("resource", &mut event.resource.extra),
        ("request", &mut event.request.extra),
        ("classification", &mut event.classification.extra),
    ] {
        extra.insert(format!("later_{place}"), json!({"place": place, "list": [1, 2.5, null]}));
        extra.insert("Ünknown".into(), json!("kept"));
        // Names of the format, here or in another object.
        for name in ["event_id", "created_at", "actor", "user_email", "route", "request_id", "domain"] {
            extra.insert(name.into(), json!("an app's own"));
        }
    }
    event.truncate_to_limits();
    let mut alone = AuditEvent { event_id: id(2), ..AuditEvent::new(EventType::UPLOAD) };
    alone.request.extra.insert("tls".into(), json!({"version": "1.3"}));
    alone.classification.extra.insert("severity".into(), json!(3));
    let all = [event, alone];
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "fields of a later version").await;
}

pub(super) async fn deep_details_come_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut deep = json!("bottom");
    for level in 2..crate::event::limits::MAX_DETAIL_DEPTH {
        deep = if level % 2 == 0 { json!([level, deep]) } else { json!({"level": level, "down": deep}) };
    }
    let mut event = event(1);
    event.details.insert("deep".into(), deep);
    event.details.insert("wide".into(), Value::Array((0..500).map(Value::from).collect()));
    event.details.insert("empty_list".into(), json!([]));
    event.details.insert("empty_object".into(), json!({}));
    event.details.insert("dotted.key".into(), json!({"$set": {"a.b": 1}, "": 2, "a": {"b": 3}}));
    let given = event.clone();
    event.truncate_to_limits();
    assert_eq!(event, given, "the sample is within the limits");
    append(&*fresh.store, &[event]).await;
    assert_holds(&*fresh.store, &[given], "deep details").await;
}

pub(super) async fn each_is_found_by_its_id(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all = events(0..50);
    all.push(full_event(50));
    append(&*fresh.store, &all).await;
    for event in newest_first(all) {
        let found = event_of(&*fresh.store, event.event_id).await;
        assert_eq!(found.as_ref(), Some(&event), "the event with id {}", event.event_id);
    }
}

pub(super) async fn an_event_is_found_for_its_user_alone(harness: &Harness) {
    let fresh = harness.fresh().await;
    let names = [Some("alice"), Some("Alice"), Some("ali"), Some("*"), Some("!alice"), Some(r"a\b"), Some(""), None];
    let all: Vec<_> = (0..)
        .zip(names)
        .map(|(number, name)| {
            let mut event = event(number);
            event.actor.user_email = name.map(Into::into);
            event
        })
        .collect();
    append(&*fresh.store, &all).await;
    for event in &all {
        for name in names.into_iter().flatten() {
            let found = match reader(&*fresh.store).get_of(event.event_id, name).await {
                Ok(found) => found,
                Err(error) => panic!("looking for an event of {name:?} failed: {error}"),
            };
            let is_theirs = event.actor.user_email.as_deref() == Some(name);
            assert_eq!(found.as_ref(), is_theirs.then_some(event), "of {name:?}");
        }
    }
}

pub(super) async fn what_is_missing_is_not_found(harness: &Harness) {
    let fresh = harness.fresh().await;
    assert_eq!(event_of(&*fresh.store, id(1)).await, None, "in an empty store");
    append(&*fresh.store, &[event(1), event(3)]).await;
    for missing in [id(0), id(2), id(4), EventId::from_u128(0), EventId::from_u128(u128::MAX)] {
        assert_eq!(event_of(&*fresh.store, missing).await, None, "{missing} was never appended");
    }
}
