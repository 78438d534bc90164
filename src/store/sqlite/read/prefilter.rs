//! A prefilter: substrings that a matching row must contain. Searching for them is ten times cheaper than parsing.

use crate::event::Phase;
use crate::event::undecodable::UNKNOWN_TYPE;
use crate::query::{Condition, Field, Filter, OutcomePattern, TextPattern};

/// For each condition, the texts of which one must occur.
#[derive(Debug)]
pub(crate) struct Prefilter {
    each: Vec<Vec<String>>,
}

impl Prefilter {
    pub(crate) fn of(filter: &Filter) -> Self {
        let texts = filter.texts().into_iter().map(|(field, condition)| match field {
            Field::EventType => None,
            Field::Target => of_each(condition, of_target),
            _ => of_each(condition, of_pattern),
        });
        let details = filter.details.values().map(|condition| of_each(condition, of_pattern));
        // An undecodable event may be shown with a type that is not in its text.
        let types =
            of_each(&filter.event_type, |pattern| of_pattern(pattern).filter(|_| !pattern.matches(UNKNOWN_TYPE)));
        let others = [
            of_each(&filter.outcome, |status| match status {
                OutcomePattern::Exact(status) => Some(format!("\"outcome\":{status}")),
                OutcomePattern::Class(_) | OutcomePattern::Missing => None,
            }),
            types,
            // A phase of a later version is read as unknown.
            of_each(&filter.phase, |phase| Some(phase.as_str().to_owned()).filter(|_| *phase != Phase::Unknown)),
        ];
        Self { each: texts.chain(details).chain(others).flatten().collect() }
    }

    /// Returns true if the text, as this store writes events, may hold a matching event.
    pub(crate) fn may_match(&self, text: &str) -> bool {
        self.each.iter().all(|one_of| one_of.iter().any(|trace| text.contains(trace)))
    }
}

/// The texts of all included values, if each has one.
fn of_each<T>(condition: &Condition<T>, trace: impl Fn(&T) -> Option<String>) -> Option<Vec<String>> {
    if condition.included().is_empty() {
        return None;
    }
    condition.included().iter().map(trace).collect()
}

/// Returns the longest literal of a pattern, as JSON escapes it.
fn of_pattern(pattern: &TextPattern) -> Option<String> {
    let longest =
        pattern.literals().iter().max_by_key(|literal| literal.len()).filter(|literal| !literal.is_empty())?;
    let quoted = serde_json::to_string(longest).ok()?;
    Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// Returns the id of a target; its type is elsewhere in the text.
fn of_target(pattern: &TextPattern) -> Option<String> {
    let (_, id) = pattern.as_exact()?.split_once('/')?;
    of_pattern(&TextPattern::exact(id))
}
