//! Rules in YAML, in both of privacyIDEA's formats.

use std::path::Path;

use super::{RetentionRule, RetentionRules, RulesError};
use crate::config_file::{RawValue, SpannedValue, contents};
use crate::event::excerpt;

/// Reading rules, in both of privacyIDEA's formats.
impl RetentionRules {
    /// Reads a list of rules in YAML. Each is a map of `rotate`, a number of days, and patterns by the names of fields; or a
    /// pair of a pattern for `action` and a number of days.
    ///
    /// ```
    /// use tower_audit::retention::RetentionRules;
    ///
    /// let rules = RetentionRules::from_yaml(r#"
    /// - rotate: 10
    ///   user: nils
    ///   action: .*/validate/check.*
    /// - ["POST /token/init.*", "3650"]
    /// - [".*", 180]
    /// "#)?;
    /// assert_eq!(rules.rules()[1].to_string(), "3650 days, action: POST /token/init.*");
    /// # Ok::<(), tower_audit::retention::RulesError>(())
    /// ```
    ///
    /// # Errors
    /// If the text is not YAML, or no list of rules; the error names the line and the key.
    pub fn from_yaml(text: &str) -> Result<Self, RulesError> {
        let root = SpannedValue::from_yaml(text)?;
        let RawValue::List(items) = &root.value else {
            let problem = format!("{}: expected a list of rules", root.value.kind());
            return Err(RulesError::new(problem).on_line(root.line));
        };
        let rules = items.iter().map(|item| rule(item).map_err(|error| error.on_line(item.line)));
        Self::new(rules.collect::<Result<Vec<_>, _>>()?)
    }

    /// Reads a list of rules from a YAML file.
    ///
    /// # Errors
    /// If the file cannot be read or is larger than 1 MiB, or if it has no rules; the error names the file, the line and the
    /// key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RulesError> {
        let path = path.as_ref();
        contents(path)
            .map_err(RulesError::from)
            .and_then(|text| Self::from_yaml(&text))
            .map_err(|error| error.in_file(path.display().to_string()))
    }
}

fn rule(item: &SpannedValue) -> Result<RetentionRule, RulesError> {
    match &item.value {
        RawValue::Table(_) => map(item),
        RawValue::List(pair) => match pair.as_slice() {
            [pattern, days] => {
                let rule = RetentionRule::new(days_of(days)?)?.matching("action", text(pattern)?)?;
                Ok(rule.on_line(item.line))
            }
            other => Err(RulesError::new(format!(
                "a list of {}: expected a pair such as [\"POST /token/init\", 3650]",
                other.len()
            ))),
        },
        other => Err(RulesError::new(format!(
            "{}: expected a map with `rotate` and patterns, or a pair of a pattern and a number of days",
            other.kind()
        ))),
    }
}

fn map(item: &SpannedValue) -> Result<RetentionRule, RulesError> {
    let mut rotates = item.entries().iter().filter(|entry| entry.name == "rotate");
    let Some(rotate) = rotates.next() else {
        return Err(RulesError::new("the rule has no `rotate`: expected a number of days"));
    };
    if let Some(twice) = rotates.next() {
        return Err(RulesError::new("stands twice in one rule").of_key("rotate").on_line(twice.line));
    }
    let in_rotate = |error: RulesError| error.of_key("rotate").on_line(rotate.line);
    let days = days_of(&rotate.node).map_err(in_rotate)?;
    let mut rule = RetentionRule::new(days).map_err(in_rotate)?.on_line(item.line);
    for entry in item.entries().iter().filter(|entry| entry.name != "rotate") {
        let pattern = match text(&entry.node) {
            Ok(pattern) => pattern,
            Err(error) => {
                // An unknown key is the better answer.
                entry.name.parse::<super::RuleField>().map_err(|error| error.on_line(entry.line))?;
                return Err(error.of_key(&entry.name).on_line(entry.line));
            }
        };
        rule = rule.matching(&entry.name, pattern).map_err(|error| error.on_line(entry.line))?;
    }
    Ok(rule)
}

fn days_of(node: &SpannedValue) -> Result<u32, RulesError> {
    let expected = |given: String| {
        RulesError::new(format!("{given}: expected a whole number of days, 0 to {}", RetentionRule::MAX_DAYS))
            .on_line(node.line)
    };
    match &node.value {
        RawValue::Int(days) => u32::try_from(*days).map_err(|_| expected(days.to_string())),
        RawValue::Text(days) if !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit()) => {
            days.parse().map_err(|_| expected(excerpt(days)))
        }
        RawValue::Text(days) => Err(expected(format!("{:?}", excerpt(days)))),
        other => Err(expected(other.kind().to_owned())),
    }
}

fn text(node: &SpannedValue) -> Result<&str, RulesError> {
    match &node.value {
        RawValue::Text(text) => Ok(text),
        other => {
            let problem = format!("{}: expected a pattern; put quotes around it", other.kind());
            Err(RulesError::new(problem).on_line(node.line))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_with_its_line() {
        for (text, line, why) in [
            ("", 1, "expected a list"),
            ("rotate: 3", 1, "a table: expected a list"),
            ("[]", 0, "there is no rule"),
            ("- 3", 1, "a number: expected a map"),
            ("- rotate: 10\n  action: .*\n- action: x", 3, "has no `rotate`"),
            ("- rotate: 10\n  action: .*\n- rotate: 10", 3, "has no pattern"),
            ("- rotate: 10\n  action: .*\n  usr: nils", 3, "unknown key `usr`"),
            ("- rotate: 10\n  action: .*\n  usr: 3", 3, "unknown key `usr`"),
            ("- rotate: 10\n  action: '('", 2, "key `action`: bad pattern \"(\": missing ), unterminated subpattern"),
            ("- rotate: 10\n  action: '(?!x)'", 2, "lookahead `(?!` is not supported"),
            ("- rotate: 10\n  success: 1", 2, "key `success`: a number: expected a pattern; put quotes"),
            ("- rotate: 10\n  user:", 2, "key `user`: nothing: expected a pattern"),
            ("- rotate: -1\n  action: .*", 1, "key `rotate`: -1: expected a whole number of days"),
            ("- action: .*\n  rotate: 1.5", 2, "key `rotate`: a fraction: expected"),
            ("- action: .*\n  rotate: ten", 2, "key `rotate`: \"ten\": expected"),
            ("- action: .*\n  rotate: 730501", 2, "expected 0 to 730500 days"),
            ("- action: .*\n  rotate: 99999999999999999999999", 2, "expected a whole number"),
            ("- [\".*\", 1]\n- [\".*\"]", 2, "a list of 1: expected a pair"),
            ("- [\".*\", 1]\n- [3, 1]", 2, "a number: expected a pattern"),
            ("- [\".*\", 1]\n- [\"[\", 1]", 2, "unterminated character set"),
            ("- [\".*\", 1]\n- [\".*\", \"1x\"]", 2, "\"1x\": expected a whole number"),
            ("- rotate: 1\n  user: a\n  user: b", 3, ""),
            ("- rotate: 1\n  user: [", 2, "not YAML"),
        ] {
            let error = RetentionRules::from_yaml(text).expect_err(text);
            assert!(error.to_string().contains(why), "{text:?}: {error}");
            assert!(line == 0 || error.line() == Some(line), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_examples_of_both_manuals_are_read() {
        let maps = "
# DELETE auth requests of nils after 10 days
- rotate: 10
  user: nils
  action: .*/validate/check.*
- rotate: 0
  user: nagiosuser
  action: POST /validate/check.*
- rotate: 30
  action: ^GET /token
- rotate: 180
  action: .*
";
        let pairs = r#"
- ["POST /token/init.*", "3650"] # Save creation and deletion of tokens for 10 years
- ["GET .*", "30"]
- [".*", 180]
"#;
        let read = |text| {
            let rules = RetentionRules::from_yaml(text).unwrap();
            rules.rules().iter().map(|rule| (rule.line().unwrap(), rule.to_string())).collect::<Vec<_>>()
        };
        let texts =
            |rules: &[(usize, &str)]| rules.iter().map(|(line, text)| (*line, (*text).to_owned())).collect::<Vec<_>>();
        let expected = texts(&[
            (3, "10 days, user: nils, action: .*/validate/check.*"),
            (6, "0 days, user: nagiosuser, action: POST /validate/check.*"),
            (9, "30 days, action: ^GET /token"),
            (11, "180 days, action: .*"),
        ]);
        assert_eq!(read(maps), expected);
        let expected = texts(&[
            (2, "3650 days, action: POST /token/init.*"),
            (3, "30 days, action: GET .*"),
            (4, "180 days, action: .*"),
        ]);
        assert_eq!(read(pairs), expected);
    }
}
