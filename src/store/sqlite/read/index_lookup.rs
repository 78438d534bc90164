//! Index lookup: the rows of a segment that match a filter's fields.
//!
//! The segments that come next are asked along with the one at hand: a few at first, since a page is soon full, then
//! more and more, since what is rare is looked for in all of them.

use std::collections::{HashMap, VecDeque};

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::source::{Source, SourceRef};
use crate::event::Phase;
use crate::query::{Condition, Field, Filter, OutcomePattern, TextPattern};
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::field_number;
use crate::store::sqlite::segments::postings::{self, PRESENT, key};
use crate::store::sqlite::segments::row_set::RowSet;

/// The rows that a filter may select, as far as they are known.
#[derive(Debug)]
pub(crate) struct IndexLookup<'a> {
    conditions: Vec<FieldCondition<'a>>,
    row_sets: HashMap<i64, RowSet>,
    /// How many segments are asked at once.
    segments_per_lookup: usize,
    /// How many rows of a segment are many: beyond that, they need not all be found.
    max_rows: u64,
}

/// What is asked of one field: one of these, and none of those.
#[derive(Debug)]
struct FieldCondition<'a> {
    field: Field,
    wanted: Vec<ValueTest<'a>>,
    unwanted: Vec<ValueTest<'a>>,
}

/// What a value may be asked to be.
#[derive(Debug, Clone, Copy)]
enum ValueTest<'a> {
    Text(&'a TextPattern),
    Status(OutcomePattern),
    Phase(Phase),
    Any,
}

impl<'a> IndexLookup<'a> {
    pub(crate) fn new(filter: &'a Filter) -> Self {
        let conditions = [
            asked(Field::EventType, &filter.event_type, ValueTest::Text),
            asked(Field::UserEmail, &filter.user_email, ValueTest::Text),
            asked(Field::RemoteAddr, &filter.remote_addr, ValueTest::Text),
            asked(Field::Route, &filter.route, ValueTest::Text),
            asked(Field::Outcome, &filter.outcome, |status| ValueTest::Status(*status)),
            asked(Field::Phase, &filter.phase, |phase| ValueTest::Phase(*phase)),
        ];
        let conditions = conditions.into_iter().filter(|asked| !asked.wanted.is_empty() || !asked.unwanted.is_empty());
        Self { conditions: conditions.collect(), row_sets: HashMap::new(), segments_per_lookup: 1, max_rows: u64::MAX }
    }

    /// The same for who does not care which rows they are, if a segment has more than so many of them.
    pub(crate) fn with_row_limit(filter: &'a Filter, max_rows: u64) -> Self {
        Self { max_rows, ..Self::new(filter) }
    }

    /// Whether nothing is asked of the fields.
    pub(crate) fn is_unconstrained(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The rows of a segment that have what is asked; none if its index does not say, or nothing is asked. `rest` is
    /// where the reader goes on.
    pub(crate) async fn of(
        &mut self,
        db: &mut SqliteConnection,
        source: Source,
        rest: &VecDeque<Source>,
    ) -> Result<Option<RowSet>, StoreError> {
        let Source { source_ref: SourceRef::Segment(n), indexed: true, .. } = source else { return Ok(None) };
        if self.is_unconstrained() {
            return Ok(None);
        }
        if let Some(rows) = self.row_sets.remove(&n) {
            return Ok(Some(rows));
        }
        let next = rest.iter().filter_map(|source| match source.source_ref {
            SourceRef::Segment(n) if source.indexed => Some(n),
            _ => None,
        });
        let mut asked: Vec<i64> = [n].into_iter().chain(next.take(self.segments_per_lookup - 1)).collect();
        self.segments_per_lookup = (self.segments_per_lookup * 4).min(MAX_SEGMENTS_PER_LOOKUP);
        self.row_sets = asked.iter().map(|n| (*n, RowSet::default())).collect();
        if let ([FieldCondition { field, wanted, unwanted }], [_]) = (self.conditions.as_slice(), asked.as_slice())
            && let ([test], []) = (wanted.as_slice(), unwanted.as_slice())
        {
            // Nothing that is found can be taken away again.
            test.select(*field, db, &asked, &mut self.row_sets, self.max_rows).await?;
            return Ok(self.row_sets.remove(&n));
        }
        for (place, condition) in self.conditions.iter().enumerate() {
            let mut selected = condition.select(db, &asked).await?;
            for (n, rows) in &mut self.row_sets {
                let now = selected.remove(n).unwrap_or_default();
                if place == 0 { *rows = now } else { rows.intersect(&now) }
            }
            asked.retain(|n| self.row_sets.get(n).is_some_and(|rows| !rows.is_empty()));
            if asked.is_empty() {
                break;
            }
        }
        Ok(Some(self.row_sets.remove(&n).unwrap_or_default()))
    }
}

fn asked<'a, T>(
    field: Field,
    condition: &'a Condition<T>,
    test: impl Fn(&'a T) -> ValueTest<'a>,
) -> FieldCondition<'a> {
    FieldCondition {
        field,
        wanted: condition.included().iter().map(&test).collect(),
        unwanted: condition.excluded().iter().map(&test).collect(),
    }
}

impl FieldCondition<'_> {
    /// The rows of each segment that have what is asked of this field; nothing for a segment without such rows.
    async fn select(&self, db: &mut SqliteConnection, segments: &[i64]) -> Result<HashMap<i64, RowSet>, StoreError> {
        let mut selected = HashMap::new();
        if self.wanted.is_empty() {
            // Every event has a phase, and there are few of them.
            ValueTest::Any.select(Field::Phase, db, segments, &mut selected, u64::MAX).await?;
        }
        for test in &self.wanted {
            test.select(self.field, db, segments, &mut selected, u64::MAX).await?;
        }
        let mut unwanted = HashMap::new();
        for test in &self.unwanted {
            test.select(self.field, db, segments, &mut unwanted, u64::MAX).await?;
        }
        for (n, rows) in &unwanted {
            if let Some(selected) = selected.get_mut(n) {
                selected.subtract(rows);
            }
        }
        Ok(selected)
    }
}

impl ValueTest<'_> {
    /// Takes the rows in that have what is asked for, until there are more than `many` in one segment.
    async fn select(
        self,
        field: Field,
        db: &mut SqliteConnection,
        segments: &[i64],
        selected: &mut HashMap<i64, RowSet>,
        many: u64,
    ) -> Result<(), StoreError> {
        let (first, end) = self.span();
        let mut blocks = sqlx::query(BLOCKS)
            .bind(field_number(field))
            .bind(serde_json::to_string(segments).during(DOING)?)
            .bind(first)
            .bind(end)
            .fetch(db);
        while let Some(block) = blocks.try_next().await.during(DOING)? {
            let (n, body): (i64, &[u8]) = (block.try_get(0).during(DOING)?, block.try_get(1).during(DOING)?);
            postings::read(body, |value, rows| {
                if self.matches(value) {
                    selected.entry(n).or_default().union(rows);
                }
            })
            .during(DOING)?;
            if many < u64::MAX && selected.get(&n).is_some_and(|rows| rows.len() > many) {
                break;
            }
        }
        Ok(())
    }

    /// The first key that can pass, and the first after it that cannot.
    fn span(self) -> (Vec<u8>, Vec<u8>) {
        let beginning = |text: &str| {
            let first = key(Some(text));
            let mut end = first.clone();
            // Not the last of all bytes: none of UTF-8 is.
            if let Some(last) = end.last_mut() {
                *last += 1;
            }
            (first, end)
        };
        let exactly = |text: &str| {
            let first = key(Some(text));
            let end = [first.as_slice(), &[0]].concat();
            (first, end)
        };
        match self {
            Self::Text(pattern) => match pattern.as_exact() {
                Some(text) => exactly(text),
                None => beginning(pattern.literals().first().map_or("", String::as_str)),
            },
            Self::Status(OutcomePattern::Exact(status)) => exactly(&status.to_string()),
            Self::Status(OutcomePattern::Class(0)) => beginning(""),
            Self::Status(OutcomePattern::Class(hundreds)) => beginning(&hundreds.to_string()),
            Self::Status(OutcomePattern::Missing) => (Vec::new(), vec![PRESENT]),
            Self::Phase(phase) => exactly(phase.as_str()),
            Self::Any => (Vec::new(), vec![u8::MAX]),
        }
    }

    fn matches(self, value: Option<&str>) -> bool {
        match self {
            Self::Text(pattern) => value.is_some_and(|value| pattern.matches(value)),
            Self::Status(status) => status.matches(value.and_then(|value| value.parse().ok())),
            Self::Phase(phase) => value == Some(phase.as_str()),
            Self::Any => true,
        }
    }
}

const DOING: &str = "reading";
/// The most segments that are asked at once: 4 KB a segment and condition are held.
const MAX_SEGMENTS_PER_LOOKUP: usize = 64;

/// The blocks that values from ?3 to before ?4 can be in: of the blocks of a part, the last that does not begin after
/// ?3 is the first of them. Part 0 is what is merged. Which other parts there are is seen at the field that is merged
/// last, the phase.
const BLOCKS: &str = "
SELECT s.value, b.body FROM json_each(?2) AS s CROSS JOIN audit_value_rows AS b
    ON b.n = s.value AND b.field = ?1 AND b.part = 0 AND b.first < ?4 AND b.first >= (
        SELECT max(first) FROM audit_value_rows WHERE n = s.value AND field = ?1 AND part = 0 AND first <= ?3)
UNION ALL
SELECT s.value, b.body FROM json_each(?2) AS s
    CROSS JOIN audit_value_rows AS p ON p.n = s.value AND p.field = 5 AND p.part > 0 AND p.first = x''
    CROSS JOIN audit_value_rows AS b
    ON b.n = s.value AND b.field = ?1 AND b.part = p.part AND b.first < ?4 AND b.first >= (
        SELECT max(first) FROM audit_value_rows WHERE n = s.value AND field = ?1 AND part = p.part AND first <= ?3)";
