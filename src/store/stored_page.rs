//! A page of a listing as its store keeps it.

use crate::event::AuditEvent;
use crate::query::{Cursor, Filter};

/// A page of a listing as its store keeps it: each event as JSON, with its position.
///
/// To write events as JSON, as an export does, takes no event in memory then. Whoever shows the texts [checks](Self::check) them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPage {
    events: Vec<(Cursor, Box<str>)>,
}

impl StoredPage {
    /// Returns the page of these events: positions and texts, in the order of the listing.
    pub fn new(events: Vec<(Cursor, Box<str>)>) -> Self {
        Self { events }
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns true if there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns the position of the first event.
    #[cfg(feature = "api")]
    pub(crate) fn first(&self) -> Option<Cursor> {
        self.events.first().map(|(place, _)| *place)
    }

    /// Returns the position of the last event.
    pub fn last(&self) -> Option<Cursor> {
        self.events.last().map(|(place, _)| *place)
    }

    /// Returns the texts if each is one line with an event that passes the filter and is at its position. `None`: one is not, and
    /// the page is to be read by [`Reader::query`](super::Reader::query), which shows it as unreadable.
    pub fn check(&self, filter: &Filter) -> Option<impl Iterator<Item = &str>> {
        let is_event = |(place, text): &(Cursor, Box<str>)| {
            // JSON may have U+007F as it is (RFC 8259, section 7).
            !text.bytes().any(|byte| byte < b' ')
                && serde_json::from_str::<AuditEvent>(text)
                    .is_ok_and(|event| Cursor::of(&event) == *place && filter.matches(&event))
        };
        self.events.iter().all(is_event).then(|| self.events.iter().map(|(_, text)| &**text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    #[test]
    fn a_text_that_is_not_the_event_of_its_place_spoils_the_page() {
        let (event, other) = (AuditEvent::new(EventType::UPLOAD), AuditEvent::new(EventType::AUTH));
        let text = |event: &AuditEvent| serde_json::to_string(event).unwrap();
        let page = |place: &AuditEvent, text: String| StoredPage::new(vec![(Cursor::of(place), text.into())]);
        let everything = Filter::default();
        let of_uploads = Filter { event_type: "upload".into(), ..Filter::default() };
        let whole = page(&event, text(&event));
        for filter in [&everything, &of_uploads] {
            assert_eq!(whole.check(filter).unwrap().collect::<Vec<_>>(), [text(&event)]);
        }
        assert_eq!((whole.len(), whole.is_empty(), whole.last()), (1, false, Some(Cursor::of(&event))));
        assert!(page(&event, text(&other)).check(&everything).is_none(), "another event");
        assert!(page(&other, text(&other)).check(&of_uploads).is_none(), "not of the filter");
        assert!(page(&event, text(&event)[1..].into()).check(&everything).is_none(), "no event");
        assert!(page(&event, text(&event).replacen(':', ":\n", 1)).check(&everything).is_none(), "two lines");
    }
}
