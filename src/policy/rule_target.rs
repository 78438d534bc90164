//! The target that a rule gives its events.

use crate::event::excerpt;
use crate::event::limits::MAX_TARGET_TYPE_BYTES;
use crate::event::{CompactText, Target};

/// The target of a rule's events, unless a handler names others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum RuleTarget {
    /// The last parameter of the route, under the literal segment before it.
    #[default]
    OfRoute,
    /// None.
    Off,
    /// This type, and an id made of parameters of the path.
    Named(TargetTemplate),
}

/// `order/{id}`: a type, and an id with parameters of the path in it. As it was given; [`problem`](Self::problem) checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetTemplate {
    pub(super) target_type: CompactText,
    pub(super) id: CompactText,
}

/// A part of the id in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdPart<'t> {
    Literal(&'t str),
    Parameter(&'t str),
    /// A brace without its other half, or an empty name.
    Malformed,
}

impl TargetTemplate {
    /// Returns the parts of the id. After a malformed one there is none.
    pub(super) fn parts(&self) -> impl Iterator<Item = IdPart<'_>> {
        let mut rest = self.id.as_str();
        std::iter::from_fn(move || {
            let part = match rest.find(['{', '}']) {
                _ if rest.is_empty() => return None,
                None => IdPart::Literal(std::mem::take(&mut rest)),
                Some(0) => match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                    Some((name, after)) => {
                        rest = after;
                        let name = name.strip_prefix('*').unwrap_or(name);
                        let is_name = !name.is_empty() && !name.contains(['{', '*']);
                        if is_name { IdPart::Parameter(name) } else { IdPart::Malformed }
                    }
                    None => IdPart::Malformed,
                },
                Some(at) => {
                    let (literal, after) = rest.split_at(at);
                    rest = after;
                    IdPart::Literal(literal)
                }
            };
            if part == IdPart::Malformed {
                rest = "";
            }
            Some(part)
        })
    }

    /// Returns the names of the parameters in the id.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts().filter_map(|part| match part {
            IdPart::Parameter(name) => Some(name),
            _ => None,
        })
    }

    /// Returns the fault of the template itself, if it has one.
    pub(super) fn problem(&self) -> Option<String> {
        if Target::new(self.target_type.clone(), 1).target_type != self.target_type {
            return Some(format!(
                "{:?} is no type of a target: expected 1 to {MAX_TARGET_TYPE_BYTES} lower-case letters, digits, `.`, `_` \
                 and `-`, such as \"order\"",
                excerpt(&self.target_type)
            ));
        }
        let is_wrong = self.id.is_empty() || self.parts().any(|part| part == IdPart::Malformed);
        is_wrong.then(|| {
            let given = excerpt(&self.id);
            format!("{given:?} is no id of a target: expected text with parameters of the path, such as \"{{id}}\"")
        })
    }

    /// Returns the target, if every parameter of the id has a value.
    pub(super) fn resolve(&self, value: impl Fn(&str) -> Option<CompactText>) -> Option<Target> {
        let mut parts = self.parts();
        // Most ids are one parameter, and need no text of their own.
        if let (Some(IdPart::Parameter(name)), None) = (parts.next(), parts.next()) {
            return Some(Target::new(self.target_type.clone(), value(name)?));
        }
        let mut id = String::new();
        for part in self.parts() {
            match part {
                IdPart::Literal(text) => id.push_str(text),
                IdPart::Parameter(name) => id.push_str(&value(name)?),
                IdPart::Malformed => return None,
            }
        }
        Some(Target::new(self.target_type.clone(), id))
    }
}

impl std::fmt::Display for TargetTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.target_type, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(target_type: &str, id: &str) -> TargetTemplate {
        TargetTemplate { target_type: target_type.into(), id: id.into() }
    }

    #[test]
    fn an_id_is_made_of_parameters_and_text() {
        let value = |name: &str| (name != "missing").then(|| CompactText::from(name.to_uppercase()));
        let resolved = |id: &str| template("order", id).resolve(value).map(|target| target.to_string());
        for (id, expected) in [
            ("{id}", Some("order/ID")),
            ("{*path}", Some("order/PATH")),
            ("{a}/{b}-x", Some("order/A/B-x")),
            ("all", Some("order/all")),
            ("{missing}", None),
            ("{a}{missing}", None),
        ] {
            assert_eq!(resolved(id).as_deref(), expected, "{id}");
        }
    }

    #[test]
    fn faults_are_found() {
        for (target_type, id) in [("Order", "{id}"), ("", "{id}"), ("a/b", "1")] {
            assert!(template(target_type, id).problem().is_some_and(|text| text.contains("no type")), "{target_type}");
        }
        for id in ["", "{", "}", "{}", "{*}", "{a", "a}", "{a{b}}", "{a}}"] {
            assert!(template("order", id).problem().is_some_and(|text| text.contains("no id")), "{id}");
        }
        assert_eq!(template("order.item", "{a}/{b}").problem(), None);
    }
}
