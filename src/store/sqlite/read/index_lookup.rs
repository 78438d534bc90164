//! Index lookup: the rows of a segment that match a filter's fields.
//!
//! One lookup serves the next segments too: first one segment, because a page is soon full, then 4, 16 and 64, because a
//! rare value is searched in all of them.

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

/// The rows of segments that match a filter's conditions on fields.
#[derive(Debug)]
pub(crate) struct IndexLookup<'a> {
    conditions: Vec<FieldCondition<'a>>,
    row_sets: HashMap<i64, RowSet>,
    /// The number of segments in one lookup.
    segments_per_lookup: usize,
    /// The number of rows beyond which a segment's need not all be found.
    max_rows: u64,
}

/// A condition on one field: any of these values, none of those.
#[derive(Debug)]
struct FieldCondition<'a> {
    field: Field,
    included: Vec<ValueTest<'a>>,
    excluded: Vec<ValueTest<'a>>,
}

/// A test of one value.
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
            field_condition(Field::EventType, &filter.event_type, ValueTest::Text),
            field_condition(Field::UserEmail, &filter.user_email, ValueTest::Text),
            field_condition(Field::RemoteAddr, &filter.remote_addr, ValueTest::Text),
            field_condition(Field::Route, &filter.route, ValueTest::Text),
            field_condition(Field::Outcome, &filter.outcome, |status| ValueTest::Status(*status)),
            field_condition(Field::Phase, &filter.phase, |phase| ValueTest::Phase(*phase)),
        ];
        let conditions =
            conditions.into_iter().filter(|condition| !condition.included.is_empty() || !condition.excluded.is_empty());
        Self { conditions: conditions.collect(), row_sets: HashMap::new(), segments_per_lookup: 1, max_rows: u64::MAX }
    }

    /// A lookup that may stop in a segment after more than this many rows.
    pub(crate) fn with_row_limit(filter: &'a Filter, max_rows: u64) -> Self {
        Self { max_rows, ..Self::new(filter) }
    }

    /// Returns true for a filter without conditions on fields.
    pub(crate) fn is_unconstrained(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Returns the matching rows of a segment; `None` without an exact index or without conditions. `rest` has the
    /// sources that the reader visits next.
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
        let mut segments: Vec<i64> = [n].into_iter().chain(next.take(self.segments_per_lookup - 1)).collect();
        self.segments_per_lookup = (self.segments_per_lookup * 4).min(MAX_SEGMENTS_PER_LOOKUP);
        self.row_sets = segments.iter().map(|n| (*n, RowSet::default())).collect();
        if let ([FieldCondition { field, included, excluded }], [_]) = (self.conditions.as_slice(), segments.as_slice())
            && let ([test], []) = (included.as_slice(), excluded.as_slice())
        {
            // A single condition: no other can remove rows again.
            test.select(*field, db, &segments, &mut self.row_sets, self.max_rows).await?;
            return Ok(self.row_sets.remove(&n));
        }
        for (place, condition) in self.conditions.iter().enumerate() {
            let mut selected = condition.select(db, &segments).await?;
            for (n, rows) in &mut self.row_sets {
                let now = selected.remove(n).unwrap_or_default();
                if place == 0 { *rows = now } else { rows.intersect(&now) }
            }
            segments.retain(|n| self.row_sets.get(n).is_some_and(|rows| !rows.is_empty()));
            if segments.is_empty() {
                break;
            }
        }
        Ok(Some(self.row_sets.remove(&n).unwrap_or_default()))
    }
}

fn field_condition<'a, T>(
    field: Field,
    condition: &'a Condition<T>,
    test: impl Fn(&'a T) -> ValueTest<'a>,
) -> FieldCondition<'a> {
    FieldCondition {
        field,
        included: condition.included().iter().map(&test).collect(),
        excluded: condition.excluded().iter().map(&test).collect(),
    }
}

impl FieldCondition<'_> {
    /// Returns the matching rows of each segment; no entry for a segment without any.
    async fn select(&self, db: &mut SqliteConnection, segments: &[i64]) -> Result<HashMap<i64, RowSet>, StoreError> {
        let mut selected = HashMap::new();
        if self.included.is_empty() {
            // Every event has a phase, and there are few of them.
            ValueTest::Any.select(Field::Phase, db, segments, &mut selected, u64::MAX).await?;
        }
        for test in &self.included {
            test.select(self.field, db, segments, &mut selected, u64::MAX).await?;
        }
        let mut excluded = HashMap::new();
        for test in &self.excluded {
            test.select(self.field, db, segments, &mut excluded, u64::MAX).await?;
        }
        for (n, rows) in &excluded {
            if let Some(selected) = selected.get_mut(n) {
                selected.subtract(rows);
            }
        }
        Ok(selected)
    }
}

impl ValueTest<'_> {
    /// Adds the rows that pass the test, until one segment has more than `many`.
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

    /// Returns the first key that can pass, and the first after it that cannot.
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
/// The largest number of segments in one lookup: 4 KB of memory a segment and condition.
const MAX_SEGMENTS_PER_LOOKUP: usize = 64;

/// Selects the blocks that can hold keys from ?3 to before ?4. In each part, the first of them is the last block that
/// begins at or before ?3. Part 0 is merged; the other parts are found at the phase, the field that is merged last.
const BLOCKS: &str = "
SELECT s.value, b.body FROM json_each(?2) AS s CROSS JOIN audit_postings AS b
    ON b.n = s.value AND b.field = ?1 AND b.part = 0 AND b.first < ?4 AND b.first >= (
        SELECT max(first) FROM audit_postings WHERE n = s.value AND field = ?1 AND part = 0 AND first <= ?3)
UNION ALL
SELECT s.value, b.body FROM json_each(?2) AS s
    CROSS JOIN audit_postings AS p ON p.n = s.value AND p.field = 5 AND p.part > 0 AND p.first = x''
    CROSS JOIN audit_postings AS b
    ON b.n = s.value AND b.field = ?1 AND b.part = p.part AND b.first < ?4 AND b.first >= (
        SELECT max(first) FROM audit_postings WHERE n = s.value AND field = ?1 AND part = p.part AND first <= ?3)";
