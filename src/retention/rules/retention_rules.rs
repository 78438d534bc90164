//! An ordered list of retention rules.

use super::{RetentionRule, RulesError};
use crate::event::AuditEvent;

/// An ordered list of retention rules: the first that matches an event decides, even if it keeps the event. An event that no
/// rule matches is kept.
///
/// ```
/// use tower_audit::retention::{RetentionRule, RetentionRules};
/// use tower_audit::{Actor, AuditEvent, EventType};
///
/// let rules = RetentionRules::new([
///     RetentionRule::new(3650)?.matching("action", "POST /token/init")?,
///     RetentionRule::new(180)?.matching("action", ".*")?,
/// ])?;
/// let mut event = AuditEvent::new(EventType::AUTH);
/// assert_eq!(rules.first_match(&event), Some(1));
/// # Ok::<(), tower_audit::retention::RulesError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RetentionRules(Vec<RetentionRule>);

impl RetentionRules {
    /// The largest number of rules.
    pub const MAX_RULES: usize = 1000;

    /// A list of rules.
    ///
    /// # Errors
    /// If there is no rule, if there are more than [`MAX_RULES`](Self::MAX_RULES), or if one has no pattern.
    pub fn new(rules: impl IntoIterator<Item = RetentionRule>) -> Result<Self, RulesError> {
        let rules: Vec<RetentionRule> = rules.into_iter().take(Self::MAX_RULES + 1).collect();
        if rules.is_empty() {
            return Err(RulesError::new("there is no rule: expected a list of at least one"));
        }
        if rules.len() > Self::MAX_RULES {
            return Err(RulesError::new(format!("there are more than {} rules", Self::MAX_RULES)));
        }
        if let Some(bare) = rules.iter().find(|rule| !rule.has_pattern()) {
            let error =
                RulesError::new("the rule has no pattern and would match nothing: add one, such as `action: .*`");
            return Err(match bare.line() {
                Some(line) => error.on_line(line),
                None => error,
            });
        }
        Ok(Self(rules))
    }

    /// Returns the rules in their order.
    pub fn rules(&self) -> &[RetentionRule] {
        &self.0
    }

    /// Returns the index of the first rule that matches.
    pub fn first_match(&self, event: &AuditEvent) -> Option<usize> {
        self.0.iter().position(|rule| rule.matches(event))
    }
}
