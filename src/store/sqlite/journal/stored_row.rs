//! Journal rows as they are read back. A damaged row still yields as many events as it counts.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row_salvage::pieces;
use crate::event::{EventId, Timestamp};
use crate::query::Cursor;
use crate::store::sqlite::event_columns::EventColumns;
use crate::store::sqlite::untrusted_columns::{span_begin, span_end};

/// A row of the journal without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) seq: i64,
    /// Negative if the row does not say.
    pub(crate) events_n: i64,
    pub(crate) min_at: i64,
    pub(crate) max_at: i64,
}

/// The columns that [`StoredRow::read`] reads. The text comes as bytes: it may be no UTF-8.
pub(crate) const COLUMNS: &str = concat!(
    "seq, ",
    events_n!(),
    ", ",
    span_begin!("min_at", "max_at"),
    ", ",
    span_end!("min_at", "max_at"),
    ", CAST(events AS BLOB)"
);
/// The number of a row's events; negative if the column cannot be it.
pub(crate) const EVENTS_N: &str = events_n!();
/// True for a row that may have events.
pub(crate) const HAS_EVENTS: &str = concat!("(", events_n!(), ") <> 0");
pub(crate) const MIN_AT: &str = span_begin!("min_at", "max_at");
pub(crate) const MAX_AT: &str = span_end!("min_at", "max_at");

/// The text of a row without events is `[]`.
macro_rules! events_n {
    () => {
        "CASE WHEN typeof(events_n) <> 'integer' OR events_n NOT BETWEEN 0 AND 65536 THEN -1 \
         WHEN events_n = 0 AND CAST(events AS BLOB) IS NOT CAST('[]' AS BLOB) THEN -1 ELSE events_n END"
    };
}
use events_n;

/// An event of the journal.
#[derive(Debug)]
pub(crate) struct StoredEvent<'a> {
    pub(crate) columns: EventColumns<'a>,
    pub(crate) text: &'a str,
}

impl StoredRow {
    /// The row and its text.
    pub(crate) fn read(row: &SqliteRow) -> Result<(Self, Cow<'_, str>), sqlx::Error> {
        let this =
            Self { seq: row.try_get(0)?, events_n: row.try_get(1)?, min_at: row.try_get(2)?, max_at: row.try_get(3)? };
        let text: Option<&[u8]> = row.try_get(4)?;
        Ok((this, String::from_utf8_lossy(text.unwrap_or_default())))
    }

    /// The texts of its events, with their numbers in the row.
    pub(crate) fn pieces<'a>(&self, text: &'a str) -> impl DoubleEndedIterator<Item = (usize, &'a str)> + use<'a> {
        pieces(text, self.events()).into_iter().enumerate()
    }

    /// The event of a piece, as readers find it: within the row's bounds.
    pub(crate) fn stored<'a>(&self, (number, text): (usize, &'a str)) -> StoredEvent<'a> {
        let columns = EventColumns::read(text).ok().filter(|columns| self.spans(columns.created_at));
        let columns = columns.unwrap_or_else(|| {
            let mut columns = EventColumns::salvaged(text, self.place_of(number, text));
            if !self.spans(columns.created_at) {
                columns.created_at = self.begin();
            }
            columns
        });
        StoredEvent { columns, text }
    }

    /// The event of a piece that leaves the journal. One outside of the row's bounds keeps its time if its id has the same:
    /// then the bounds were changed, and not the event.
    pub(crate) fn moved<'a>(&self, (number, text): (usize, &'a str)) -> StoredEvent<'a> {
        let has_time_of_id = |columns: &EventColumns<'_>| {
            let millis = i64::try_from(columns.event_id.as_u128() >> 80).unwrap_or(i64::MAX);
            (millis - 1..=millis).contains(&columns.created_at.as_micros().div_euclid(1000))
        };
        match EventColumns::read(text) {
            Ok(columns) if has_time_of_id(&columns) => StoredEvent { columns, text },
            _ => self.stored((number, text)),
        }
    }

    /// The ids of its events.
    pub(crate) fn ids(&self, text: &str) -> Vec<u128> {
        match serde_json::from_str::<Vec<OnlyId>>(text) {
            Ok(events) if events.len() >= self.events() => {
                events.iter().map(|event| event.event_id.as_u128()).collect()
            }
            _ => self.pieces(text).map(|piece| self.stored(piece).columns.event_id.as_u128()).collect(),
        }
    }

    fn events(&self) -> usize {
        usize::try_from(self.events_n).unwrap_or(0)
    }

    /// Returns true if the time lies within the row's bounds, by which readers find it.
    fn spans(&self, at: Timestamp) -> bool {
        (self.min_at..=self.max_at).contains(&at.as_micros())
    }

    fn begin(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.min_at)
    }

    /// Returns a position for an event without one: always the same for the same row and text.
    fn place_of(&self, number: usize, text: &str) -> Cursor {
        let mut digest = Sha256::new();
        digest.update(self.seq.to_be_bytes());
        digest.update((number as u64).to_be_bytes());
        digest.update(text);
        let digest = digest.finalize();
        let random = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        Cursor { created_at: self.begin(), event_id: EventId::from_micros(self.min_at, random) }
    }
}

#[derive(Deserialize)]
struct OnlyId {
    event_id: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AuditEvent, EventType};

    const ROW: StoredRow = StoredRow { seq: 7, events_n: 3, min_at: 0, max_at: i64::MAX };

    fn shown(text: &str) -> Vec<AuditEvent> {
        ROW.pieces(text).map(|piece| ROW.stored(piece)).map(|stored| stored.columns.event(stored.text)).collect()
    }

    #[test]
    fn a_damaged_event_leaves_the_others() {
        let events: Vec<_> = (0..3).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        let text = serde_json::to_string(&events).unwrap();
        assert_eq!(shown(&text), events);
        let damaged = text.replacen(&format!("{}\"", events[1].event_id), "", 1);
        let shown = shown(&damaged);
        assert_eq!((&shown[0], &shown[2]), (&events[0], &events[2]));
        assert!(shown[1].details.contains_key("unreadable_event"));
        assert_eq!(ROW.ids(&damaged), shown.iter().map(|event| event.event_id.as_u128()).collect::<Vec<_>>());
    }

    #[test]
    fn a_row_stands_for_as_many_events_as_it_says() {
        for text in ["", "x", "[]", "[1]", "{}", "[{\"event_id\":", "[[],[]]", "\u{fffd}", "[{\"event_id\":\"\"},"] {
            let shown = shown(text);
            assert_eq!(shown.len(), 3, "{text}");
            let mut ids = ROW.ids(text);
            assert_eq!(ids, shown.iter().map(|event| event.event_id.as_u128()).collect::<Vec<_>>(), "{text}");
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 3, "{text}");
        }
    }
}
