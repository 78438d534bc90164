//! Retention rules: a number of days for the events whose fields match patterns, feature `retention-rules`.

mod pattern_error;
mod python_char_class;

mod python_syntax;

mod python_sets;

mod python_pattern;

mod rule_field;
mod rules_error;

mod retention_rule;

mod retention_rules;

mod rule_file;

pub use pattern_error::PatternError;
pub use python_pattern::PythonPattern;
pub use retention_rule::RetentionRule;
pub use retention_rules::RetentionRules;
pub use rule_field::RuleField;
pub use rules_error::RulesError;
