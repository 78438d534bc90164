//! One retention rule.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{PythonPattern, RuleField, RulesError};
use crate::event::AuditEvent;

/// A number of days, and patterns that select the events that are deleted after it.
///
/// ```
/// use tower_audit::retention::RetentionRule;
///
/// let rule = RetentionRule::new(30)?.matching("user", "nagios$")?.matching("success", "1")?;
/// assert_eq!(rule.to_string(), "30 days, user: nagios$, success: 1");
/// # Ok::<(), tower_audit::retention::RulesError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RetentionRule {
    days: u32,
    conditions: Vec<Condition>,
    line: Option<usize>,
}

#[derive(Debug, Clone)]
struct Condition {
    name: String,
    field: RuleField,
    pattern: PythonPattern,
}

impl RetentionRule {
    /// The largest number of days: 2000 years.
    pub const MAX_DAYS: u32 = 730_500;

    /// A rule that deletes events older than this many days; with 0, events older than the run. It matches no event before
    /// it has a pattern.
    ///
    /// # Errors
    /// If that is more than [`MAX_DAYS`](Self::MAX_DAYS).
    pub fn new(days: u32) -> Result<Self, RulesError> {
        if days > Self::MAX_DAYS {
            return Err(RulesError::new(format!("{days} days: expected 0 to {} days", Self::MAX_DAYS)));
        }
        Ok(Self { days, conditions: Vec::new(), line: None })
    }

    /// Adds a pattern in Python's syntax for a field, by one of the names that [`RuleField`] has. Every pattern of a rule
    /// has to match.
    ///
    /// # Errors
    /// If there is no such field, the rule has a pattern for this name already, or the pattern is none.
    pub fn matching(mut self, field: &str, pattern: &str) -> Result<Self, RulesError> {
        let parsed = field.parse()?;
        if self.conditions.iter().any(|condition| condition.name == field) {
            return Err(RulesError::new("stands twice in one rule").of_key(field));
        }
        let pattern = PythonPattern::new(pattern)
            .map_err(|error| RulesError::new(format!("bad pattern {pattern:?}: {error}")).of_key(field))?;
        self.conditions.push(Condition { name: field.to_owned(), field: parsed, pattern });
        Ok(self)
    }

    pub(super) fn on_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// Returns the number of days.
    pub fn days(&self) -> u32 {
        self.days
    }

    /// Returns the line of the rule in its file.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns true if every pattern matches.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        !self.conditions.is_empty()
            && self.conditions.iter().all(|condition| condition.pattern.is_match(&condition.field.value_of(event)))
    }

    pub(super) fn has_pattern(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Returns true if the rule is known to match every event.
    pub(crate) fn matches_everything(&self) -> bool {
        self.has_pattern() && self.conditions.iter().all(|condition| condition.pattern.matches_everything())
    }

    pub(crate) fn age(&self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 86_400)
    }

    /// Returns the rule as it is recorded, `{"rotate": 30, "user": "nagios$"}`.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        json.insert("rotate".into(), self.days.into());
        for condition in &self.conditions {
            json.insert(condition.name.clone(), condition.pattern.as_str().into());
        }
        json
    }
}

/// Shows the days and the patterns.
impl fmt::Display for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} day{}", self.days, if self.days == 1 { "" } else { "s" })?;
        for Condition { name, pattern, .. } in &self.conditions {
            write!(f, ", {name}: {}", pattern.as_str())?;
        }
        Ok(())
    }
}
