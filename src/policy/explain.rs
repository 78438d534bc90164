//! The rules of a policy, applied to a method and a path, in words.

use std::fmt;

use http::Method;

use super::{AuditPolicy, RoutedPath, Rule};
use crate::event::{EventType, excerpt};

/// The rules of a policy, each with its result for one method and path; see [`AuditPolicy::explain`].
///
/// As text, it is a line for the verdict and one for each rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    method: Method,
    path: String,
    rules: Vec<ExplainedRule>,
}

/// A rule, and its result for one method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedRule {
    event_type: EventType,
    is_write_ahead: bool,
    result: RuleResult,
    target: Option<String>,
}

/// The result of a rule for one method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleResult {
    /// The rule matches, by this path pattern.
    Matches(String),
    /// The rule has other methods.
    OtherMethod,
    /// The rule has this method, and none of its patterns matches the path.
    OtherPath,
    /// The rule names no paths: it applies to events that a handler declares to be of its type.
    IfDeclared,
    /// The rule names no paths: it applies to results of more than this many entries.
    IfMoreResultsThan(u64),
    /// The policy's filter excludes the event type.
    Excluded,
    /// The policy has no `max_results`, without which the rule is off.
    NoMaxResults,
}

impl AuditPolicy {
    /// Explains which rules record a request, and why the others do not.
    ///
    /// ```
    /// use http::Method;
    /// use tower_audit::policy::presets;
    ///
    /// let explanation = presets::ivre().explain(&Method::DELETE, "/auth//admin/users/bob");
    /// assert!(explanation.is_audited() && explanation.is_write_ahead());
    /// assert_eq!(
    ///     explanation.to_string().lines().collect::<Vec<_>>(),
    ///     [
    ///         "DELETE /auth//admin/users/bob: audited as `admin_action`, `started` before the handler",
    ///         "  rule 1 `upload`: no, it has other methods",
    ///         "  rule 2 `admin_action`: yes, by `/auth/admin/{*rest}`",
    ///         "  rule 3 `oversize_query`: off, the policy has no `max_results`",
    ///         "  rule 4 `auth`: only if the handler declares it",
    ///     ]
    /// );
    /// ```
    pub fn explain(&self, method: &Method, path: &str) -> Explanation {
        let matching = self.matching_rules(method, path);
        let explain = |(index, rule): (usize, &Rule)| {
            let result = if !self.allows(rule.event_type()) {
                RuleResult::Excluded
            } else if rule.is_oversize() && self.max_results().is_none() {
                RuleResult::NoMaxResults
            } else if matching.contains(index) {
                RuleResult::Matches(self.matching_pattern(index, path).unwrap_or_default().to_owned())
            } else if rule.has_paths() {
                if self.has_method(index, method) { RuleResult::OtherPath } else { RuleResult::OtherMethod }
            } else {
                self.max_results()
                    .filter(|_| rule.is_oversize())
                    .map_or(RuleResult::IfDeclared, RuleResult::IfMoreResultsThan)
            };
            let matches = matches!(result, RuleResult::Matches(_));
            ExplainedRule {
                event_type: rule.event_type().clone(),
                is_write_ahead: rule.is_write_ahead(),
                target: matches.then(|| self.explain_target(index, path)).flatten(),
                result,
            }
        };
        let rules = self.rules().iter().enumerate().map(explain).collect();
        Explanation { method: method.clone(), path: path.to_owned(), rules }
    }

    fn explain_target(&self, index: usize, path: &str) -> Option<String> {
        let recorded = self.redact_path(path, None, None, Some(index));
        let pattern = self.route_pattern(index, path);
        let request = RoutedPath { path, recorded: recorded.as_deref(), named: None, matched: None, pattern };
        let template = || self.rule(index).target_template().map(ToString::to_string);
        self.path_target(self, Some(index), request).map(|target| target.to_string()).or_else(template)
    }
}

impl Explanation {
    /// Returns true if a rule matches the method and the path.
    ///
    /// The outcome may still be none that the rule [records](Rule::when). Without a matching rule, there is an event only
    /// if the handler declares a type, or reports more results than the policy's maximum.
    pub fn is_audited(&self) -> bool {
        self.matching().next().is_some()
    }

    /// Returns true if a `started` event is durable before the handler runs.
    pub fn is_write_ahead(&self) -> bool {
        self.matching().any(|rule| rule.is_write_ahead)
    }

    /// Returns the policy's rules in their order.
    pub fn rules(&self) -> &[ExplainedRule] {
        &self.rules
    }

    fn matching(&self) -> impl Iterator<Item = &ExplainedRule> {
        self.rules.iter().filter(|rule| matches!(rule.result, RuleResult::Matches(_)))
    }
}

impl ExplainedRule {
    /// Returns the type of the rule's events.
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// Returns the target that the path gives the rule's events: `order/7`. If the rule names one by a parameter of the router's
    /// template, which is not known here, the rule's own text: `order/{id}`. A default target by that template is not among them.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Returns the rule's result.
    pub fn result(&self) -> &RuleResult {
        &self.result
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, excerpt(&self.path).escape_debug())?;
        match self.matching().next() {
            Some(first) => write!(f, "audited as `{}`", first.event_type)?,
            None => f.write_str("not audited by its method and path")?,
        }
        if self.is_write_ahead() {
            f.write_str(", `started` before the handler")?;
        }
        for (rule, number) in self.rules.iter().zip(1..) {
            write!(f, "\n  rule {number} `{}`: {}", rule.event_type, rule.result)?;
            if let Some(target) = &rule.target {
                write!(f, ", target `{}`", excerpt(target).escape_debug())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for RuleResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches(pattern) => write!(f, "yes, by `{pattern}`"),
            Self::OtherMethod => f.write_str("no, it has other methods"),
            Self::OtherPath => f.write_str("no, it has other paths"),
            Self::IfDeclared => f.write_str("only if the handler declares it"),
            Self::IfMoreResultsThan(max) => write!(f, "only for more than {max} results"),
            Self::Excluded => f.write_str("off, the filter excludes it"),
            Self::NoMaxResults => f.write_str("off, the policy has no `max_results`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::presets;

    #[test]
    fn every_result_is_explained() {
        let policy = AuditPolicy::builder()
            .rule(presets::login(["/login"]))
            .rule(presets::oversize_query().paths(["/scans"]))
            .preset_ivre()
            .max_results(10)
            .exclude(["upload"])
            .build()
            .expect("a policy");
        let explanation = policy.explain(&Method::POST, "/Login\u{1b}");
        assert_eq!(
            explanation.to_string(),
            "POST /Login\\u{1b}: not audited by its method and path\n  \
             rule 1 `auth`: no, it has other paths\n  \
             rule 2 `oversize_query`: no, it has other paths\n  \
             rule 3 `upload`: off, the filter excludes it\n  \
             rule 4 `admin_action`: no, it has other paths\n  \
             rule 5 `oversize_query`: only for more than 10 results\n  \
             rule 6 `auth`: only if the handler declares it"
        );
        assert!(!explanation.is_audited() && !explanation.is_write_ahead());
        let login = policy.explain(&Method::POST, "/login");
        assert_eq!(login.rules()[0].result(), &RuleResult::Matches("/login".to_owned()));
        assert!(login.is_audited() && !login.is_write_ahead());
    }
}
