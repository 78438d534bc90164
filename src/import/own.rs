//! Events of this crate in JSON: as they are, or inside of a profile.

use serde_json::Value;

use super::Rejection;
use crate::event::{AuditEvent, Phase};
use crate::export::original_of;

/// Reads an event; none for the place of a removed one in a file of a `jsonl:` store.
pub(super) fn event(record: &[u8]) -> Result<Option<AuditEvent>, Rejection> {
    if let Ok(mut event) = serde_json::from_slice::<AuditEvent>(record) {
        remove_writer(&mut event);
        return Ok(Some(event));
    }
    if let Some(original) = original_of(record) {
        return serde_json::from_slice(&original).map(Some).map_err(|_| Rejection::NotAnEvent);
    }
    match serde_json::from_slice::<Value>(record) {
        Ok(Value::Object(members)) if members.len() == 1 && members.contains_key("ended") => Ok(None),
        Ok(Value::Object(_)) => Err(Rejection::NotAnEvent),
        _ => Err(Rejection::NotAnObject),
    }
}

/// Removes the id of the writer, which a `jsonl:` store adds to the line of a `started` event; zeros stand for none.
fn remove_writer(event: &mut AuditEvent) {
    let Some(Value::String(id)) = event.extra.get("audit_writer") else { return };
    let is_id = id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id && (event.phase == Phase::Started || id.bytes().all(|byte| byte == b'0')) {
        event.extra.remove("audit_writer");
    }
}
