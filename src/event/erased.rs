//! The mark of an event of which values were erased.

use serde_json::Value;

use super::AuditEvent;

/// The member of an event that lists its erased cells: `"erased":["actor.user_email","details"]`.
///
/// An erasure writes it. It is a note for readers and proves nothing: of a sealed log, `verify` compares it with the signed erasure.
pub const ERASED_MEMBER: &str = "erased";

/// The names that the mark may have, in their order. The names of members of `details` may tell something, so these are `details` together.
const NAMES: [&str; 9] = [
    "actor.acting_for",
    "actor.api_key_hash",
    "actor.user_email",
    "details",
    "ids",
    "origin",
    "other",
    "request_uri",
    "targets",
];

impl AuditEvent {
    /// Returns the names of the cells whose values were erased, such as `actor.user_email` or `details`; none of an event as it was written.
    ///
    /// A cell is a part of an event that is erased as a whole; `docs/seal.md` lists them.
    pub fn erased_cells(&self) -> Vec<&str> {
        self.extra.get(ERASED_MEMBER).and_then(names_of).unwrap_or_default()
    }

    /// Sets the mark to these names, in the order of the mark. Other texts are left out.
    pub(crate) fn mark_erased(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut is_erased = [false; NAMES.len()];
        for name in names {
            let known = NAMES.iter().position(|known| *known == name.as_ref());
            known.into_iter().for_each(|at| is_erased[at] = true);
        }
        let names = NAMES.iter().zip(is_erased).filter(|(_, is_erased)| *is_erased);
        self.extra.insert(ERASED_MEMBER.to_owned(), names.map(|(name, _)| Value::from(*name)).collect());
    }
}

/// Returns true if the member of the event itself is the mark of an erasure. Any other value under the name is a member like others: an app may have
/// put it there.
pub(crate) fn is_erased_mark(name: &str, value: &Value) -> bool {
    name == ERASED_MEMBER && names_of(value).is_some()
}

/// Returns the names in a mark: at least one, in their order, each once.
fn names_of(value: &Value) -> Option<Vec<&str>> {
    let names: Vec<&str> = value.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let is_mark = !names.is_empty()
        && names.is_sorted_by(|one, next| one < next)
        && names.iter().all(|name| NAMES.contains(name));
    is_mark.then_some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::EventType;

    #[test]
    fn the_mark_is_a_list_of_names_and_anything_else_is_none() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        assert!(event.erased_cells().is_empty());
        event.mark_erased(["origin", "details", "bob@example.org", "origin"]);
        assert_eq!(event.erased_cells(), ["details", "origin"]);
        for other in [
            json!("origin"),
            json!([]),
            json!(["origin", 7]),
            json!(["origin", "details"]),
            json!(["origin", "origin"]),
            json!(["details/bob"]),
            json!({"origin": 1}),
        ] {
            assert!(!is_erased_mark(ERASED_MEMBER, &other), "{other}");
            event.extra.insert(ERASED_MEMBER.into(), other);
            assert!(event.erased_cells().is_empty());
        }
    }
}
