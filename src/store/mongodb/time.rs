//! Times as dates of BSON, which have milliseconds, and the microseconds below them.

use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::event::{EventId, Timestamp};
use crate::query::Cursor;

/// A time in two fields: `created_at`, and `micros`, which is absent when it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredTime {
    pub(super) date: DateTime,
    pub(super) micros: i32,
}

impl From<Timestamp> for StoredTime {
    fn from(time: Timestamp) -> Self {
        let (millis, micros) = (time.as_micros().div_euclid(1000), time.as_micros().rem_euclid(1000));
        Self { date: DateTime::from_millis(millis), micros: i32::try_from(micros).unwrap_or(0) }
    }
}

impl StoredTime {
    /// Returns the time; none if no event can have it.
    pub(super) fn to_timestamp(self) -> Option<Timestamp> {
        let micros = self.date.timestamp_millis().checked_mul(1000)?.checked_add(i64::from(self.micros))?;
        Timestamp::from_micros(micros)
    }

    /// The value of `micros` in a document: null matches what is absent.
    fn micros(self) -> Bson {
        if self.micros == 0 { Bson::Null } else { self.micros.into() }
    }
}

/// The conditions on the times of the events from `since` to before `until` and after the cursor, each a document. The
/// first is always there: it leaves out what has no time of an event.
pub(super) fn time_conditions(
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<Cursor>,
) -> Vec<Document> {
    let (first, last) = (StoredTime::from(since.unwrap_or(Timestamp::MIN)), StoredTime::from(Timestamp::MAX));
    let mut latest = last.date;
    let mut conditions = Vec::new();
    if first.micros > 0 {
        conditions.push(doc! {"$or": [{"created_at": {"$gt": first.date}}, {"micros": {"$gte": first.micros}}]});
    }
    if let Some(until) = until.map(StoredTime::from) {
        latest = latest.min(until.date);
        conditions.push(before(until));
    }
    if let Some(Cursor { created_at, event_id }) = after {
        let at = StoredTime::from(created_at);
        latest = latest.min(at.date);
        let mut condition = before(at);
        if let Ok(either) = condition.get_array_mut("$or") {
            either.push(doc! {"micros": at.micros(), "event_id": {"$lt": hex(event_id)}}.into());
        }
        conditions.push(condition);
    }
    conditions.insert(0, doc! {"created_at": {"$gte": first.date, "$lte": latest}});
    conditions
}

/// The condition of what is before a time, given that it is not in a later millisecond.
fn before(time: StoredTime) -> Document {
    let mut either = vec![Bson::from(doc! {"created_at": {"$lt": time.date}})];
    if time.micros > 0 {
        either.push(doc! {"micros": {"$lt": time.micros}}.into());
        either.push(doc! {"micros": null}.into());
    }
    doc! {"$or": either}
}

/// The id as documents have it.
pub(super) fn hex(id: EventId) -> String {
    id.to_hex().as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back() {
        for micros in [0, 1, 999, 1000, -1, -1000, -1001, 1_780_000_000_123_456] {
            let time = Timestamp::from_micros(micros).expect("a time");
            assert_eq!(StoredTime::from(time).to_timestamp(), Some(time));
        }
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(StoredTime::from(time).to_timestamp(), Some(time));
        }
    }
}
