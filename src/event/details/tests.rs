use std::collections::BTreeSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::*;
use crate::event::{Actor, AuditEvent, Classification, EventType, RequestInfo, Resource};

/// JSON in which no object has a name twice.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, _)) = entries.next_entry::<String, Self>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("{name:?} is there twice")));
            }
        }
        Ok(self)
    }
}

/// The objects of an event that have names of their own, each with what else is in it.
fn objects(event: &mut AuditEvent) -> [(&mut Details, &'static [&'static str]); 5] {
    [
        (&mut event.extra, AuditEvent::NAMES),
        (&mut event.actor.extra, Actor::NAMES),
        (&mut event.resource.extra, Resource::NAMES),
        (&mut event.request.extra, RequestInfo::NAMES),
        (&mut event.classification.extra, Classification::NAMES),
    ]
}

fn read_back(event: &AuditEvent) -> AuditEvent {
    let json = serde_json::to_string(event).unwrap();
    serde_json::from_str::<Unambiguous>(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    serde_json::from_str(&json).unwrap()
}

#[test]
fn a_name_of_the_format_is_renamed_in_every_object() {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user("alice");
    for (extra, names) in objects(&mut event) {
        for name in names {
            extra.insert((*name).to_owned(), json!("bob"));
        }
    }
    let unfit = read_back(&event);
    event.truncate_to_limits();
    assert_eq!(event.actor.user_email.as_deref(), Some("alice"));
    assert_eq!(event.actor.extra["_user_email"], "bob");
    for (extra, names) in objects(&mut event) {
        assert_eq!(extra.len(), names.len());
        assert!(names.iter().all(|name| !extra.contains_key(*name) && extra[&format!("_{name}")] == "bob"));
    }
    assert_eq!(read_back(&event), event);
    // Details that were never truncated are written unambiguously as well.
    assert_eq!(unfit, event);
}

#[test]
fn no_value_is_lost_when_names_become_the_same() {
    let long = "x".repeat(1000);
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor.extra = json!({"user_email": 1, "_user_email": 2, "_2_user_email": 3}).as_object().unwrap().clone();
    event.details = json!({
        "a\0": 1, "a\u{fffd}": 2, "$serde_json::private::a": 3, "\u{fffd}serde_json::private::a": 4,
        long.clone(): 5, truncate(&long, MAX_DETAIL_KEY_BYTES): 6,
        "inside": {"a\0": 1, "a\u{fffd}": 2},
    })
    .as_object()
    .unwrap()
    .clone();
    event.truncate_to_limits();
    let values = |object: &Details| {
        let mut values: Vec<_> = object.values().filter_map(Value::as_i64).collect();
        values.sort_unstable();
        values
    };
    assert_eq!(values(&event.actor.extra), [1, 2, 3]);
    assert_eq!(event.actor.extra["_3_user_email"], 1);
    assert_eq!(values(&event.details), [1, 2, 3, 4, 5, 6]);
    assert_eq!((&event.details["a\u{fffd}"], &event.details["_a\u{fffd}"]), (&json!(2), &json!(1)));
    assert_eq!(values(event.details["inside"].as_object().unwrap()), [1, 2]);
    assert!(event.details.keys().all(|name| name.len() <= MAX_DETAIL_KEY_BYTES));
    assert_eq!(read_back(&event), event);
}

#[test]
fn of_a_further_name_that_comes_twice_the_last_value_counts() {
    let text = r#"{"event_id":"0199a700000070008000000000000001","event_type":"upload",
        "created_at":"2026-05-25T12:00:00Z","later":1,"later":2,"actor":{"user_email":"alice","later":1,"later":2},
        "outcome":null,"details":{"b":1,"b":2}}"#;
    let event: AuditEvent = serde_json::from_str(text).unwrap();
    assert_eq!((&event.extra["later"], &event.actor.extra["later"]), (&json!(2), &json!(2)));
    assert_eq!(Value::from(event.details.clone()), json!({"b": 2}));
    assert_eq!(read_back(&event), event);
}

/// Names that are fine, too long, reserved, or would become another one.
fn name() -> impl Strategy<Value = String> {
    let of_format = [AuditEvent::NAMES, Actor::NAMES, Resource::NAMES, RequestInfo::NAMES, Classification::NAMES];
    prop_oneof![
        proptest::sample::select(of_format.concat()).prop_map(str::to_owned),
        proptest::sample::select(of_format.concat()).prop_map(|name| format!("_{name}")),
        proptest::sample::select(of_format.concat()).prop_map(|name| format!("_2_{name}")),
        "[a\u{fffd}\0]{0,3}|[\u{fffd}$]serde_json::private::[aN]",
        (250_usize..260).prop_map(|len| "\0".repeat(len)),
        "\\PC{0,5}",
    ]
}

fn object() -> impl Strategy<Value = Details> {
    let value = prop_oneof![any::<i64>().prop_map(Value::from), "\\PC{0,9}".prop_map(Value::from)];
    let inner = proptest::collection::vec((name(), value.clone()), 0..4)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()));
    proptest::collection::vec((name(), prop_oneof![value, inner]), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #[test]
    fn any_event_made_to_fit_comes_back(maps in proptest::collection::vec(object(), 6), user in "\\PC{0,9}") {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.actor = Actor::user(user);
        event.details = maps[5].clone();
        for ((extra, _), map) in objects(&mut event).into_iter().zip(&maps) {
            extra.clone_from(map);
        }
        let given = maps.iter().map(Details::len);
        event.truncate_to_limits();
        let details = event.details.len();
        let kept = objects(&mut event).map(|(extra, _)| extra.len()).into_iter().chain([details]);
        prop_assert!(given.eq(kept), "no entry is lost");
        prop_assert_eq!(&read_back(&event), &event);
        let once = event.clone();
        event.truncate_to_limits();
        prop_assert_eq!(event, once);
    }
}
