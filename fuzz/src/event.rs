//! An event in JSON.

use tower_audit::AuditEvent;
use tower_audit::event::{FIELDS, Target, limits};

/// An event that can be decoded is the same after encoding and decoding. Truncated, it is within its limits, and
/// a second truncation changes nothing. Both hold for an event into whose objects an app has copied its input,
/// under any names.
pub fn run(data: &[u8]) {
    let Ok(mut event) = serde_json::from_slice::<AuditEvent>(data) else { return };
    // serde_json reserves some keys; a truncated event has none of them.
    if !serde_json::to_string(&event).expect("an event is JSON").contains("$serde_json::private::") {
        assert_comes_back(&event);
    }

    event.truncate_to_limits();
    assert_fits(&event);

    for extra in [
        &mut event.extra,
        &mut event.actor.extra,
        &mut event.resource.extra,
        &mut event.request.extra,
        &mut event.classification.extra,
    ] {
        extra.extend(event.details.clone());
    }
    event.targets = event
        .targets
        .into_iter()
        .map(|mut target| {
            target.extra.extend(event.details.clone());
            target
        })
        .collect();
    // A name is never written twice, even in an event that was not truncated.
    let json = serde_json::to_string(&event).expect("an event is JSON");
    let read: AuditEvent = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!((&read.event_id, &read.actor.user_email), (&event.event_id, &event.actor.user_email));
    event.truncate_to_limits();
    assert_fits(&event);
}

fn assert_fits(event: &AuditEvent) {
    let size = assert_comes_back(event);
    assert!(size <= limits::MAX_EVENT_BYTES, "{size} bytes");
    for field in FIELDS {
        if let (Some(text), Some(limit)) = (field.value_of(event), field.max_bytes()) {
            assert!(text.len() <= limit, "{}: {text:?}", field.path());
        }
    }
    for target in &event.targets {
        assert!(target.to_string().len() <= Target::MAX_TEXT_BYTES, "{target}");
        assert_eq!(target.to_string().parse::<Target>().map(|read| read.is_same(target)), Ok(true), "{target}");
    }
    let details = serde_json::to_string(&event.details).expect("an object is JSON");
    assert!(details.len() <= limits::MAX_DETAILS_BYTES, "{} bytes of details", details.len());
    let json = serde_json::to_string(&event).expect("an event is JSON");
    // PostgreSQL refuses it wherever it is.
    assert!(!json.replace("\\\\", "").contains("\\u0000"), "U+0000 in {json}");

    let mut again = event.clone();
    again.truncate_to_limits();
    assert_eq!(&again, event);
}

/// The length of the event as JSON, in bytes.
fn assert_comes_back(event: &AuditEvent) -> usize {
    let json = serde_json::to_string(event).expect("an event is JSON");
    match serde_json::from_str::<AuditEvent>(&json) {
        Ok(read) => assert_eq!(&read, event),
        Err(error) => panic!("{error}: {json}"),
    }
    json.len()
}
