//! The coverage of a route.

use std::fmt;

use http::Method;

use super::route_template;
use crate::event::EventType;
use crate::policy::AuditPolicy;

/// The rules that audit a route, or the reason why none does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coverage {
    /// These rules name it, the first of them first.
    Rules(Vec<EventType>),
    /// These rules name some of the paths that its parameters stand for, or some of the methods of a route for any.
    Partial(Vec<EventType>),
    /// These rules name it, or do not: that depends on how much of the path the layer sees, and it was not found out,
    /// for a layer further out refuses the request. Inside of a nested router a layer sees the path without the prefix.
    Undetermined(Vec<EventType>),
    /// A layer is around it, and no rule names it: there is an event only if the handler declares one, or for the
    /// number of its results.
    NoRule,
    /// No layer is around it.
    NoLayer,
    /// A layer is around it whose log is off.
    LogDisabled,
}

/// A layer around a route.
pub(super) struct LayerView<'p> {
    /// None: its log is off.
    pub(super) policy: Option<&'p AuditPolicy>,
    /// The template of the route as the layer sees it; several if that is not known.
    pub(super) sees: Vec<String>,
}

impl Coverage {
    /// Returns the coverage of a route by the layers around it, for these methods, the innermost layer first: it takes the place
    /// of the outer ones where one of its rules names the request.
    pub(super) fn of(layers: &[LayerView<'_>], methods: &[Method]) -> Self {
        if layers.is_empty() {
            return Self::NoLayer;
        }
        let (mut is_on, mut in_part, mut unclear) = (false, Vec::new(), Vec::new());
        for LayerView { policy, sees } in layers {
            let Some(policy) = policy else { continue };
            is_on = true;
            let names = |template: &String, method| !types(policy, method, template, None).is_empty();
            let is_whole = |template| methods.iter().all(|method| names(template, method));
            // True if every template that the layer may see gives the same answer.
            let is_clear =
                |method| sees.iter().all(|template| names(template, method)) || !sees.iter().any(|t| names(t, method));
            let mut covered = Vec::new();
            for (template, method) in sees.iter().flat_map(|t| methods.iter().map(move |method| (t, method))) {
                covered.extend(types(policy, method, template, None));
            }
            if sees.iter().all(is_whole) {
                // Where an inner layer has taken its place, the rules of that one are the ones.
                return Self::Rules(deduplicated(unclear.into_iter().chain(in_part).chain(covered)));
            }
            if methods.iter().all(is_clear) {
                in_part.extend(covered)
            } else {
                unclear.extend(covered)
            }
            for pattern in policy.rules().iter().flat_map(|rule| rule.path_patterns()) {
                for (template, method) in sees.iter().flat_map(|t| methods.iter().map(move |method| (t, method))) {
                    in_part.extend(types(policy, method, template, Some(pattern)));
                }
            }
        }
        match (unclear.is_empty(), in_part.is_empty()) {
            (false, _) => Self::Undetermined(deduplicated(unclear)),
            (true, false) => Self::Partial(deduplicated(in_part)),
            (true, true) if is_on => Self::NoRule,
            (true, true) => Self::LogDisabled,
        }
    }

    /// Returns true if a rule covers every request to the route.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Rules(_))
    }
}

/// The types of the rules that name a path of this template: one like `pattern`, if that is given.
fn types(policy: &AuditPolicy, method: &Method, template: &str, pattern: Option<&str>) -> Vec<EventType> {
    let below = policy.strip_base_path(template);
    let mount = template.strip_suffix(below).unwrap_or(template);
    let path = format!("{mount}{}", route_template::example_path(below, pattern));
    let covered = policy.matching_rules(method, &path);
    covered.iter().map(|index| policy.rule(index).event_type().clone()).collect()
}

fn deduplicated(types: impl IntoIterator<Item = EventType>) -> Vec<EventType> {
    let mut once = Vec::new();
    for event_type in types {
        if !once.contains(&event_type) {
            once.push(event_type);
        }
    }
    once
}

/// `upload`, `IN PART: upload`, `no rule`
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[EventType]| types.iter().map(EventType::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::Rules(types) => f.write_str(&list(types)),
            Self::Partial(types) => write!(f, "IN PART: {}", list(types)),
            Self::Undetermined(types) => write!(f, "UNCLEAR: {}", list(types)),
            Self::NoRule => f.write_str("no rule"),
            Self::NoLayer => f.write_str("NO LAYER"),
            Self::LogDisabled => f.write_str("off"),
        }
    }
}
