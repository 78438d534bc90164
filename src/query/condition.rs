//! Conditions on a field.

use std::fmt;

use super::{FilterError, OutcomePattern, TextPattern};
use crate::event::excerpt;
use crate::event::{EventError, EventType, Phase, Target, address};

/// A condition on a field: any of the included values, none of the excluded ones. Empty, it matches everything.
///
/// ```
/// use tower_audit::query::{Condition, TextPattern};
///
/// let one: Condition<TextPattern> = "alice@example.org".into();
/// let others = Condition::none_of(["*@example.org".parse::<TextPattern>()?]);
/// assert_eq!(one.included().len() + others.excluded().len(), 2);
/// # Ok::<(), tower_audit::query::FilterError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Condition<T> {
    included: Vec<T>,
    excluded: Vec<T>,
}

impl<T> Condition<T> {
    /// The maximum number of values read from text: a database's cost grows with each.
    pub const MAX_VALUES: usize = 20;

    /// Matches any of these values.
    pub fn any_of(values: impl IntoIterator<Item = T>) -> Self {
        Self { included: values.into_iter().collect(), excluded: Vec::new() }
    }

    /// Matches everything but these values, a missing value included.
    pub fn none_of(values: impl IntoIterator<Item = T>) -> Self {
        Self { included: Vec::new(), excluded: values.into_iter().collect() }
    }

    /// Returns the included values. If there are any, the field must have one of them.
    pub fn included(&self) -> &[T] {
        &self.included
    }

    /// Returns the excluded values.
    pub fn excluded(&self) -> &[T] {
        &self.excluded
    }

    /// Returns true if the condition matches everything.
    pub fn is_empty(&self) -> bool {
        self.included.is_empty() && self.excluded.is_empty()
    }

    /// Returns true if a field matches, where `is` tests one value.
    pub(super) fn matches(&self, is: impl Fn(&T) -> bool) -> bool {
        (self.included.is_empty() || self.included.iter().any(&is)) && !self.excluded.iter().any(&is)
    }

    /// Parses a value and adds it; after a `!` to the excluded ones.
    pub(super) fn add_parsed(
        &mut self,
        text: &str,
        read: impl Fn(&str) -> Result<T, FilterError>,
    ) -> Result<(), FilterError> {
        if self.included.len() + self.excluded.len() >= Self::MAX_VALUES {
            return Err(FilterError::new(format!("it has more than {} values", Self::MAX_VALUES)));
        }
        match text.strip_prefix('!') {
            Some(rest) => self.excluded.push(read(rest)?),
            None => self.included.push(read(text)?),
        }
        Ok(())
    }
}

impl<T> Default for Condition<T> {
    /// No condition.
    fn default() -> Self {
        Self { included: Vec::new(), excluded: Vec::new() }
    }
}

impl<T> From<T> for Condition<T> {
    /// This value.
    fn from(value: T) -> Self {
        Self::any_of([value])
    }
}

impl From<&str> for Condition<TextPattern> {
    /// This text and no other.
    fn from(text: &str) -> Self {
        TextPattern::exact(text).into()
    }
}

impl From<String> for Condition<TextPattern> {
    /// This text and no other.
    fn from(text: String) -> Self {
        TextPattern::exact(text).into()
    }
}

impl From<Target> for TextPattern {
    /// Matches this target in its text form.
    fn from(target: Target) -> Self {
        Self::exact(target.to_string())
    }
}

impl From<Target> for Condition<TextPattern> {
    /// This target and no other.
    fn from(target: Target) -> Self {
        TextPattern::from(target).into()
    }
}

impl From<EventType> for Condition<TextPattern> {
    /// This type and no other.
    fn from(event_type: EventType) -> Self {
        TextPattern::exact(event_type.as_str()).into()
    }
}

impl From<u16> for Condition<OutcomePattern> {
    /// This status.
    fn from(status: u16) -> Self {
        OutcomePattern::Exact(status).into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.included).entries(self.excluded.iter().map(DebugNot)).finish()
    }
}

struct DebugNot<'a, T>(&'a T);

impl<T: fmt::Debug> fmt::Debug for DebugNot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "!{:?}", self.0)
    }
}

/// Parses a pattern for event types.
pub(super) fn event_type(text: &str) -> Result<TextPattern, FilterError> {
    let pattern = text.parse::<TextPattern>()?;
    if let Some(exact) = pattern.as_exact() {
        let event_type: EventType = exact.parse().map_err(|error| FilterError::new(format!("{error}")))?;
        return Ok(TextPattern::exact(event_type.as_str()));
    }
    let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if pattern.literals().iter().all(|literal| literal.chars().all(may_be)) {
        return Ok(pattern);
    }
    Err(FilterError::new(format!(
        "{:?} matches no event type: expected lower-case letters, digits, `.`, `_`, `-` and `*`",
        excerpt(text)
    )))
}

/// Parses a client's address in any form, or a pattern.
///
/// Other text is compared as it is: an app may name its clients otherwise. Text that only looks like an address, such as
/// `192.0.2.300`, is an error, since it would match nothing.
pub(super) fn remote_addr(text: &str) -> Result<TextPattern, FilterError> {
    let pattern = text.parse::<TextPattern>()?;
    let Some(exact) = pattern.as_exact() else { return Ok(pattern) };
    match address::read(exact.as_bytes()) {
        Some(addr) => Ok(TextPattern::exact(address::to_text(addr).as_str())),
        None if looks_like_address(exact) => Err(FilterError::new(format!(
            "{:?} is no address: expected one such as 192.0.2.7 or 2001:db8::1, or the beginning of several such as 192.0.2.*",
            excerpt(text)
        ))),
        None => Ok(pattern),
    }
}

/// Returns true for four numbers between dots or hexadecimal digits between colons, with or without a port.
fn looks_like_address(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let before_port = text.split([':', '/']).next().unwrap_or_default();
    let is_version_4 = before_port.split('.').count() == 4 && before_port.split('.').all(is_number);
    let is_version_6 =
        text.matches(':').count() > 1 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.[]/".contains(&byte));
    is_version_4 || is_version_6
}

/// Parses text that is compared exactly. A `*` has to be escaped.
pub(super) fn exact(text: &str) -> Result<TextPattern, FilterError> {
    let pattern = text.parse::<TextPattern>()?;
    match pattern.as_exact() {
        Some(_) => Ok(pattern),
        None => Err(FilterError::new(format!(
            r"{:?} is a pattern: expected the whole value, with \* for a *",
            excerpt(text)
        ))),
    }
}

/// Parses a target, `TYPE/ID`. The id is read as it is: a `*` in it is plain.
pub(super) fn target(text: &str) -> Result<TextPattern, FilterError> {
    if let Some((target_type, "*")) = text.split_once('/') {
        return Err(FilterError::new(format!(
            "{:?} is a pattern: expected one target, or the filter target_type={target_type}",
            excerpt(text)
        )));
    }
    let target: Target = text.parse().map_err(|error: EventError| FilterError::new(error.to_string()))?;
    Ok(target.into())
}

/// Parses a pattern for types of targets.
pub(super) fn target_type(text: &str) -> Result<TextPattern, FilterError> {
    let pattern = text.parse::<TextPattern>()?;
    let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if pattern.literals().iter().all(|literal| literal.chars().all(may_be)) {
        return Ok(pattern);
    }
    Err(FilterError::new(format!(
        "{:?} matches no type of a target: expected lower-case letters, digits, `.`, `_`, `-` and `*`",
        excerpt(text)
    )))
}

pub(super) fn folded(text: &str) -> Result<bool, FilterError> {
    text.parse().map_err(|_| FilterError::new(format!("{:?} is neither true nor false", excerpt(text))))
}

pub(super) fn phase(text: &str) -> Result<Phase, FilterError> {
    text.parse().map_err(|error| FilterError::new(format!("{error}")))
}
