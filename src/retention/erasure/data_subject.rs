//! The person of an erasure: the cells of an event that belong to them, and the event without these.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::erasable_cell::ErasableCell;
use crate::event::{AuditEvent, EventType};
use crate::retention::record::NONCE;

/// A person by the name that the log has of them, and what takes its place.
#[derive(Debug, Clone)]
pub(super) struct DataSubject {
    pub(super) id: String,
    pub(super) pseudonym: Option<String>,
    /// Members of `details` that are erased in the person's own events, whatever is in them.
    pub(super) details: BTreeSet<String>,
}

impl DataSubject {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pseudonym: None, details: BTreeSet::new() }
    }

    /// Returns the cells of the event that are to be blanked: of the person's own events, who, from where, and what was asked; of
    /// every event, those that name the person.
    pub(super) fn cells_of(&self, event: &AuditEvent) -> BTreeSet<ErasableCell> {
        use ErasableCell::{ApiKeyHash, Detail, Ids, Origin, RequestUri, UserEmail};
        let is_own = event.actor.user_email.as_deref() == Some(&self.id);
        let own = [UserEmail, ApiKeyHash, Origin, RequestUri, Ids].into_iter();
        let own = own.chain(self.details.iter().cloned().map(Detail)).filter(|_| is_own);
        let details = event.details.keys().cloned().map(Detail);
        let all = ErasableCell::FIXED.into_iter().chain(details);
        let named = all.filter(|cell| self.is_named_in(cell, event));
        let mut cells: BTreeSet<ErasableCell> = own.filter(|cell| !cell.is_empty_in(event)).chain(named).collect();
        // The digest of the event is in a signed note. With the nonce, a name could be guessed and checked against that.
        let has_digest = event.event_type == EventType::AUDIT_PURGE || event.event_type == EventType::AUDIT_ERASE;
        if has_digest && !cells.is_empty() && event.details.contains_key(NONCE) {
            cells.insert(Detail(NONCE.to_owned()));
        }
        cells
    }

    /// Returns the event without the values of these cells, and with the mark of their erasure.
    pub(super) fn erase(&self, event: &AuditEvent, cells: &BTreeSet<ErasableCell>) -> AuditEvent {
        let mut erased = event.clone();
        cells.iter().for_each(|cell| cell.blank(&mut erased, self.pseudonym.as_deref()));
        erased.mark_erased(event.erased_cells().into_iter().chain(cells.iter().map(|cell| -> &str { cell.name() })));
        erased
    }

    fn is_named_in(&self, cell: &ErasableCell, event: &AuditEvent) -> bool {
        let mut is_named = false;
        cell.visit(event, &mut |text| is_named |= self.is_in(text));
        is_named
    }

    /// Returns true if the text has the id as a word of its own: `bob` is in `user/bob` and `bob?` and not in `bobby`. Percent escapes are
    /// decoded as well, those of a URI in the query of another one too: `bob` is in `to=%2Fbob` and in `next=%252Fbob`.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let mut text = Cow::Borrowed(text);
        for _ in 0..DECODINGS {
            if has_word(&text, &self.id) {
                return true;
            }
            match percent_decoded(&text) {
                Some(decoded) => text = Cow::Owned(decoded),
                None => return false,
            }
        }
        has_word(&text, &self.id)
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        [before, after].into_iter().flatten().all(|beside| !beside.is_alphanumeric())
    })
}

/// Returns the text with its percent escapes decoded; none if it has none.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let digit = |at: usize| text.as_bytes().get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        let escaped = (*byte == b'%').then(|| u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()).flatten();
        bytes.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    (bytes.len() < text.len()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// A URI, in the query of a second, in the query of a third.
const DECODINGS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventType, Target};
    use serde_json::json;

    fn names(person: &DataSubject, event: &AuditEvent) -> Vec<String> {
        let cells = person.cells_of(event);
        let name = |cell: &ErasableCell| match cell {
            ErasableCell::Detail(name) => format!("details/{name}"),
            cell => cell.name().to_owned(),
        };
        cells.iter().map(name).collect()
    }

    #[test]
    fn an_id_is_a_word() {
        let person = DataSubject::new("bob@example.org");
        for text in ["bob@example.org", "user/bob@example.org", "/u?m=bob%40example.org&x=1", "Bob <bob@example.org>"] {
            assert!(person.is_in(text), "{text}");
        }
        for text in ["abob@example.org", "bob@example.organic", "Bob@example.org", "bob", ""] {
            assert!(!person.is_in(text), "{text}");
        }
    }

    #[test]
    fn an_id_is_found_behind_percent_escapes() {
        let bob = DataSubject::new("bob");
        for text in ["to=%2Fbob", "to=%2fbob%20x", "to=%2F%62ob", "next=%252Fbob", "100%/bob", "%zz%2Fbob", "%ff%2Fbob"]
        {
            assert!(bob.is_in(text), "{text}");
        }
        for text in ["to=%2Fbobby", "to=%41bob", "%", "%2", "%2Fbo%", "%é"] {
            assert!(!bob.is_in(text), "{text}");
        }
        for text in ["m=bob%40example.org", "next=%2Fu%3Fm%3Dbob%2540example.org", "m=bob%40example%2eorg"] {
            assert!(DataSubject::new("bob@example.org").is_in(text), "{text}");
        }
        assert!(DataSubject::new("Zoë").is_in("to=Zo%C3%AB"));
        assert!(DataSubject::new("a%41").is_in("id=a%2541"), "an id with a percent sign");
    }

    #[test]
    fn own_events_lose_who_from_where_and_what_was_asked() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.actor = Actor::user("bob").acting_for("alice");
        event.actor.remote_addr = Some("192.0.2.8".into());
        event.request.request_uri = Some("/orders/7?x=1".into());
        event.request.request_id = Some("r1".into());
        event.targets.insert(Target::new("order", 7));
        event.details = json!({"reason": "asked by bob", "count": 7, "phone": "1"}).as_object().unwrap().clone();
        let mut bob = DataSubject::new("bob");
        bob.details.extend(["phone".to_owned(), "absent".to_owned()]);
        assert_eq!(
            names(&bob, &event),
            ["actor.user_email", "origin", "request_uri", "ids", "details/phone", "details/reason"]
        );
        assert_eq!(
            names(&DataSubject::new("alice"), &event),
            ["actor.acting_for"],
            "of others' events, what names them"
        );
        assert_eq!(names(&DataSubject::new("7"), &event), ["request_uri", "targets", "details/count"]);
        assert!(names(&DataSubject::new("carol"), &event).is_empty());

        bob.pseudonym = Some("former".to_owned());
        let erased = bob.erase(&event, &bob.cells_of(&event));
        assert_eq!(erased.actor.user_email.as_deref(), Some("former"));
        assert_eq!(erased.actor.acting_for.as_deref(), Some("alice"));
        assert_eq!(erased.details, *json!({"count": 7}).as_object().unwrap());
        assert_eq!(erased.erased_cells(), ["actor.user_email", "details", "ids", "origin", "request_uri"]);
        assert!(bob.cells_of(&erased).is_empty(), "nothing is left to erase");
        assert!(!serde_json::to_string(&erased).unwrap().contains("bob"));
    }

    #[test]
    fn a_name_of_a_member_goes_with_it() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details = json!({"bob": true, "x": {"by": ["bob"]}}).as_object().unwrap().clone();
        event.extra.insert("later".into(), json!({"bob": 1}));
        let bob = DataSubject::new("bob");
        let erased = bob.erase(&event, &bob.cells_of(&event));
        assert_eq!(erased.erased_cells(), ["details", "other"]);
        assert!(!serde_json::to_string(&erased).unwrap().contains("bob"));
    }
}
