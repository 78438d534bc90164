//! The conditions of a filter and a cursor.

#[cfg(feature = "postgres")]
use std::ops::Range;

use super::{Dialect, TextColumn};
use crate::event::{EventId, Phase, Timestamp};
use crate::query::{Condition, Cursor, Filter, OutcomePattern, TextPattern};

/// `WHERE ...` and the values of its parameters, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Clause {
    sql: String,
    values: Vec<BindValue>,
    dialect: &'static Dialect,
    is_ordered: bool,
    has_literals: bool,
    #[cfg(feature = "postgres")]
    alternatives: Option<Alternatives>,
}

/// Conditions of which one holds, each answered by an index of its own.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
struct Alternatives {
    /// The place of `AND (… OR …)` in the text of the clause.
    place: Range<usize>,
    conditions: Vec<String>,
}

/// A value that is bound to a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BindValue {
    Text(String),
    Integer(i32),
    Timestamp(Timestamp),
    Id(EventId),
}

impl Clause {
    /// The events that pass the filter and come after the cursor.
    pub(crate) fn new(dialect: &'static Dialect, filter: &Filter, after: Option<Cursor>) -> Self {
        let mut clause = Self {
            sql: String::from("WHERE true"),
            values: Vec::new(),
            dialect,
            is_ordered: true,
            has_literals: false,
            #[cfg(feature = "postgres")]
            alternatives: None,
        };
        for (field, condition) in filter.texts() {
            clause.text((dialect.text)(field), condition);
        }
        for (key, condition) in &filter.details {
            clause.detail(key, condition);
        }
        // A row with a time before the first one that an event can have counts as one of that time.
        if let Some(since) = filter.since.filter(|since| *since > Timestamp::MIN) {
            clause.and("created_at >= ", BindValue::Timestamp(since));
        }
        if filter.until == Some(Timestamp::MIN) {
            clause.sql.push_str(" AND false");
        }
        // A cursor is a narrower end of the span; a database that is given two ends may begin at the wider one.
        if let Some(until) = filter.until.filter(|until| after.is_none_or(|after| after.created_at >= *until)) {
            clause.and("created_at < ", BindValue::Timestamp(until));
        }
        clause.outcome(&filter.outcome);
        clause.phase(&filter.phase);
        if let Some(Cursor { created_at, event_id }) = after {
            let (moment, id) = (clause.bound(BindValue::Timestamp(created_at)), clause.bound(BindValue::Id(event_id)));
            if clause.dialect.compares_rows {
                clause.sql.push_str(&format!(" AND (created_at, event_id) < ({moment}, {id})"));
            } else {
                // An index finds the rows by the first condition.
                let same = clause.bound(BindValue::Timestamp(created_at));
                let condition = format!(" AND created_at <= {moment} AND (event_id < {id} OR created_at < {same})");
                clause.sql.push_str(&condition);
            }
        }
        clause
    }

    /// Adds a condition without parameters.
    #[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
    pub(crate) fn and_also(mut self, condition: &str) -> Self {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self
    }

    /// The text.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    /// The number of the next parameter.
    #[cfg(feature = "postgres")]
    pub(crate) fn next_parameter(&self) -> usize {
        self.values.len() + 1
    }

    /// Returns true if an index of `(field, created_at)` yields the rows in the order of a listing; false for one of several
    /// values of a field.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_index_ordered(&self) -> bool {
        self.is_ordered
    }

    /// The texts of clauses that divide the rows of this one among them, each with a condition that one index answers.
    /// Empty if the filter has no such condition.
    #[cfg(feature = "postgres")]
    pub(crate) fn branches(&self) -> Vec<String> {
        let Some(Alternatives { place, conditions }) = &self.alternatives else { return Vec::new() };
        let branch = |(n, condition): (usize, &String)| {
            let earlier: String =
                conditions[..n].iter().map(|earlier| format!(" AND ({earlier}) IS NOT TRUE")).collect();
            format!("{} AND {condition}{earlier}{}", &self.sql[..place.start], &self.sql[place.end..])
        };
        conditions.iter().enumerate().map(branch).collect()
    }

    /// Returns true if the text is the same for other values: a prepared statement is of use for them.
    #[cfg(feature = "mysql")]
    pub(crate) fn is_reusable(&self) -> bool {
        !self.has_literals
    }

    /// The values, to be bound in this order.
    pub(crate) fn into_values(self) -> Vec<BindValue> {
        self.values
    }

    fn and(&mut self, condition: &str, value: BindValue) {
        let parameter = self.bound(value);
        self.sql.push_str(&format!(" AND {condition}{parameter}"));
    }

    /// A parameter of this value.
    fn bound(&mut self, value: BindValue) -> String {
        self.values.push(value);
        if self.dialect.numbered { format!("${}", self.values.len()) } else { "?".to_owned() }
    }

    /// Binds a text for each of its mentions, in their order.
    #[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
    fn bind_each(&mut self, condition: &str, text: &str) -> String {
        for _ in condition.matches("{value}") {
            self.bound(BindValue::Text(text.to_owned()));
        }
        condition.replace("{value}", "?")
    }

    /// A text that a condition may mention several times: a parameter, or a literal where parameters have no numbers.
    fn mentioned(&mut self, text: &str) -> String {
        match self.dialect.text_literal {
            Some(literal) => {
                self.has_literals = true;
                literal(text)
            }
            None => self.bound(BindValue::Text(text.to_owned())),
        }
    }

    fn text(&mut self, column: TextColumn, condition: &Condition<TextPattern>) {
        match column {
            TextColumn::One(column) => self.column(column, condition),
            #[cfg(any(feature = "postgres", feature = "mysql", all(feature = "duckdb", unix)))]
            TextColumn::List { rows, value, indexed } => {
                let each = |clause: &mut Self, pattern: &TextPattern| {
                    format!("EXISTS (SELECT 1 FROM {rows} WHERE {})", clause.like(value, pattern))
                };
                #[cfg(feature = "postgres")]
                let begin = self.sql.len();
                let mut alternatives = Vec::new();
                self.one_of(condition.included(), |clause, pattern| match pattern.as_exact() {
                    Some(text) if !indexed.is_empty() && !text.contains('\0') => {
                        let numbered = clause.dialect.numbered.then(|| clause.bound(BindValue::Text(text.to_owned())));
                        let fill = |condition: &&str| match &numbered {
                            Some(value) => condition.replace("{value}", value),
                            None => clause.bind_each(condition, text),
                        };
                        alternatives = indexed.iter().map(fill).collect();
                        format!("({})", alternatives.join(" OR "))
                    }
                    _ => each(clause, pattern),
                });
                #[cfg(feature = "postgres")]
                if condition.included().len() == 1 && alternatives.len() > 1 {
                    self.alternatives = Some(Alternatives { place: begin..self.sql.len(), conditions: alternatives });
                }
                // Never null, as the indexed condition is where an event has no target.
                self.none_of(condition.excluded(), None, each);
                self.is_ordered &= condition.included().is_empty();
            }
            #[cfg(feature = "sqlite")]
            TextColumn::Elsewhere => {}
        }
    }

    fn detail(&mut self, key: &str, condition: &Condition<TextPattern>) {
        let Some(value) = self.dialect.detail.filter(|_| !condition.is_empty()) else { return };
        if key.contains('\0') {
            // No event has such a key.
            if !condition.included().is_empty() {
                self.sql.push_str(" AND false");
            }
            return;
        }
        let key = self.mentioned(key);
        self.column(&value.replace("{key}", &key), condition);
    }

    fn column(&mut self, column: &str, condition: &Condition<TextPattern>) {
        let texts: Vec<&str> = condition.included().iter().filter_map(TextPattern::as_exact).collect();
        if (self.dialect.digest)(column).is_none()
            && texts.len() > 1
            && texts.len() == condition.included().len()
            && !texts.iter().any(|text| text.contains('\0'))
        {
            let listed: Vec<_> = texts.iter().map(|text| self.bound(BindValue::Text((*text).to_owned()))).collect();
            self.sql.push_str(&format!(" AND {column} IN ({})", listed.join(", ")));
            self.is_ordered = false;
        } else {
            self.one_of(condition.included(), |clause, pattern| clause.like(column, pattern));
        }
        self.none_of(condition.excluded(), Some(column), |clause, pattern| clause.like(column, pattern));
    }

    fn outcome(&mut self, condition: &Condition<OutcomePattern>) {
        let one = |clause: &mut Self, status: &OutcomePattern| match *status {
            OutcomePattern::Exact(status) => {
                format!("outcome = {}", clause.bound(BindValue::Integer(i32::from(status))))
            }
            OutcomePattern::Class(hundreds) => {
                let first = i32::from(hundreds) * 100;
                let (first, last) =
                    (clause.bound(BindValue::Integer(first)), clause.bound(BindValue::Integer(first + 99)));
                clause.is_ordered = false;
                format!("outcome BETWEEN {first} AND {last}")
            }
            OutcomePattern::Missing => "outcome IS NULL".to_owned(),
        };
        self.one_of(condition.included(), one);
        self.none_of(condition.excluded(), Some("outcome"), one);
    }

    fn phase(&mut self, condition: &Condition<Phase>) {
        let one = |clause: &mut Self, phase: &Phase| {
            format!("phase = {}", clause.bound(BindValue::Text(phase.as_str().to_owned())))
        };
        self.one_of(condition.included(), one);
        self.none_of(condition.excluded(), Some("phase"), one);
    }

    fn one_of<T>(&mut self, values: &[T], mut one: impl FnMut(&mut Self, &T) -> String) {
        let each: Vec<_> = values.iter().map(|value| one(self, value)).collect();
        match each.as_slice() {
            [] => {}
            [only] => self.sql.push_str(&format!(" AND {only}")),
            _ => {
                self.sql.push_str(&format!(" AND ({})", each.join(" OR ")));
                self.is_ordered = false;
            }
        }
    }

    /// Excludes values. A null in the column is none of them, although SQL would answer null. Without a column, the condition
    /// is never null.
    fn none_of<T>(&mut self, values: &[T], column: Option<&str>, mut one: impl FnMut(&mut Self, &T) -> String) {
        let is_ordered = self.is_ordered;
        for value in values {
            let condition = one(self, value);
            match column.filter(|_| !condition.ends_with(" IS NULL") && !condition.ends_with(" IS NOT NULL")) {
                Some(column) => self.sql.push_str(&format!(" AND ({column} IS NULL OR NOT ({condition}))")),
                None => self.sql.push_str(&format!(" AND NOT ({condition})")),
            }
        }
        self.is_ordered = is_ordered;
    }

    /// Matches a column with a pattern; false or null where the column is null.
    fn like(&mut self, column: &str, pattern: &TextPattern) -> String {
        let literals = pattern.literals();
        // No event has U+0000, and not every database takes it.
        if literals.iter().any(|literal| literal.contains('\0')) {
            return "false".to_owned();
        }
        if let Some(text) = pattern.as_exact() {
            let value = self.bound(BindValue::Text(text.to_owned()));
            return match (self.dialect.digest)(column) {
                Some(digest) => {
                    let [indexed, asked] = [column, &*value].map(|text| digest.replace("{value}", text));
                    format!("({indexed} = {asked} AND {column} = {value})")
                }
                None => format!("{column} = {value}"),
            };
        }
        let mut conditions = Vec::new();
        let beginning = &literals[0];
        if !beginning.is_empty() {
            // A range of the index, which the database would not derive from the pattern.
            self.is_ordered = false;
            conditions.push(format!("{column} >= {}", self.bound(BindValue::Text(beginning.clone()))));
            if let Some(end) = prefix_upper_bound(beginning) {
                conditions.push(format!("{column} < {}", self.bound(BindValue::Text(end))));
            }
        }
        if literals[1..].iter().any(|literal| !literal.is_empty()) {
            let pattern = self.pattern(literals);
            conditions.push(format!("{column} {} {}", self.dialect.like, self.bound(BindValue::Text(pattern))));
        }
        if conditions.is_empty() {
            return format!("{column} IS NOT NULL");
        }
        format!("({})", conditions.join(" AND "))
    }

    fn pattern(&self, literals: &[String]) -> String {
        let mut pattern = String::new();
        for (place, literal) in literals.iter().enumerate() {
            if place > 0 {
                pattern.push(self.dialect.wildcard);
            }
            literal.chars().for_each(|c| (self.dialect.literal)(c, &mut pattern));
        }
        pattern
    }
}

/// The first text, byte by byte, that comes after all that begin like this; none if there is no such text.
fn prefix_upper_bound(beginning: &str) -> Option<String> {
    let mut text = beginning.to_owned();
    while let Some(last) = text.pop() {
        // The bytes of UTF-8 sort as the characters do; between U+D7FF and U+E000 there are none.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_span_holds_what_begins_alike(beginning in "[a\u{D7FF}\u{10FFFF}é]{1,4}", rest in "\\PC{0,4}", other in "\\PC{0,5}") {
            let begins = format!("{beginning}{rest}");
            let end = prefix_upper_bound(&beginning);
            let within = |text: &str| text >= beginning.as_str() && end.as_deref().is_none_or(|end| text < end);
            prop_assert!(within(&begins));
            prop_assert_eq!(within(&other), other.starts_with(&beginning));
        }
    }
}
