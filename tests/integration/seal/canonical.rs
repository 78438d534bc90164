//! The canonical bytes of an event survive every database that keeps a seal.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Number, Value};
use tower_audit::event::Target;
use tower_audit::seal::{Leaf, Seed};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

use super::support::{Database, SealedLog};

const EVENTS: usize = 400;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,20}",
        "\\PC{0,12}",
        Just("\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{fffd}\u{10ffff}".to_owned()),
        Just("e\u{301} é \"\\/\u{8}\u{c}\n\r\t".to_owned()),
    ]
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        // Around the last integers that a double holds, one by one.
        (-3_i64..4).prop_map(|off| Number::from(9_007_199_254_740_992 + off)),
        (-3_i64..4).prop_map(|off| Number::from(-9_007_199_254_740_992 + off)),
        any::<f64>().prop_filter_map("JSON has no infinity", Number::from_f64),
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(1.0),
            Just(1e19),
            Just(1e21),
            Just(5e-324),
            Just(1.797_693_134_862_315_7e308),
            Just(1e-7)
        ]
        .prop_filter_map("finite", Number::from_f64),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        numbers().prop_map(Value::Number),
        texts().prop_map(Value::String)
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            objects(inner).prop_map(Value::Object)
        ]
    })
}

fn objects(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((texts(), values), 0..5).prop_map(|members| members.into_iter().collect())
}

fn events() -> impl Strategy<Value = AuditEvent> {
    let names =
        (prop::option::of(texts()), prop::option::of(texts()), prop::option::of(texts()), prop::option::of(texts()));
    let times =
        prop_oneof![0_i64..2_000_000_000_000_000, Just(Timestamp::MIN.as_micros()), Just(Timestamp::MAX.as_micros())];
    let targets = prop::collection::vec(("[a-z]{1,8}", texts(), prop::option::of(texts())), 0..3);
    (names, times, prop::option::of(any::<u16>()), prop::option::of(any::<u64>()), targets, objects(values())).prop_map(
        |((user, route, agent, uri), at, outcome, duration, targets, details)| {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.created_at = Timestamp::from_micros(at).expect("in range");
            event.actor = user.map(Actor::user).unwrap_or_default();
            event.resource.route = route.map(Into::into);
            event.request.user_agent = agent.map(Into::into);
            event.request.request_uri = uri.map(Into::into);
            event.request.duration_us = duration;
            event.outcome = outcome;
            for (kind, id, label) in targets {
                let mut target = Target::new(kind, id);
                target.label = label.map(Into::into);
                event.targets.insert(target);
            }
            event.details.extend(details);
            event.truncate_to_limits();
            event
        },
    )
}

#[tokio::test]
async fn a_leaf_is_the_same_before_and_after_each_database() {
    let mut runner = TestRunner::default();
    let events: Vec<AuditEvent> =
        (0..EVENTS).map(|_| events().new_tree(&mut runner).expect("an event").current()).collect();
    let seed = Seed::from_bytes([7; 32]);
    for database in Database::ALL {
        let log = SealedLog::on(*database);
        let store = log.open().await;
        for batch in events.chunks(50) {
            store.append(batch).await.expect("every event within the limits is accepted");
        }
        // In the journal, and in segments.
        for _ in 0..2 {
            let sealing = store.parts().sealing.expect("it can be sealed");
            for event in &events {
                let found = sealing.events(&[event.event_id]).await.expect("it can be read");
                let [read] = &found[..] else { panic!("{database:?}: {} events of one id", found.len()) };
                assert_eq!(
                    Leaf::of(read, &seed),
                    Leaf::of(event, &seed),
                    "{database:?}: {event:#?}\ncame back as {read:#?}"
                );
            }
            if *database == Database::Sqlite {
                log.compact(&*store).await;
            }
        }
        store.close().await.expect("the store closes");
    }
}

/// Integers beyond the doubles: an edit of the last digit is another leaf.
#[test]
fn the_last_digit_of_a_large_integer_counts() {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    let mut leaf = |number: u64| {
        event.details.insert("number".into(), number.into());
        Leaf::of(&event, &Seed::from_bytes([7; 32]))
    };
    for number in [9_007_199_254_740_992, 9_007_199_254_740_994, u64::MAX - 1] {
        assert_ne!(leaf(number), leaf(number + 1), "{number}");
    }
}
