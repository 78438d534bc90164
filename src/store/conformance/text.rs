//! Text of any kind comes back as it was given.

use serde_json::json;

use super::Harness;
use super::assertions::{append, assert_holds, assert_selects};
use super::fixtures::{event, full_event, id};
use crate::event::limits::{
    MAX_DETAIL_KEY_BYTES, MAX_DETAIL_STRING_BYTES, MAX_EVENT_BYTES, MAX_TARGET_ID_BYTES, MAX_TARGETS,
};
use crate::event::{AuditEvent, EventType, FIELDS, Phase, Target};
use crate::query::Filter;

/// Texts that clients send to break a store.
pub(super) const HOSTILE: &[&str] = &[
    "",
    " ",
    "  padded  ",
    "\0",
    "before\0after",
    "\u{1}\u{2}\u{3}\u{8}\u{b}\u{c}\u{e}\u{1b}[31m\u{1f}",
    "\r\nSet-Cookie: a=b\r\n",
    "a\tb",
    "\u{7f}\u{80}\u{85}\u{9f}",
    "\u{202e}gpj.exe\u{202c}\u{2066}\u{2069}\u{200f}",
    r"\ud800",
    r"\u0000",
    r"\x00\n\",
    "\u{fffd}",
    "\u{feff}bom",
    "\u{fdd0}\u{ffff}\u{10ffff}",
    "😀👨‍👩‍👧‍👦🏴",
    "\u{200b}\u{200d}\u{2028}\u{2029}",
    "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}",
    "'; DROP TABLE audit_events; --",
    "\"quoted\" 'quoted' `quoted` [quoted]",
    "<script>alert(1)</script>&amp;<!--",
    "=cmd|' /C calc'!A0",
    "%",
    "_",
    "100%_*?[a-z]",
    "$1 ?1 :p @p {0}",
    "{\"event_id\":null}",
    "null",
    "NULL",
    "true",
    "0",
    "-0",
    "007",
    "1e999",
    "NaN",
    "${jndi:ldap://x/a}",
    "$serde_json::private::RawValue",
    "$serde_json::private::Number",
    "../../etc/passwd",
    "\u{130}\u{131}\u{df}\u{17f}\u{212a}",
    "PROPFINDPROPFINDPROPFINDPROPFINDPROPFINDX",
];

/// For each hostile value an event that has it in every place.
fn hostile_events() -> Vec<AuditEvent> {
    let mut all = Vec::new();
    for text in HOSTILE {
        let mut event = event(all.len() as u64);
        for field in FIELDS {
            field.set_text(&mut event, text);
        }
        event.targets = [Target::new("order", text).with_label(*text), Target::new(*text, 7)].into_iter().collect();
        event.details.insert("value".into(), json!(text));
        event.details.insert((*text).to_owned(), json!([text, {*text: text}]));
        event.extra.insert("later".into(), json!(text));
        event.truncate_to_limits();
        all.push(event);
    }
    all
}

/// An event whose every place is as long as it may be, of this character.
fn event_at_its_limits(number: u64, filler: char) -> AuditEvent {
    let fill = |bytes: usize| {
        let mut text = filler.to_string().repeat(bytes / filler.len_utf8());
        text.extend(std::iter::repeat_n('x', bytes - text.len()));
        text
    };
    let mut event = event(number);
    for field in FIELDS {
        field.set_text(&mut event, &fill(field.max_bytes().unwrap_or_default()));
    }
    let label = fill(MAX_TARGET_ID_BYTES);
    event.targets = (10..10 + MAX_TARGETS)
        .map(|n| Target::new("order", format!("{n}{}", fill(MAX_TARGET_ID_BYTES - 2))).with_label(label.as_str()))
        .collect();
    // One character of a string may take six bytes of JSON: this key and this value fit the details even so.
    event.details.insert(fill(MAX_DETAIL_KEY_BYTES), json!(1));
    event.details.insert("value".into(), json!(fill(MAX_DETAIL_STRING_BYTES / 2)));
    let given = event.clone();
    event.truncate_to_limits();
    assert_eq!(event, given, "the sample is within the limits");
    event
}

/// The largest events there are.
fn maximal_events() -> Vec<AuditEvent> {
    let mut all = Vec::new();
    for filler in ["\u{1}", "\0", "\"", "é", "😀", "x"] {
        let mut event = event(all.len() as u64);
        event.phase = Phase::Started;
        for field in FIELDS {
            field.set_text(&mut event, &filler.repeat(MAX_EVENT_BYTES));
        }
        for number in 0..20 {
            let long = filler.repeat(1000);
            event.targets.insert(Target::new(long.as_str(), format!("{number}{long}")).with_label(long.as_str()));
            event.details.insert(format!("{number}{}", filler.repeat(10)), json!(filler.repeat(700 / filler.len())));
        }
        event.truncate_to_limits();
        all.push(event);
    }
    all
}

pub(super) async fn everything_is_accepted(harness: &Harness) {
    let fresh = harness.fresh().await;
    append(&*fresh.store, &hostile_events()).await;
    for (number, filler) in (1000..).zip(['x', '\u{1}', 'é', '😀']) {
        append(&*fresh.store, &[event_at_its_limits(number, filler)]).await;
    }
    for event in (2000..).zip(maximal_events()).map(|(number, event)| AuditEvent { event_id: id(number), ..event }) {
        append(&*fresh.store, &[event]).await;
    }
}

pub(super) async fn hostile_text_comes_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all = hostile_events();
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "hostile text").await;
}

pub(super) async fn forms_of_unicode_stay_distinct(harness: &Harness) {
    let fresh = harness.fresh().await;
    let forms = [
        "\u{e9}",
        "e\u{301}",
        "\u{fb01}",
        "fi",
        "\u{212b}",
        "\u{c5}",
        "A\u{30a}",
        "\u{df}",
        "ss",
        "\u{130}",
        "i\u{307}",
        "\u{fffd}",
        "\u{fffd}\u{fffd}",
    ];
    let mut all = Vec::new();
    for form in forms {
        let mut event = event(all.len() as u64);
        event.actor.user_email = Some(form.into());
        event.details.insert(form.to_owned(), json!(form));
        all.push(event);
    }
    // Two keys that look alike in one object.
    all[0].details.insert("e\u{301}".into(), json!(2));
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "forms of unicode").await;
    for event in &all {
        let filter = Filter {
            user_email: event.actor.user_email.as_deref().map(Into::into).unwrap_or_default(),
            ..Filter::default()
        };
        assert_selects(&*fresh.store, filter, std::slice::from_ref(event), "one form of unicode").await;
    }
}

pub(super) async fn empty_and_missing_stay_distinct(harness: &Harness) {
    let fresh = harness.fresh().await;
    let missing = AuditEvent { event_id: id(1), ..AuditEvent::new(EventType::UPLOAD) };
    let mut empty = AuditEvent { event_id: id(2), ..missing.clone() };
    for field in FIELDS {
        field.set_text(&mut empty, "");
    }
    let mut in_details = AuditEvent { event_id: id(3), ..missing.clone() };
    in_details.details = json!({"empty": "", "null": null, "": "", "list": [], "object": {}, "zero": 0, "no": false})
        .as_object()
        .cloned()
        .expect("this is an object");
    let all = [missing, empty, in_details];
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "empty and missing values").await;
}

pub(super) async fn values_at_their_limits_come_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let all: Vec<_> =
        (0..).zip(['x', '\u{1}', 'é', '😀', '\'', '\\']).map(|(number, c)| event_at_its_limits(number, c)).collect();
    append(&*fresh.store, &all).await;
    assert_holds(&*fresh.store, &all, "values as long as they may be").await;
}

pub(super) async fn the_maximal_event_comes_back(harness: &Harness) {
    let fresh = harness.fresh().await;
    let mut all = maximal_events();
    append(&*fresh.store, &all).await;
    all.push(full_event(100));
    append(&*fresh.store, &all[all.len() - 1..]).await;
    assert_holds(&*fresh.store, &all, "the largest events").await;
}
