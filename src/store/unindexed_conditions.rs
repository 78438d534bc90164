//! The conditions of a filter that the indexes of a server do not answer.

use crate::query::{Field, Filter, TextPattern};

/// Returns the names of the filter's conditions that no index answers.
pub(super) fn unindexed(filter: &Filter) -> Vec<&'static str> {
    let by_text = filter.texts().into_iter().filter(|(field, condition)| {
        let begins = |pattern: &TextPattern| pattern.literals().first().is_some_and(|literal| !literal.is_empty());
        let is_whole = |pattern: &TextPattern| pattern.as_exact().is_some();
        let included = condition.included();
        let is_indexed = match field {
            Field::EventType | Field::UserEmail | Field::RemoteAddr | Field::Route => {
                included.iter().all(|pattern| is_whole(pattern) || begins(pattern) || *pattern == TextPattern::any())
            }
            Field::Target | Field::RequestId | Field::TraceId => included.iter().all(is_whole),
            _ => false,
        };
        !condition.is_empty() && !is_indexed
    });
    let details = filter.details.values().any(|condition| !condition.is_empty()).then_some("detail");
    by_text.map(|(field, _)| field.as_str()).chain(details).collect()
}
