//! Index lookup: the rows of a segment that match a filter's fields.
//!
//! One lookup serves the next segments too: first one segment, because a page is soon full, then 4, 16 and 64, because a
//! rare value is searched in all of them.

use std::collections::{HashMap, VecDeque};

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::select::Selection;
use super::source::{Source, SourceRef};
use crate::event::Phase;
use crate::query::{Condition, Field, Filter, OutcomePattern, TextPattern};
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::IndexPart;
use crate::store::sqlite::segments::postings::{self, PRESENT, key};
use crate::store::sqlite::segments::row_set::RowSet;
use crate::store::sqlite::segments::segment_row;
use crate::store::sqlite::segments::terms::{self, TermKey};

/// The rows of segments that match a filter's conditions on fields.
#[derive(Debug)]
pub(crate) struct IndexLookup<'a> {
    selection: Selection<'a>,
    conditions: Vec<LookupCondition<'a>>,
    /// True if a condition is one that the index does not answer.
    is_beyond_index: bool,
    row_sets: HashMap<i64, RowSet>,
    /// The number of segments in one lookup.
    segments_per_lookup: usize,
    /// The number of rows beyond which a segment's need not all be found.
    max_rows: u64,
    key: Option<TermKey>,
}

#[derive(Debug)]
enum LookupCondition<'a> {
    /// A condition on one part of the index: any of these values, none of those.
    Values { part: IndexPart, included: Vec<ValueTest<'a>>, excluded: Vec<ValueTest<'a>> },
    /// No `started` event that has ended.
    Folded,
}

/// A test of one value.
#[derive(Debug, Clone, Copy)]
enum ValueTest<'a> {
    Text(&'a TextPattern),
    Status(OutcomePattern),
    Phase(Phase),
    Term(Field, &'a str),
    Detail(&'a str, &'a str),
    Any,
}

impl<'a> IndexLookup<'a> {
    pub(crate) fn new(selection: Selection<'a>) -> Self {
        let filter = selection.filter;
        let mut conditions = vec![
            values(IndexPart::Values(Field::Outcome), &filter.outcome, |status| Some(ValueTest::Status(*status))),
            values(IndexPart::Values(Field::Phase), &filter.phase, |phase| Some(ValueTest::Phase(*phase))),
        ];
        conditions.extend(filter.texts().map(|(field, condition)| match IndexPart::of(field) {
            IndexPart::Terms => values(IndexPart::Terms, condition, |pattern| {
                pattern.as_exact().map(|text| ValueTest::Term(field, text))
            }),
            part => values(part, condition, |pattern| Some(ValueTest::Text(pattern))),
        }));
        conditions.extend(filter.details.iter().map(|(key, condition)| {
            values(IndexPart::Terms, condition, |pattern| pattern.as_exact().map(|text| ValueTest::Detail(key, text)))
        }));
        let is_beyond_index = conditions.iter().any(Option::is_none);
        let is_any = |condition: &LookupCondition<'_>| matches!(condition, LookupCondition::Values { included, excluded, .. } if included.is_empty() && excluded.is_empty());
        let mut conditions: Vec<_> = conditions.into_iter().flatten().filter(|condition| !is_any(condition)).collect();
        conditions.extend(filter.folded.then_some(LookupCondition::Folded));
        Self {
            selection,
            conditions,
            is_beyond_index,
            row_sets: HashMap::new(),
            segments_per_lookup: 1,
            max_rows: u64::MAX,
            key: None,
        }
    }

    /// Returns the names of the conditions that the index does not answer: patterns for what it has digests of.
    pub(crate) fn unindexed(filter: &Filter) -> Vec<&'static str> {
        let has_pattern = |condition: &Condition<TextPattern>| {
            condition.included().iter().chain(condition.excluded()).any(|pattern| pattern.as_exact().is_none())
        };
        let texts = filter.texts().into_iter();
        let texts =
            texts.filter(|(field, condition)| IndexPart::of(*field) == IndexPart::Terms && has_pattern(condition));
        let details = filter.details.values().any(has_pattern).then_some("detail");
        texts.map(|(field, _)| field.as_str()).chain(details).collect()
    }

    /// A lookup that may stop in a segment after more than this many rows, if a walk can test the conditions itself.
    pub(crate) fn with_row_limit(selection: Selection<'a>, max_rows: u64) -> Self {
        let max_rows = if selection.is_beyond_columns() { u64::MAX } else { max_rows };
        Self { max_rows, ..Self::new(selection) }
    }

    /// Returns true for a filter without conditions on fields.
    pub(crate) fn is_unconstrained(&self) -> bool {
        self.conditions.is_empty() && !self.is_beyond_index
    }

    /// Returns the matching rows of a segment; `None` without conditions, or without an exact index if the columns of the
    /// rows can test them. `rest` has the sources that the reader visits next.
    pub(crate) async fn of(
        &mut self,
        db: &mut SqliteConnection,
        source: Source,
        rest: &VecDeque<Source>,
    ) -> Result<Option<RowSet>, StoreError> {
        let SourceRef::Segment(n) = source.source_ref else { return Ok(None) };
        if self.is_unconstrained() {
            return Ok(None);
        }
        if !source.indexed || self.is_beyond_index {
            return match self.selection.is_beyond_columns() {
                true => scan_rows(db, self.selection, n).await.map(Some),
                false => Ok(None),
            };
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
        let is_by_term = |condition: &LookupCondition<'_>| {
            matches!(condition, LookupCondition::Values { part: IndexPart::Terms, .. })
        };
        if self.key.is_none() && self.conditions.iter().any(is_by_term) {
            self.key = Some(TermKey::load(&mut *db).await?);
        }
        let key = self.key.as_ref();
        if let ([LookupCondition::Values { part, included, excluded }], [_]) =
            (self.conditions.as_slice(), segments.as_slice())
            && let ([test], []) = (included.as_slice(), excluded.as_slice())
        {
            // A single condition: no other can remove rows again.
            test.select(*part, key, db, &segments, &mut self.row_sets, self.max_rows).await?;
            return Ok(self.row_sets.remove(&n));
        }
        for (place, condition) in self.conditions.iter().enumerate() {
            let mut selected = condition.select(key, self.selection, db, &segments).await?;
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

/// The tests of a condition; `None` if there is none for one of its values.
fn values<'a, T>(
    part: IndexPart,
    condition: &'a Condition<T>,
    test: impl Fn(&'a T) -> Option<ValueTest<'a>>,
) -> Option<LookupCondition<'a>> {
    Some(LookupCondition::Values {
        part,
        included: condition.included().iter().map(&test).collect::<Option<_>>()?,
        excluded: condition.excluded().iter().map(&test).collect::<Option<_>>()?,
    })
}

/// Returns the selected rows of a segment whose index does not tell them, by reading every event of it.
async fn scan_rows(db: &mut SqliteConnection, selection: Selection<'_>, n: i64) -> Result<RowSet, StoreError> {
    let of_any_place = Selection { after: None, ..selection };
    let mut rows = RowSet::default();
    segment_row::scan(db, n, "true", |row, event, _| {
        if of_any_place.contains(event) {
            rows.insert(row);
        }
    })
    .await?;
    Ok(rows)
}

impl LookupCondition<'_> {
    /// Returns the matching rows of each segment; no entry for a segment without any.
    async fn select(
        &self,
        key: Option<&TermKey>,
        selection: Selection<'_>,
        db: &mut SqliteConnection,
        segments: &[i64],
    ) -> Result<HashMap<i64, RowSet>, StoreError> {
        const PHASE: IndexPart = IndexPart::Values(Field::Phase);
        let (part, included, excluded) = match self {
            Self::Values { part, included, excluded } => (*part, included.as_slice(), excluded.as_slice()),
            Self::Folded => (PHASE, &[][..], &[ValueTest::Phase(Phase::Started)][..]),
        };
        let mut selected = HashMap::new();
        if included.is_empty() {
            // Every event has a phase, and there are few of them.
            ValueTest::Any.select(PHASE, key, db, segments, &mut selected, u64::MAX).await?;
        }
        for test in included {
            test.select(part, key, db, segments, &mut selected, u64::MAX).await?;
        }
        let mut unwanted = HashMap::new();
        for test in excluded {
            test.select(part, key, db, segments, &mut unwanted, u64::MAX).await?;
        }
        for (n, rows) in &unwanted {
            if let Some(selected) = selected.get_mut(n) {
                selected.subtract(rows);
            }
        }
        if matches!(self, Self::Folded) && !selection.open.is_empty() {
            add_open(db, segments, &mut selected).await?;
        }
        Ok(selected)
    }
}

/// Adds the rows of the open events. They are nearly always in the newest segment.
async fn add_open(
    db: &mut SqliteConnection,
    segments: &[i64],
    selected: &mut HashMap<i64, RowSet>,
) -> Result<(), StoreError> {
    let with_open: Vec<i64> = sqlx::query_scalar(
        "SELECT n FROM audit_segments AS s WHERE n IN (SELECT value FROM json_each(?1)) AND EXISTS (\
         SELECT 1 FROM audit_started AS o WHERE o.event_id BETWEEN s.min_id AND s.max_id)",
    )
    .bind(serde_json::to_string(segments).during(DOING)?)
    .fetch_all(&mut *db)
    .await
    .during(DOING)?;
    for n in with_open {
        let sql = format!("SELECT seq FROM audit_segment_{n} WHERE event_id IN (SELECT event_id FROM audit_started)");
        let rows: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *db).await.during(DOING)?;
        let selected = selected.entry(n).or_default();
        rows.into_iter().filter_map(|row| u32::try_from(row).ok()).for_each(|row| selected.insert(row));
    }
    Ok(())
}

impl ValueTest<'_> {
    /// Adds the rows that pass the test, until one segment has more than `many`.
    async fn select(
        self,
        part: IndexPart,
        key: Option<&TermKey>,
        db: &mut SqliteConnection,
        segments: &[i64],
        selected: &mut HashMap<i64, RowSet>,
        many: u64,
    ) -> Result<(), StoreError> {
        let digest = key.and_then(|key| self.digest(key));
        let (first, end) = digest.map_or_else(|| self.span(), terms::span);
        let mut blocks = sqlx::query(AssertSqlSafe(blocks()))
            .bind(part.number())
            .bind(serde_json::to_string(segments).during(DOING)?)
            .bind(first)
            .bind(end)
            .fetch(db);
        while let Some(block) = blocks.try_next().await.during(DOING)? {
            let (n, body): (i64, &[u8]) = (block.try_get(0).during(DOING)?, block.try_get(1).during(DOING)?);
            match digest {
                Some(digest) => terms::read(body, |found, row| {
                    if found == digest {
                        selected.entry(n).or_default().insert(u32::from(row));
                    }
                }),
                None => postings::read(body, |value, rows| {
                    if self.matches(value) {
                        selected.entry(n).or_default().union(rows);
                    }
                }),
            }
            .during(DOING)?;
            if many < u64::MAX && selected.get(&n).is_some_and(|rows| rows.len() > many) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the digest of a term.
    fn digest(self, key: &TermKey) -> Option<u64> {
        match self {
            Self::Term(field, text) => Some(key.field(field, text)),
            Self::Detail(name, text) => Some(key.detail(name, text)),
            _ => None,
        }
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
            Self::Term(..) | Self::Detail(..) | Self::Any => (Vec::new(), vec![u8::MAX]),
        }
    }

    fn matches(self, value: Option<&str>) -> bool {
        match self {
            Self::Text(pattern) => value.is_some_and(|value| pattern.matches(value)),
            Self::Status(status) => status.matches(value.and_then(|value| value.parse().ok())),
            Self::Phase(phase) => value == Some(phase.as_str()),
            Self::Term(..) | Self::Detail(..) => false,
            Self::Any => true,
        }
    }
}

const DOING: &str = "reading";
/// The largest number of segments in one lookup: 4 KB of memory a segment and condition.
const MAX_SEGMENTS_PER_LOOKUP: usize = 64;

/// Selects the blocks that can hold keys from ?3 to before ?4. In each chunk's, the first of them is the last block that
/// begins at or before ?3. Chunk 0 is merged; the others are found at the phase, the part that is merged last.
fn blocks() -> String {
    format!(
        "SELECT s.value, b.body FROM json_each(?2) AS s CROSS JOIN audit_postings AS b
    ON b.n = s.value AND b.field = ?1 AND b.part = 0 AND b.first < ?4 AND b.first >= (
        SELECT max(first) FROM audit_postings WHERE n = s.value AND field = ?1 AND part = 0 AND first <= ?3)
UNION ALL
SELECT s.value, b.body FROM json_each(?2) AS s
    CROSS JOIN audit_postings AS p ON p.n = s.value AND p.field = {} AND p.part > 0 AND p.first = x''
    CROSS JOIN audit_postings AS b
    ON b.n = s.value AND b.field = ?1 AND b.part = p.part AND b.first < ?4 AND b.first >= (
        SELECT max(first) FROM audit_postings WHERE n = s.value AND field = ?1 AND part = p.part AND first <= ?3)",
        IndexPart::Values(Field::Phase).number()
    )
}
