//! The conditions of a filter and a cursor as a search.

use mongodb::bson::{Bson, Document, doc};

use super::document::{TARGETS, path};
use super::time::time_conditions;
use crate::query::{Condition, Cursor, Field, Filter, OutcomePattern, TextPattern};

use crate::event::Phase;

/// A search for the events that pass a filter.
#[derive(Debug)]
pub(super) struct Conditions {
    /// The conditions that the server tests.
    pub(super) search: Document,
    /// True if events that are found must be tested by the filter itself: those with a condition on details, which the server
    /// compares by type and not by text.
    pub(super) needs_test: bool,
}

impl Conditions {
    /// The events that pass the filter and come after the cursor. `open` are the ids of the open `started` events, if the
    /// filter is folded.
    pub(super) fn new(filter: &Filter, after: Option<Cursor>, open: Option<Vec<String>>) -> Self {
        let mut all = time_conditions(filter.since, filter.until, after);
        for (field, condition) in filter.texts() {
            match field {
                Field::TargetType => add(&mut all, condition, |pattern| match pattern {
                    Some(pattern) => doc! {TARGETS: {"$regex": regex(pattern, "[^/]", "/")}},
                    None => doc! {TARGETS: {"$regex": "(?!)"}},
                }),
                _ => texts(&mut all, path(field), condition),
            }
        }
        outcomes(&mut all, &filter.outcome);
        phases(&mut all, &filter.phase);
        if let Some(open) = open {
            all.push(doc! {"$or": [{"phase": {"$ne": Phase::Started.as_str()}}, {"event_id": {"$in": open}}]});
        }
        let mut needs_test = false;
        for (key, condition) in &filter.details {
            needs_test |= !condition.is_empty();
            details(&mut all, key, condition);
        }
        Self { search: doc! {"$and": all}, needs_test }
    }
}

/// A condition on a field with text, or on the array of targets, of which one element must match.
fn texts(all: &mut Vec<Document>, path: &str, condition: &Condition<TextPattern>) {
    let exact = |patterns: &[TextPattern]| -> Vec<Bson> {
        patterns.iter().filter_map(TextPattern::as_exact).map(Bson::from).collect()
    };
    let (included, excluded) = (condition.included(), condition.excluded());
    let pattern = |pattern: &TextPattern| like(path, pattern);
    let texts = exact(included);
    if texts.len() == included.len() && !texts.is_empty() {
        all.push(match <[Bson; 1]>::try_from(texts) {
            Ok([only]) => doc! {path: only},
            Err(texts) => doc! {path: {"$in": texts}},
        });
    } else if !included.is_empty() {
        all.push(doc! {"$or": included.iter().map(pattern).collect::<Vec<_>>()});
    }
    let texts = exact(excluded);
    if !texts.is_empty() {
        all.push(doc! {path: {"$nin": texts}});
    }
    let others: Vec<_> = excluded.iter().filter(|pattern| pattern.as_exact().is_none()).map(pattern).collect();
    if !others.is_empty() {
        all.push(doc! {"$nor": others});
    }
}

/// Matches a field with a pattern.
fn like(path: &str, pattern: &TextPattern) -> Document {
    let literals = pattern.literals();
    if let Some(text) = pattern.as_exact() {
        return doc! {path: text};
    }
    if literals.iter().all(String::is_empty) {
        return doc! {path: {"$type": "string"}};
    }
    // No event has U+0000, and a regular expression of BSON cannot.
    if literals.iter().any(|literal| literal.contains('\0')) {
        return doc! {path: {"$regex": "(?!)"}};
    }
    let mut condition = doc! {"$regex": regex(pattern, "[\\s\\S]", "")};
    if path != TARGETS && literals.first().is_some_and(|literal| !literal.is_empty()) {
        // It says that the value is a text, which a partial index wants to know.
        condition.insert("$gte", literals[0].as_str());
    }
    doc! {path: condition}
}

/// The pattern as a regular expression. It ends at the end of the text or at `end`, which no part matches.
///
/// A literal between two stars is searched once, in an atomic group: a later failure does not go back to it, so the time is
/// linear. The leftmost place leaves the most for what comes after.
fn regex(pattern: &TextPattern, any: &str, end: &str) -> String {
    let is_end = if end.is_empty() { "(?![\\s\\S])" } else { end };
    let mut regex = String::from("^");
    let [first, middle @ .., last] = pattern.literals() else {
        // One literal: there is no star.
        escape(&mut regex, pattern.as_exact().unwrap_or_default());
        return regex + is_end;
    };
    escape(&mut regex, first);
    for literal in middle {
        regex.push_str("(?>");
        regex.push_str(any);
        regex.push_str("*?");
        escape(&mut regex, literal);
        regex.push(')');
    }
    if !last.is_empty() || !end.is_empty() {
        regex.push_str(any);
        regex.push('*');
        escape(&mut regex, last);
        regex.push_str(is_end);
    }
    regex
}

fn escape(regex: &mut String, literal: &str) {
    for c in literal.chars() {
        if c.is_ascii_punctuation() {
            regex.push('\\');
        }
        regex.push(c);
    }
}

/// Adds a condition of which each pattern is made on its own; none is a pattern that nothing matches.
fn add(all: &mut Vec<Document>, condition: &Condition<TextPattern>, one: impl Fn(Option<&TextPattern>) -> Document) {
    let possible = |pattern: &TextPattern| !pattern.literals().iter().any(|literal| literal.contains('\0'));
    let each = |patterns: &[TextPattern]| -> Vec<Document> {
        patterns.iter().map(|pattern| one(Some(pattern).filter(|pattern| possible(pattern)))).collect()
    };
    if !condition.included().is_empty() {
        all.push(doc! {"$or": each(condition.included())});
    }
    if !condition.excluded().is_empty() {
        all.push(doc! {"$nor": each(condition.excluded())});
    }
}

fn outcomes(all: &mut Vec<Document>, condition: &Condition<OutcomePattern>) {
    let one = |pattern: &OutcomePattern| match *pattern {
        OutcomePattern::Exact(status) => doc! {"outcome": i32::from(status)},
        OutcomePattern::Class(hundreds) => {
            let first = i32::from(hundreds) * 100;
            doc! {"outcome": {"$gte": first, "$lt": first + 100}}
        }
        OutcomePattern::Missing => doc! {"outcome": null},
    };
    if !condition.included().is_empty() {
        all.push(doc! {"$or": condition.included().iter().map(one).collect::<Vec<_>>()});
    }
    if !condition.excluded().is_empty() {
        all.push(doc! {"$nor": condition.excluded().iter().map(one).collect::<Vec<_>>()});
    }
}

fn phases(all: &mut Vec<Document>, condition: &Condition<Phase>) {
    let values = |phases: &[Phase]| -> Vec<Bson> {
        // A document of another program has no phase, and is the end of a request.
        let none = phases.contains(&Phase::Completed).then_some(Bson::Null);
        phases.iter().map(|phase| Bson::from(phase.as_str())).chain(none).collect()
    };
    if !condition.included().is_empty() {
        all.push(doc! {"phase": {"$in": values(condition.included())}});
    }
    if !condition.excluded().is_empty() {
        all.push(doc! {"phase": {"$nin": values(condition.excluded())}});
    }
}

/// A condition on a detail as far as the server can narrow it down: whole values of a name that a path can have.
fn details(all: &mut Vec<Document>, key: &str, condition: &Condition<TextPattern>) {
    let is_path = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let texts: Vec<&str> = condition.included().iter().filter_map(TextPattern::as_exact).collect();
    if !is_path || texts.is_empty() || texts.len() < condition.included().len() {
        return;
    }
    let mut values: Vec<Bson> = Vec::new();
    for text in texts {
        values.push(text.into());
        match text {
            "true" | "false" => values.push((text == "true").into()),
            _ => {
                // Integers above 64 bits are stored as floating-point numbers.
                values.extend(text.parse::<i64>().ok().map(Bson::Int64));
                values.extend(text.parse::<u64>().ok().map(|number| Bson::Double(number as f64)));
            }
        }
    }
    all.push(doc! {format!("details.{key}"): {"$in": values}});
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex_of(pattern: &str) -> String {
        regex(&pattern.parse().unwrap(), "[\\s\\S]", "")
    }

    #[test]
    fn a_pattern_is_a_regular_expression_that_does_not_go_back() {
        for (pattern, expected) in [
            ("/scans*", r"^\/scans"),
            ("*.org", r"^[\s\S]*\.org(?![\s\S])"),
            ("a*b*c", r"^a(?>[\s\S]*?b)[\s\S]*c(?![\s\S])"),
            ("*a*", r"^(?>[\s\S]*?a)"),
            ("a.b", r"^a\.b(?![\s\S])"),
        ] {
            assert_eq!(regex_of(pattern), expected, "{pattern}");
        }
    }
}
