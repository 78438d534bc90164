//! The mark of an event of which values were erased.

use serde_json::Value;

use super::AuditEvent;

/// The member of an event that lists its erased cells: `"erased":["actor.user_email","origin"]`.
///
/// An erasure writes it. It is a note for readers and proves nothing: of a sealed log, `verify` compares it with the signed erasure.
pub const ERASED_MEMBER: &str = "erased";

impl AuditEvent {
    /// Returns the names of the cells whose values were erased, such as `actor.user_email`; none of an event as it was written.
    ///
    /// A cell is a part of an event that is erased as a whole; `docs/seal.md` lists them.
    pub fn erased_cells(&self) -> Vec<&str> {
        let listed = self.extra.get(ERASED_MEMBER).and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    #[test]
    fn the_mark_is_a_list_of_names_and_anything_else_is_none() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        assert!(event.erased_cells().is_empty());
        event.extra.insert(ERASED_MEMBER.into(), serde_json::json!(["origin", 7, "details/reason"]));
        assert_eq!(event.erased_cells(), ["origin", "details/reason"]);
        event.extra.insert(ERASED_MEMBER.into(), "origin".into());
        assert!(event.erased_cells().is_empty());
    }
}
