use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Actor, AuditEvent, EventId, EventType, Target};
use crate::seal::SealError;

const SEED: Seed = Seed::from_bytes([7; 32]);

/// An event with a value in every field of the format.
fn full() -> AuditEvent {
    serde_json::from_value(json!({
        "event_id": "0199a7b0000070008000000000000001", "event_type": "admin_action",
        "created_at": "2026-05-25T12:00:00.123456Z", "phase": "completed",
        "actor": {"user_email": "alice@example.org", "api_key_hash": "ab", "remote_addr": "192.0.2.7",
                  "acting_for": "bob@example.org", "later": 1},
        "resource": {"route": "/users/{id}", "method": "DELETE", "later": 2},
        "targets": [{"type": "user", "id": "7", "label": "Bob", "later": 3}, {"type": "user", "id": "8"}],
        "targets_omitted": 4, "outcome": 200,
        "details": {"reason": "left", "n": 9_007_199_254_740_993_u64, "list": [1, {"b": 1.5, "a": null}]},
        "request": {"request_id": "r-17", "started_event_id": "0199a7b0000070008000000000000000",
                    "request_uri": "/users/7", "user_agent": "curl/8", "forwarded": "for=x", "trace_id": "t",
                    "duration_us": 412, "later": 5},
        "classification": {"domain": "security.user", "action": "delete", "error": "not-found", "later": 6},
        "later": {"x": 7},
    }))
    .unwrap()
}

fn values(event: &AuditEvent) -> Vec<(String, String)> {
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    cells(event).map(|cell| (text(&|out| cell.write_name(out)), text(&|out| cell.write_value(event, out)))).collect()
}

/// The format is fixed: these cells, these bytes, this digest. A change here is another version of the leaf.
#[test]
fn the_leaf_is_that_of_version_1() {
    let expected = [
        (
            "facts",
            r#"{"classification":{"action":"delete","domain":"security.user","error":"not-found"},"created_at":"2026-05-25T12:00:00.123456Z","duration_us":412,"event_type":"admin_action","outcome":200,"phase":"completed","started_event_id":"0199a7b0000070008000000000000000"}"#,
        ),
        ("resource", r#"{"method":"DELETE","route":"/users/{id}"}"#),
        ("actor.user_email", r#""alice@example.org""#),
        ("actor.acting_for", r#""bob@example.org""#),
        ("actor.api_key_hash", r#""ab""#),
        ("origin", r#"{"forwarded":"for=x","remote_addr":"192.0.2.7","user_agent":"curl/8"}"#),
        ("request_uri", r#""/users/7""#),
        ("ids", r#"{"request_id":"r-17","trace_id":"t"}"#),
        (
            "targets",
            r#"{"list":[{"extra":{"later":3},"id":"7","label":"Bob","type":"user"},{"id":"8","type":"user"}],"omitted":4}"#,
        ),
        (
            "other",
            r#"{"actor":{"later":1},"classification":{"later":6},"event":{"later":{"x":7}},"request":{"later":5},"resource":{"later":2}}"#,
        ),
        ("details/list", r#"[1,{"a":null,"b":1.5}]"#),
        ("details/n", "9007199254740993"),
        ("details/reason", r#""left""#),
    ];
    assert_eq!(values(&full()), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (_, value) in values(&full()) {
        let mut canonical = Vec::new();
        crate::seal::write_canonical_json(&serde_json::from_str(&value).unwrap(), &mut canonical);
        assert_eq!(String::from_utf8(canonical).unwrap(), value, "it is canonical");
    }
    let leaf = Leaf::of(&full(), &SEED);
    assert_eq!(leaf.hash().to_string(), "nchx2jyd4r/FHqQmxOB9DjPmfkubAU4+zNelsuZQ+Uk=");
    assert_eq!(Leaf::from_entry(&leaf.entry()), Ok(leaf));
}

#[test]
fn an_empty_event_has_the_ten_cells_and_nulls() {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.created_at = "2026-05-25T12:00:00Z".parse().unwrap();
    let values = values(&event);
    assert_eq!(values.len(), 10);
    assert_eq!(
        values[0].1,
        r#"{"created_at":"2026-05-25T12:00:00.000000Z","event_type":"upload","phase":"completed"}"#
    );
    assert!(values[1..].iter().all(|(_, value)| value == "null"), "{values:?}");
}

/// The steps of the documentation, written out once more.
#[test]
fn the_leaf_follows_the_documentation() {
    use sha2::{Digest, Sha256};
    let event = full();
    let values = values(&event);
    let mut fields = b"tower-audit/cells/v1\n".to_vec();
    fields.extend((values.len() as u16).to_be_bytes());
    for (number, (name, value)) in values.iter().enumerate() {
        let mut salt = b"tower-audit/salt/v1\n".to_vec();
        salt.extend(SEED.as_bytes());
        salt.extend((number as u16 / 2).to_be_bytes());
        let mut cell = Sha256::digest(&salt)[16 * (number % 2)..][..16].to_vec();
        cell.extend((name.len() as u16).to_be_bytes());
        cell.extend(name.bytes());
        cell.extend(value.bytes());
        fields.extend(Sha256::digest(&cell));
    }
    let mut entry = b"tower-audit/leaf/v1\n".to_vec();
    entry.extend(event.event_id.to_bytes());
    entry.extend(Sha256::digest(&fields));
    assert_eq!(Leaf::of(&event, &SEED).entry().to_vec(), entry);
}

/// Every change of every member of the event's JSON, at any depth, is another leaf.
#[test]
fn every_value_counts() {
    fn changes(value: &serde_json::Value) -> Vec<serde_json::Value> {
        match value {
            serde_json::Value::Object(members) => members
                .iter()
                .flat_map(|(name, member)| {
                    let with = |changed| {
                        let mut copy = members.clone();
                        copy.insert(name.clone(), changed);
                        serde_json::Value::Object(copy)
                    };
                    let mut all: Vec<_> = changes(member).into_iter().map(with).collect();
                    let mut without = members.clone();
                    without.remove(name);
                    all.push(without.into());
                    all
                })
                .collect(),
            serde_json::Value::Array(items) => (0..items.len())
                .flat_map(|at| {
                    changes(&items[at]).into_iter().map(move |changed| {
                        let mut copy = items.clone();
                        copy[at] = changed;
                        copy.into()
                    })
                })
                .collect(),
            serde_json::Value::String(text) => vec![
                format!("{text}x").into(),
                text.replace('2', "3").into(),
                text.replace("completed", "started").into(),
                serde_json::Value::Null,
            ],
            serde_json::Value::Number(number) => vec![(number.as_f64().unwrap() as u64 / 2 + 1).into()],
            _ => vec![true.into()],
        }
    }
    let given = serde_json::to_value(full()).unwrap();
    let leaf = Leaf::of(&full(), &SEED);
    let mut count = 0;
    for changed in changes(&given) {
        if let Ok(event) = serde_json::from_value::<AuditEvent>(changed.clone())
            && event != full()
        {
            count += 1;
            assert_ne!(Leaf::of(&event, &SEED), leaf, "{changed}");
        }
    }
    assert!(count > 80, "{count} changes were tried");
}

#[test]
fn a_value_cannot_move_to_another_cell() {
    let leaf = |change: &dyn Fn(&mut AuditEvent)| {
        let mut event = full();
        event.actor = Actor::default();
        event.details.clear();
        change(&mut event);
        Leaf::of(&event, &SEED)
    };
    let as_user = leaf(&|event| event.actor.user_email = Some("x".into()));
    assert_ne!(as_user, leaf(&|event| event.actor.acting_for = Some("x".into())));
    let one = leaf(&|event| event.targets = [Target::new("a", "b")].into_iter().collect());
    assert_ne!(one, leaf(&|event| event.targets = [Target::new("b", "a")].into_iter().collect()));
    let detail = leaf(&|event| drop(event.details.insert("ab".into(), "c".into())));
    assert_ne!(detail, leaf(&|event| drop(event.details.insert("a".into(), "bc".into()))));
    assert_ne!(Leaf::of(&full(), &SEED), Leaf::of(&full(), &Seed::from_bytes([8; 32])));
}

#[test]
fn disclosed_salts_make_the_leaf_again() {
    let event = full();
    let salts = SEED.salts(cells(&event).len());
    let read = Salts::from_bytes(&salts.to_bytes()).unwrap();
    assert_eq!(Leaf::with_salts(&event, &read), Ok(Leaf::of(&event, &SEED)));
    let mut other = event;
    other.details.insert("more".into(), 1.into());
    let error: SealError = Leaf::with_salts(&other, &read).unwrap_err();
    assert_eq!(error.to_string(), "13 salts for an event of 14 cells");
    assert!(Salts::from_bytes(&salts.to_bytes()[1..]).is_err());
    assert!(Salts::from_bytes(&salts.to_bytes()[..30]).is_err());
    assert_eq!(format!("{SEED:?} {salts:?}"), "Seed(…) Salts(13)");
}

proptest! {
    #[test]
    fn no_bytes_but_an_entry_are_a_leaf(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(Leaf::from_entry(&bytes).is_err());
        let entry = [&b"tower-audit/leaf/v1\n"[..], &bytes].concat();
        prop_assert_eq!(Leaf::from_entry(&entry).is_ok(), bytes.len() == 48);
        let leaf = Leaf::from_parts(EventId::from_u128(1), [2; 32]);
        prop_assert_eq!(Leaf::from_entry(&leaf.entry()).unwrap(), leaf);
    }
}
